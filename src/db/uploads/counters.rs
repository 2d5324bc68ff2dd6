//! The statements of the two counter tables. What they are for stands in [`crate::db::uploads::counter_deltas`].
//!
//! Written by hand like [`super::insert`], and for its reasons: `on_conflict`, one statement for all rows on Postgres, and a fixed
//! text, which is prepared once.

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Integer, Text};
use diesel::sqlite::Sqlite;

use crate::db::engine::connection::AnyConnection;
use crate::db::engine::schema::owner_usage;
use crate::db::uploads::counter_deltas::Sum;

/// So many slots does a count have.
const SLOTS: i32 = 16;
/// What the slots' advisory locks begin with: "byte" in ASCII.
const SLOT_LOCK: i32 = 0x6279_7465;

/// By how much what an owner has pending changes.
pub(in crate::db) struct UsageDelta<'a> {
    owner: &'a str,
    sum: Sum,
}

impl<'a> UsageDelta<'a> {
    pub(in crate::db) fn new(owner: &'a str, sum: Sum) -> UsageDelta<'a> {
        UsageDelta { owner, sum }
    }
}

/// By how much the uploads of a field in a status become more.
pub(in crate::db) struct CountDelta<'a> {
    pub(in crate::db) field: &'a str,
    pub(in crate::db) status: &'static str,
    pub(in crate::db) sum: Sum,
}

/// What an owner has pending, as its counter says.
pub(in crate::db) fn usage_of(conn: &mut AnyConnection, owner: &str) -> QueryResult<Sum> {
    let found: Option<(i64, i64)> = owner_usage::table
        .find(owner)
        .select((owner_usage::pending_count, owner_usage::pending_bytes))
        .first(conn)
        .optional()?;
    let (count, bytes) = found.unwrap_or_default();
    Ok(Sum { count, bytes })
}

/// Changes what owners have pending, never below zero, where it grows beyond no limit; gives the owners of whom it did, in order.
/// The deltas are in the order of their owners, which is the order in which their rows are locked, those that did not change too.
pub(in crate::db) fn add_usage(
    conn: &mut AnyConnection,
    deltas: &[UsageDelta<'_>],
    most: Sum,
) -> QueryResult<Vec<String>> {
    if deltas.is_empty() {
        return Ok(Vec::new());
    }
    match conn {
        AnyConnection::Postgres(conn) => {
            let statement = AddUsage {
                owners: deltas.iter().map(|it| it.owner).collect(),
                counts: deltas.iter().map(|it| it.sum.count).collect(),
                bytes: deltas.iter().map(|it| it.sum.bytes).collect(),
                most,
            };
            let mut done: Vec<String> = statement.load(conn)?;
            // In this order already, but for what no document promises.
            done.sort_unstable();
            Ok(done)
        }
        AnyConnection::Sqlite(conn) => {
            let mut done = Vec::with_capacity(deltas.len());
            for delta in deltas {
                let (owner, sum) = (delta.owner, delta.sum);
                if (AddOneUsage { owner, sum, most }).execute(conn)? == 1 {
                    done.push(owner.to_owned());
                }
            }
            Ok(done)
        }
    }
}

/// Adds to counts. On Postgres in the first slot that no other transaction holds, so that brokers don't wait for each other: a
/// count is the sum of its slots, and what one slot lacks another has.
pub(in crate::db) fn add_counts(
    conn: &mut AnyConnection,
    deltas: &[CountDelta<'_>],
) -> QueryResult<()> {
    if deltas.is_empty() {
        return Ok(());
    }
    match conn {
        AnyConnection::Postgres(conn) => {
            let statement = AddCounts {
                fields: deltas.iter().map(|it| it.field).collect(),
                statuses: deltas.iter().map(|it| it.status).collect(),
                counts: deltas.iter().map(|it| it.sum.count).collect(),
                bytes: deltas.iter().map(|it| it.sum.bytes).collect(),
            };
            statement.execute(conn)?;
        }
        AnyConnection::Sqlite(conn) => {
            for delta in deltas {
                AddOneCount { delta }.execute(conn)?;
            }
        }
    }
    Ok(())
}

struct AddUsage<'a> {
    owners: Vec<&'a str>,
    counts: Vec<i64>,
    bytes: Vec<i64>,
    most: Sum,
}

// One text whatever the number of owners, so it is prepared once a connection; the same for those below.
impl QueryId for AddUsage<'_> {
    type QueryId = AddUsage<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for AddUsage<'_> {
    type SqlType = Text;
}

impl RunQueryDsl<PgConnection> for AddUsage<'_> {}

