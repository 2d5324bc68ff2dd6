//! The plans of the statements that a large table would be slow without: here of those that need a certain index, in [`every`] of
//! all that the room issues.

mod every;
mod recorder;
mod scenario;
mod scenario_reads;

use chrono::DateTime;
use diesel::backend::Backend;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Bool, Integer, Text};

use crate::db::Filter;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::schema::{events, leases, seal_attempts, uploads};
use crate::db::tests::support::{Rig, field, now};
use crate::db::uploads::attachments::attached_query;
use crate::db::uploads::list::list_query;
use crate::db::uploads::owners::Part;
use crate::db::uploads::removals::due_query;
use crate::db::uploads::row::column_time;
use crate::db::uploads::sweep_queries::{
    Copied, copies_pending_deletion_query, due_uploads_query, stale_attempts_query,
    unattached_query, uploads_pending_deletion_query,
};
use crate::domain::attachment::ObjectId;
use crate::domain::ids::UploadId;
use crate::domain::upload::Status;

/// `EXPLAIN` before any query.
struct Explain<Q, const SQLITE: bool>(Q);

impl<Q, const SQLITE: bool> QueryId for Explain<Q, SQLITE> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q> Query for Explain<Q, true> {
    type SqlType = (Integer, Integer, Integer, Text);
}

impl<Q> Query for Explain<Q, false> {
    type SqlType = Text;
}

impl<Q, const SQLITE: bool> RunQueryDsl<AnyConnection> for Explain<Q, SQLITE> {}

impl<DB: Backend, Q: QueryFragment<DB>, const SQLITE: bool> QueryFragment<DB>
    for Explain<Q, SQLITE>
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        out.push_sql(if SQLITE {
            "EXPLAIN QUERY PLAN "
        } else {
            "EXPLAIN (COSTS OFF) "
        });
        self.0.walk_ast(out)
    }
}

macro_rules! plan {
    ($rig:expr, $conn:expr, $query:expr) => {
        if $rig.is_postgres() {
            Explain::<_, false>($query)
                .load::<String>($conn)
                .unwrap()
                .join("\n")
        } else {
            let rows: Vec<(i32, i32, i32, String)> =
                Explain::<_, true>($query).load($conn).unwrap();
            rows.into_iter()
                .map(|row| row.3)
                .collect::<Vec<_>>()
                .join("\n")
        }
    };
}

fn assert_by_index(plan: &str, index: &str) {
    assert!(plan.contains(index), "{plan}");
    assert!(
        !plan.contains("Seq Scan") && !plan.contains("Sort") && !plan.contains("TEMP B-TREE"),
        "{plan}"
    );
}

/// Small tables are scanned whatever indexes there are; what counts is which ones could serve.
fn planner(rig: &Rig) -> AnyConnection {
    use diesel::connection::SimpleConnection as _;
    let mut conn = rig.connect();
    if rig.is_postgres() {
        conn.batch_execute(
            "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off",
        )
        .unwrap();
    }
    conn
}

mod lists;

#[test]
fn what_a_confirm_looks_for_is_found_by_an_index() {
    for rig in Rig::each() {
        let conn = &mut planner(&rig);
        let (pkey, attempts) = if rig.is_postgres() {
            ("uploads_pkey", "seal_attempts_pkey")
        } else {
            (
                "sqlite_autoindex_uploads_1",
                "sqlite_autoindex_seal_attempts_1",
            )
        };
        let update = diesel::update(
            uploads::table
                .filter(uploads::id.eq("x"))
                .filter(uploads::status.eq_any(["pending"])),
        )
        .set(uploads::status.eq("confirmed"));
        let plan = plan!(rig, conn, update);
        // All three name the id; which one an empty table makes look cheapest is up to the planner.
        let indexes = [pkey, "uploads_status", "uploads_due"];
        assert!(indexes.iter().any(|it| plan.contains(it)), "{plan}");
        let attempt = seal_attempts::table
            .filter(seal_attempts::object_key.eq("x"))
            .select(seal_attempts::name);
        assert_by_index(&plan!(rig, conn, attempt), attempts);
        let of_upload = seal_attempts::table
            .filter(seal_attempts::upload_id.eq("x"))
            .select(seal_attempts::name);
        assert_by_index(&plan!(rig, conn, of_upload), "seal_attempts_upload");
        let stale = seal_attempts::table
            .filter(seal_attempts::state.eq("open"))
            .order(seal_attempts::started_at)
            .select(seal_attempts::object_key);
        assert_by_index(&plan!(rig, conn, stale), "seal_attempts_state");
        let next = events::table
            .filter(events::id.gt("evt_0"))
            .order(events::id)
            .limit(9)
            .select(events::seq);
        assert_by_index(
            &plan!(rig, conn, next),
            if rig.is_postgres() {
                "events_pkey"
            } else {
                "sqlite_autoindex_events_1"
            },
        );
    }
}

