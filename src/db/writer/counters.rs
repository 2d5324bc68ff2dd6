//! The statements of the two counter tables, for [`super::counter_deltas`].
//!
//! They are SQL text for the same reasons as in [`super::insert`]: `on_conflict`, one statement for all rows on Postgres, and a fixed
//! text, which is prepared once.

use std::ops::{Add, AddAssign, Neg};

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Integer, Text};
use diesel::sqlite::Sqlite;

use crate::db::engine::connection::AnyConnection;
use crate::db::engine::schema::owner_usage;

/// Slots of a count.
const SLOTS: i32 = 16;
/// The first key of the slots' advisory locks: "byte" in ASCII.
const SLOT_LOCK: i32 = 0x6279_7465;

/// A number of uploads and the sum of their declared sizes; a difference may be below zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::db) struct Sum {
    pub(in crate::db) count: i64,
    pub(in crate::db) bytes: i64,
}

impl Sum {
    /// No limit.
    pub(in crate::db) const MAX: Sum = Sum {
        count: i64::MAX,
        bytes: i64::MAX,
    };

    /// One upload.
    pub(in crate::db) fn one(bytes: i64) -> Sum {
        Sum { count: 1, bytes }
    }

    /// Whether both numbers are within the limits.
    pub(in crate::db) fn within(self, most: Sum) -> bool {
        self.count <= most.count && self.bytes <= most.bytes
    }
}

impl Add for Sum {
    type Output = Sum;

    fn add(self, other: Sum) -> Sum {
        Sum {
            count: self.count.saturating_add(other.count),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Sum) {
        *self = *self + other;
    }
}

impl Neg for Sum {
    type Output = Sum;

    fn neg(self) -> Sum {
        Sum {
            count: -self.count,
            bytes: -self.bytes,
        }
    }
}

/// A change of an owner's usage.
pub(in crate::db) struct UsageDelta<'a> {
    owner: &'a str,
    sum: Sum,
}

impl<'a> UsageDelta<'a> {
    pub(in crate::db) fn new(owner: &'a str, sum: Sum) -> UsageDelta<'a> {
        UsageDelta { owner, sum }
    }
}

/// A change of the count of a field and status.
pub(in crate::db) struct CountDelta<'a> {
    pub(in crate::db) field: &'a str,
    pub(in crate::db) status: &'static str,
    pub(in crate::db) sum: Sum,
}

/// The usage of an owner according to its counter.
pub(in crate::db) fn usage_of(conn: &mut AnyConnection, owner: &str) -> QueryResult<Sum> {
    let found: Option<(i64, i64)> = owner_usage::table
        .find(owner)
        .select((owner_usage::pending_count, owner_usage::pending_bytes))
        .first(conn)
        .optional()?;
    let (count, bytes) = found.unwrap_or_default();
    Ok(Sum { count, bytes })
}

/// Changes the usage of owners, never below zero, unless it would grow beyond `most`. Returns the owners that were changed, in order.
/// The deltas are in the order of their owners, which is the order in which the rows are locked, those that do not change included.
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
            // Postgres does not document that RETURNING keeps the order.
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

/// Changes counts. On Postgres it uses the first slot that no other transaction holds, so that brokers do not wait for each other: a
/// count is the sum of its slots.
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

// The text does not depend on the number of owners, so it is prepared once for each connection; this holds for those below as well.
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
        // The lock ends with the transaction. If every slot is held, slot 0 is used and its row is waited for.
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