impl QueryFragment<Pg> for AddUsage<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("INSERT INTO owner_usage AS held (owner, pending_count, pending_bytes) SELECT * FROM unnest(");
        out.push_bind_param::<Array<Text>, _>(&self.owners)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.counts)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.bytes)?;
        out.push_sql(
            ") ON CONFLICT (owner) DO UPDATE SET \
             pending_count = GREATEST(0, held.pending_count + excluded.pending_count), \
             pending_bytes = GREATEST(0, held.pending_bytes + excluded.pending_bytes) \
             WHERE (excluded.pending_count <= 0 OR held.pending_count + excluded.pending_count <= ",
        );
        out.push_bind_param::<BigInt, _>(&self.most.count)?;
        out.push_sql(
            ") AND (excluded.pending_bytes <= 0 OR held.pending_bytes + excluded.pending_bytes <= ",
        );
        out.push_bind_param::<BigInt, _>(&self.most.bytes)?;
        out.push_sql(") RETURNING owner");
        Ok(())
    }
}

struct AddOneUsage<'a> {
    owner: &'a str,
    sum: Sum,
    most: Sum,
}

impl QueryId for AddOneUsage<'_> {
    type QueryId = AddOneUsage<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<SqliteConnection> for AddOneUsage<'_> {}

impl QueryFragment<Sqlite> for AddOneUsage<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO owner_usage AS held (owner, pending_count, pending_bytes) VALUES (",
        );
        out.push_bind_param::<Text, _>(self.owner)?;
        for number in [&self.sum.count, &self.sum.bytes] {
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(number)?;
        }
        out.push_sql(
            ") ON CONFLICT (owner) DO UPDATE SET \
             pending_count = MAX(0, held.pending_count + excluded.pending_count), \
             pending_bytes = MAX(0, held.pending_bytes + excluded.pending_bytes) \
             WHERE (excluded.pending_count <= 0 OR held.pending_count + excluded.pending_count <= ",
        );
        out.push_bind_param::<BigInt, _>(&self.most.count)?;
        out.push_sql(
            ") AND (excluded.pending_bytes <= 0 OR held.pending_bytes + excluded.pending_bytes <= ",
        );
        out.push_bind_param::<BigInt, _>(&self.most.bytes)?;
        out.push_sql(")");
        Ok(())
    }
}

struct AddCounts<'a> {
    fields: Vec<&'a str>,
    statuses: Vec<&'a str>,
    counts: Vec<i64>,
    bytes: Vec<i64>,
}

impl QueryId for AddCounts<'_> {
    type QueryId = AddCounts<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<PgConnection> for AddCounts<'_> {}

impl QueryFragment<Pg> for AddCounts<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // The lock ends with the transaction. Where every slot is held, the last one is waited for.
        out.push_sql("INSERT INTO upload_counts AS held (slot, field, status, count, bytes) SELECT COALESCE((SELECT s FROM generate_series(0, ");
        out.push_bind_param::<Integer, _>(&(SLOTS - 1))?;
        out.push_sql(") s WHERE pg_try_advisory_xact_lock(");
        out.push_bind_param::<Integer, _>(&SLOT_LOCK)?;
        out.push_sql(", s) LIMIT 1), 0), new.* FROM unnest(");
        for column in [&self.fields, &self.statuses] {
            out.push_bind_param::<Array<Text>, _>(column)?;
            out.push_sql(", ");
        }
        out.push_bind_param::<Array<BigInt>, _>(&self.counts)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.bytes)?;
        out.push_sql(
            ") AS new ON CONFLICT (field, status, slot) DO UPDATE SET count = held.count + excluded.count, \
             bytes = held.bytes + excluded.bytes",
        );
        Ok(())
    }
}

struct AddOneCount<'a> {
    delta: &'a CountDelta<'a>,
}

impl QueryId for AddOneCount<'_> {
    type QueryId = AddOneCount<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<SqliteConnection> for AddOneCount<'_> {}

impl QueryFragment<Sqlite> for AddOneCount<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let CountDelta { field, status, sum } = self.delta;
        out.push_sql(
            "INSERT INTO upload_counts AS held (slot, field, status, count, bytes) VALUES (0, ",
        );
        for text in [field, status] {
            out.push_bind_param::<Text, _>(text)?;
            out.push_sql(", ");
        }
        out.push_bind_param::<BigInt, _>(&sum.count)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&sum.bytes)?;
        out.push_sql(
            ") ON CONFLICT (field, status, slot) DO UPDATE SET count = held.count + excluded.count, \
             bytes = held.bytes + excluded.bytes",
        );
        Ok(())
    }
}
