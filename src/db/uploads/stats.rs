//! Counts and bytes of uploads, read from the counters: the cost does not depend on the number of uploads.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::schema::{upload_counts, uploads};
use crate::domain::field::FieldName;
use crate::domain::upload::Status;

/// Uploads by field and status. A field and status without uploads has no group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// One for each field and status, in the order of their names.
    pub groups: Vec<Total>,
    /// The creation time of the oldest pending upload of each field.
    pub oldest_pending: Vec<(FieldName, DateTime<Utc>)>,
}

/// The uploads of one field in one status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Total {
    /// The field.
    pub field: FieldName,
    /// The status.
    pub status: Status,
    /// Their number.
    pub count: u64,
    /// The sum of their declared sizes, in bytes.
    pub bytes: u64,
}

/// The statement of [`totals`]; a macro, because the type of the statement is long.
macro_rules! totals_query {
    () => {
        upload_counts::table
            .group_by((upload_counts::field, upload_counts::status))
            .order((upload_counts::field, upload_counts::status))
            .select((
                upload_counts::field,
                upload_counts::status,
                // Postgres sums a bigint to numeric.
                sql::<BigInt>("CAST(SUM(count) AS BIGINT)"),
                sql::<BigInt>("CAST(SUM(bytes) AS BIGINT)"),
            ))
    };
}

/// The statement of [`oldest_of`]: ids begin with their time, and an index holds both columns.
macro_rules! pending_query {
    ($limit:expr) => {
        $crate::db::engine::schema::uploads::table
            .filter($crate::db::engine::schema::uploads::status.eq("pending"))
            .order($crate::db::engine::schema::uploads::id)
            .limit($limit)
            .select((
                $crate::db::engine::schema::uploads::id,
                $crate::db::engine::schema::uploads::field,
            ))
    };
}
#[cfg(test)]
pub(in crate::db) use pending_query;

/// The number of oldest pending uploads that are read to find the oldest of each field: first, and if that was not enough.
const AMONG_OLDEST: [i64; 2] = [500, 20_000];

impl Db {
    /// The totals of all fields and statuses.
    pub async fn stats(&self) -> Result<Totals, DbError> {
        self.readers.read(totals).await
    }
}

/// The totals of all fields and statuses.
pub(in crate::db) fn totals(conn: &mut AnyConnection) -> Result<Totals, Failure> {
    let mut totals = Totals {
        groups: groups(conn)?,
        ..Totals::default()
    };
    let pending = totals
        .groups
        .iter()
        .filter(|it| it.status == Status::Pending);
    let fields: BTreeSet<&str> = pending.map(|it| it.field.as_str()).collect();
    totals.oldest_pending = oldest_of(conn, &fields)?;
    Ok(totals)
}

/// The groups according to the counters.
pub(in crate::db) fn groups(conn: &mut AnyConnection) -> Result<Vec<Total>, Failure> {
    let rows: Vec<(String, String, i64, i64)> = totals_query!().load(conn)?;
    let rows = rows.into_iter().filter(|row| row.2 > 0);
    Ok(rows.map(total_of).collect::<Result<_, _>>()?)
}

/// The creation time of the oldest pending upload of each field. For a field that has none among the oldest of all it is the time of the
/// youngest of those, which is a lower bound.
fn oldest_of(
    conn: &mut AnyConnection,
    fields: &BTreeSet<&str>,
) -> Result<Vec<(FieldName, DateTime<Utc>)>, Failure> {
    let mut oldest: BTreeMap<String, String> = BTreeMap::new();
    let mut youngest = None;
    for limit in AMONG_OLDEST {
        let rows: Vec<(String, String)> = pending_query!(limit).load(conn)?;
        // If these are all, the last upload of a field without one was settled after the counters were read.
        let full = rows.len() as i64 == limit;
        youngest = rows.last().map(|(id, _)| id.clone()).filter(|_| full);
        oldest.clear();
        for (id, field) in rows {
            oldest.entry(field).or_insert(id);
        }
        if !full || fields.iter().all(|field| oldest.contains_key(*field)) {
            break;
        }
    }
    if let Some(youngest) = youngest {
        for field in fields {
            let known = oldest.entry((*field).to_owned());
            known.or_insert_with(|| youngest.clone());
        }
    }
    let ids: Vec<&String> = oldest.values().collect();
    let times: Vec<(String, NaiveDateTime)> = uploads::table
        .filter(uploads::id.eq_any(ids))
        .select((uploads::id, uploads::created_at))
        .load(conn)?;
    let times: BTreeMap<String, NaiveDateTime> = times.into_iter().collect();
    let known = oldest.into_iter().filter_map(|(field, id)| {
        let at = times.get(&id)?.and_utc();
        let parsed = FieldName::parse(&field).map_err(|_| bad(&field, "field"));
        Some(parsed.map(|field| (field, at)))
    });
    Ok(known.collect::<Result<_, _>>()?)
}

fn bad(field: &str, column: &str) -> DbError {
    DbError::Internal(format!("upload_counts.{column} of {field} can't be read"))
}

fn total_of((field, status, count, bytes): (String, String, i64, i64)) -> Result<Total, DbError> {
    Ok(Total {
        status: Status::parse(&status).ok_or_else(|| bad(&field, "status"))?,
        count: u64::try_from(count).unwrap_or_default(),
        bytes: u64::try_from(bytes).unwrap_or_default(),
        field: FieldName::parse(&field).map_err(|_| bad(&field, "field"))?,
    })
}
