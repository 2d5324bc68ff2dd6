//! Counts and bytes, for operators.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::Db;
use super::connection::AnyConnection;
use super::trouble::DbTrouble;
use crate::domain::field::FieldName;
use crate::domain::upload::Status;

/// Uploads by field and status. Where there are none, there is no group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// One for each field and status, in the order of their names.
    pub groups: Vec<Total>,
    /// When the oldest pending upload of each field was asked for.
    pub oldest_pending: Vec<(FieldName, DateTime<Utc>)>,
}

/// The uploads of one field in one status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Total {
    /// The field.
    pub field: FieldName,
    /// The status.
    pub status: Status,
    /// How many.
    pub count: u64,
    /// Their declared sizes together, in bytes.
    pub bytes: u64,
}

/// The statement, as a macro because its type has no name worth writing.
macro_rules! stats_query {
    () => {
        $crate::db::schema::uploads::table
            .group_by((
                $crate::db::schema::uploads::field,
                $crate::db::schema::uploads::status,
            ))
            .order((
                $crate::db::schema::uploads::field,
                $crate::db::schema::uploads::status,
            ))
            .select((
                $crate::db::schema::uploads::field,
                $crate::db::schema::uploads::status,
                diesel::dsl::count_star(),
                // Postgres sums a bigint to numeric.
                diesel::dsl::sql::<diesel::sql_types::BigInt>("CAST(SUM(size) AS BIGINT)"),
                diesel::dsl::min($crate::db::schema::uploads::created_at),
            ))
    };
}

#[cfg(test)]
pub(super) use stats_query;

type GroupRow = (String, String, i64, i64, Option<NaiveDateTime>);

impl Db {
    /// Counts everything. It reads an index from end to end: for a page that someone looks at, not for every request.
    pub async fn stats(&self) -> Result<Totals, DbTrouble> {
        let query = |conn: &mut AnyConnection| {
            let rows: Vec<GroupRow> = stats_query!().load(conn)?;
            let mut totals = Totals::default();
            for row in rows {
                let (total, oldest) = total_of(row)?;
                if total.status == Status::Pending {
                    totals.oldest_pending.push((total.field.clone(), oldest));
                }
                totals.groups.push(total);
            }
            Ok(totals)
        };
        self.readers.read(query).await
    }
}

fn total_of(
    (field, status, count, bytes, oldest): GroupRow,
) -> Result<(Total, DateTime<Utc>), DbTrouble> {
    let bad = |column: &str| {
        DbTrouble::Internal(format!("uploads.{column} can't be read: {field} {status}"))
    };
    let total = Total {
        field: FieldName::parse(&field).map_err(|_| bad("field"))?,
        status: Status::parse(&status).ok_or_else(|| bad("status"))?,
        count: u64::try_from(count).map_err(|_| bad("id"))?,
        bytes: u64::try_from(bytes).map_err(|_| bad("size"))?,
    };
    Ok((total, oldest.ok_or_else(|| bad("created_at"))?.and_utc()))
}
