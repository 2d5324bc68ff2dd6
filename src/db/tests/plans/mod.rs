//! Query plans: here of statements that need a certain index, and in [`every`] of all statements of the module.

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
use crate::db::engine::row::column_time;
use crate::db::engine::schema::{events, leases, seal_attempts, uploads};
use crate::db::tests::support::{Rig, field, now};
use crate::db::uploads::attachments::attached_query;
use crate::db::uploads::list::list_query;
use crate::db::uploads::sweep_queries::{
    Copied, copies_pending_deletion_query, due_removals_query, due_uploads_query,
    stale_attempts_query, unattached_query, uploads_pending_deletion_query,
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

/// A connection whose planner has the statistics of many rows, from the migration on SQLite and from `fill.sql` on Postgres, and uses
/// an index in its order if one exists.
fn planner(rig: &Rig) -> AnyConnection {
    fill(rig);
    ordered(rig)
}

fn fill(rig: &Rig) {
    if rig.is_postgres() {
        rig.execute(include_str!("fill.sql"));
    }
}

fn ordered(rig: &Rig) -> AnyConnection {
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
fn confirm_finds_its_rows_by_index() {
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
        // Each of the three holds the id.
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
fn oldest_pending_uploads_are_read_from_an_index_alone() {
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
fn each_kind_of_sweep_has_its_own_index() {
    for rig in Rig::each() {
        let conn = &mut planner(&rig);
        let due = due_uploads_query(now(), 256);
        assert_by_index(&plan!(rig, conn, due), "uploads_due");
        let pending_deletion = uploads_pending_deletion_query("media", UploadId::NONE, 256);
        assert_by_index(
            &plan!(rig, conn, pending_deletion),
            "uploads_pending_deletion",
        );
        let field = field("Product.image");
        let unattached = unattached_query("media", &field, now(), 256);
        assert_by_index(&plan!(rig, conn, unattached), "uploads_unattached");
        let stale = stale_attempts_query!(now(), 256_u32);
        assert_by_index(&plan!(rig, conn, stale), "seal_attempts_state");
        let copied = copies_pending_deletion_query!("media", now(), None, 256_u32);
        assert_by_index(&plan!(rig, conn, copied), "seal_attempts_pending_deletion");
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
fn uploads_of_a_record_and_due_removals_are_found_by_index() {
    for rig in Rig::each() {
        fill(&rig);
        let conn = &mut rig.connect();
        let of_record = Filter {
            status: Some(Status::Attached),
            model: Some("Product".into()),
            object_id: ObjectId::parse("42").ok(),
            limit: 1_000,
            ..Filter::default()
        };
        let plan = plan!(rig, conn, list_query(&of_record, !rig.is_postgres()));
        assert!(plan.contains("uploads_record"), "{plan}");
        let plan = plan!(rig, conn, attached_query("x", "Product.image", "42"));
        assert!(plan.contains("uploads_record"), "{plan}");
        let conn = &mut ordered(&rig);
        let plan = plan!(rig, conn, due_removals_query("media", now(), 100));
        assert_by_index(&plan, "uploads_removal");
    }
}
