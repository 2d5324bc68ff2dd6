//! What the whole system looks like now: the numbers that every broker reports the same, because the database has them.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::{count_star, min, sql};
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::Db;
use super::attempts::AttemptState;
use super::connection::AnyConnection;
use super::overview::{counted, due_since};
use super::replay::DeliveryState;
use super::schema::{deliveries, seal_attempts, uploads};
use super::trouble::DbTrouble;
use crate::domain::field::FieldName;
use crate::domain::upload::Status;

/// What is under way, and what is owed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// The pending uploads of each field that has some.
    pub pending: Vec<Pending>,
    /// Seal attempts whose copy may be under way.
    pub open_attempts: u64,
    /// Abandoned copies that were not seen to be removed.
    pub abandoned_copies: u64,
    /// Deliveries that are not over, or over without success.
    pub deliveries: Vec<Deliveries>,
    /// Since when the longest overdue upload waits for the sweeper, or when the next one will.
    pub due_since: Option<DateTime<Utc>>,
}

/// The pending uploads of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The field.
    pub field: FieldName,
    /// How many.
    pub count: u64,
    /// Their declared sizes together, in bytes.
    pub bytes: u64,
    /// When the oldest was asked for.
    pub oldest: DateTime<Utc>,
}

/// The deliveries of one endpoint in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deliveries {
    /// The endpoint's configured name.
    pub endpoint: String,
    /// `pending` or `dead`.
    pub state: String,
    /// How many.
    pub count: u64,
}

impl Db {
    /// Reads what is under way, each by an index that holds little else: it costs what is pending, not what there ever was.
    pub async fn watch(&self) -> Result<Watched, DbTrouble> {
        let query = |conn: &mut AnyConnection| {
            let rows: Vec<(String, i64, i64, Option<NaiveDateTime>)> = uploads::table
                .filter(uploads::status.eq(Status::Pending.as_str()))
                .group_by(uploads::field)
                .order(uploads::field)
                .select((
                    uploads::field,
                    count_star(),
                    // Postgres sums a bigint to numeric.
                    sql::<BigInt>("CAST(SUM(size) AS BIGINT)"),
                    min(uploads::created_at),
                ))
                .load(conn)?;
            let pending: Result<Vec<Pending>, DbTrouble> =
                rows.into_iter().map(pending_of).collect();
            let open_attempts: i64 = seal_attempts::table
                .filter(seal_attempts::state.eq(AttemptState::Open.as_str()))
                .count()
                .get_result(conn)?;
            let abandoned_copies: i64 = seal_attempts::table
                .filter(seal_attempts::state.eq(AttemptState::Abandoned.as_str()))
                .filter(seal_attempts::object_removed_at.is_null())
                .count()
                .get_result(conn)?;
            let rows: Vec<(String, String, i64)> = deliveries::table
                .filter(deliveries::state.eq_any([
                    DeliveryState::Pending.as_str(),
                    DeliveryState::Dead.as_str(),
                ]))
                .group_by((deliveries::state, deliveries::endpoint))
                .order((deliveries::state, deliveries::endpoint))
                .select((deliveries::endpoint, deliveries::state, count_star()))
                .load(conn)?;
            Ok(Watched {
                pending: pending?,
                open_attempts: counted(open_attempts),
                abandoned_copies: counted(abandoned_copies),
                deliveries: rows.into_iter().map(deliveries_of).collect(),
                due_since: due_since(conn)?,
            })
        };
        self.readers.read(query).await
    }
}

fn pending_of(row: (String, i64, i64, Option<NaiveDateTime>)) -> Result<Pending, DbTrouble> {
    let (field, count, bytes, oldest) = row;
    let bad = || DbTrouble::Internal(format!("the pending uploads of {field} can't be read"));
    Ok(Pending {
        field: FieldName::parse(&field).map_err(|_| bad())?,
        count: counted(count),
        bytes: counted(bytes),
        oldest: oldest.ok_or_else(bad)?.and_utc(),
    })
}

fn deliveries_of((endpoint, state, count): (String, String, i64)) -> Deliveries {
    Deliveries {
        endpoint,
        state,
        count: counted(count),
    }
}