#[test]
fn the_oldest_pending_uploads_are_read_from_their_index_alone() {
    for rig in Rig::each() {
        let conn = &mut planner(&rig);
        let plan = plan!(rig, conn, crate::db::uploads::stats::pending_query!(500));
        assert_by_index(&plan, "uploads_status");
        assert!(
            plan.contains("Index Only Scan") || plan.contains("COVERING INDEX"),
            "{plan}"
        );
    }
}

#[test]
fn what_the_sweeper_looks_for_is_found_by_an_index_of_its_own() {
    for rig in Rig::each() {
        let conn = &mut planner(&rig);
        let due = due_uploads_query(now(), 256);
        assert_by_index(&plan!(rig, conn, due), "uploads_due");
        let owed = uploads_pending_deletion_query("media", UploadId::NONE, 256);
        assert_by_index(&plan!(rig, conn, owed), "uploads_owed");
        let field = field("Product.image");
        let unattached = unattached_query("media", &field, now(), 256);
        assert_by_index(&plan!(rig, conn, unattached), "uploads_unattached");
        let stale = stale_attempts_query!(now(), 256_u32);
        assert_by_index(&plan!(rig, conn, stale), "seal_attempts_state");
        let copied = copies_pending_deletion_query!("media", now(), None, 256_u32);
        assert_by_index(&plan!(rig, conn, copied), "seal_attempts_owed");
        let lease = diesel::update(leases::table.filter(leases::name.eq("sweep-pending")))
            .set(leases::holder.eq("x"));
        let plan = plan!(rig, conn, lease);
        assert!(
            plan.contains("leases_pkey") || plan.contains("sqlite_autoindex_leases_1"),
            "{plan}"
        );
    }
}

#[test]
fn what_a_record_has_and_what_is_due_are_found_by_their_indexes() {
    for rig in Rig::each() {
        use diesel::connection::SimpleConnection as _;
        let conn = &mut rig.connect();
        if rig.is_postgres() {
            // Enough for it to know that many are attached, and few to one record.
            conn.batch_execute(
                "INSERT INTO uploads (id, status, version, field, owner, bucket, filename, content_type, size, created_at, \
                 expires_at, url_lifetime_secs, object_key, name, etag, confirmed_at, confirmed_by, object_id, remove_after) \
                 SELECT 'upl_' || n, 'attached', 2, 'Product.image', 'user:1', 'media', 'f', 'image/jpeg', 1, now(), now(), 900, \
                 'k' || n, 'n', 'e', now(), 'client', CAST(n AS text), now() FROM generate_series(1, 5000) AS n; ANALYZE uploads",
            )
            .unwrap();
        }
        let of_record = Filter {
            status: Some(Status::Attached),
            model: Some("Product".into()),
            object_id: ObjectId::parse("42").ok(),
            limit: 1_000,
            ..Filter::default()
        };
        let plan = plan!(
            rig,
            conn,
            list_query(&of_record, Part::All, !rig.is_postgres())
        );
        assert!(plan.contains("uploads_record"), "{plan}");
        let plan = plan!(rig, conn, attached_query("x", "Product.image", "42"));
        assert!(plan.contains("uploads_record"), "{plan}");
        let plan = plan!(rig, conn, due_query("media", now(), 100));
        assert_by_index(&plan, "uploads_removal");
    }
}
