//! The gauges of the whole system, read from the database, so that every broker reports the same numbers.

use chrono::{DateTime, Utc};
use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::overview::due_since;
use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::DbError;
use crate::db::engine::row::column_count;
use crate::db::engine::schema::{deliveries, seal_attempts};
use crate::db::events::outbox::DeliveryState;
use crate::db::uploads::attempts::AttemptState;
use crate::db::uploads::stats::{Totals, totals};
use crate::domain::field::FieldName;
use crate::domain::upload::Status;

/// Counts of pending work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gauges {
    /// The pending uploads of each field that has some.
    pub pending: Vec<Pending>,
    /// Seal attempts whose copy may be under way.
    pub open_attempts: u64,
    /// Abandoned copies not yet removed.
    pub abandoned_copies: u64,
    /// Pending and dead deliveries.
    pub deliveries: Vec<Deliveries>,
    /// Since when the longest overdue upload waits for the sweeper, or when the next one is due.
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
    /// When the oldest was created.
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
    /// Reads the gauges from counters, or by partial indexes: the cost does not grow with the rows of the past.
    pub async fn gauges(&self) -> Result<Gauges, DbError> {
        let query = |conn: &mut AnyConnection| {
            let open_attempts: i64 = seal_attempts::table
                .filter(seal_attempts::state.eq(AttemptState::Open.as_str()))
                .count()
                .get_result(conn)?;
            let abandoned_copies: i64 = seal_attempts::table
                // As in the partial index, which leaves out the attempts whose copies are removed; those have no limit.
                .filter(sql::<Bool>("(state = 'abandoned') IS TRUE"))
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
            Ok(Gauges {
                pending: pending_of(totals(conn)?),
                open_attempts: column_count(open_attempts),
                abandoned_copies: column_count(abandoned_copies),
                deliveries: rows.into_iter().map(deliveries_of).collect(),
                due_since: due_since(conn)?,
            })
        };
        self.readers.read(query).await
    }
}

/// A field is left out whose last pending upload was settled between the two statements.
fn pending_of(totals: Totals) -> Vec<Pending> {
    let pending = |(field, oldest): (FieldName, DateTime<Utc>)| {
        let all = totals.groups.iter();
        let mut own = all.filter(|it| it.status == Status::Pending && it.field == field);
        let total = own.next()?;
        Some(Pending {
            count: total.count,
            bytes: total.bytes,
            field,
            oldest,
        })
    };
    totals
        .oldest_pending
        .iter()
        .cloned()
        .filter_map(pending)
        .collect()
}

fn deliveries_of((endpoint, state, count): (String, String, i64)) -> Deliveries {
    Deliveries {
        endpoint,
        state,
        count: column_count(count),
    }
}
