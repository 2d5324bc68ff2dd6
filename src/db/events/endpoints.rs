//! Webhook endpoints: which are configured, and which are disabled because they answered 410 Gone.

use chrono::{DateTime, Utc};
use diesel::dsl::{count_star, min};
use diesel::prelude::*;

use super::outbox::DeliveryState;
use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::row::column_count;
use crate::db::engine::schema::{deliveries, disabled_endpoints};
use crate::db::writer::counter_deltas::CounterDeltas;
use crate::db::writer::queue::Write;
use crate::domain::ids::{UploadId, time_of_id};

/// An endpoint's pending and dead deliveries.
#[derive(Debug, Clone)]
pub struct EndpointState {
    /// Its name.
    pub endpoint: String,
    /// How many are pending.
    pub pending: u64,
    /// How many are dead.
    pub dead: u64,
    /// When the earliest pending event happened.
    pub oldest_pending_at: Option<DateTime<Utc>>,
    /// Whether it is disabled.
    pub disabled: bool,
}

impl Db {
    /// The names of the endpoints that are configured here.
    pub fn endpoints(&self) -> Vec<String> {
        self.outbox.endpoints()
    }

    /// Whether an endpoint is disabled.
    pub async fn is_disabled(&self, endpoint: &str) -> Result<bool, DbError> {
        let endpoint = endpoint.to_owned();
        let query = move |conn: &mut AnyConnection| {
            let found: Option<String> = disabled_endpoints::table
                .filter(disabled_endpoints::endpoint.eq(&endpoint))
                .select(disabled_endpoints::endpoint)
                .first(conn)
                .optional()?;
            Ok(found.is_some())
        };
        self.readers.read(query).await
    }

    /// Enables a disabled endpoint again. False if it was not disabled.
    pub async fn enable_endpoint(&self, endpoint: &str) -> Result<bool, DbError> {
        self.queue.submit(Enable(endpoint.to_owned())).await
    }
}

struct Enable(String);

impl Write for Enable {
    type Answer = bool;

    fn upload(&self) -> UploadId {
        UploadId::NONE
    }

    fn write(&self, conn: &mut AnyConnection, _: &mut CounterDeltas) -> Result<bool, Failure> {
        let row = disabled_endpoints::table.filter(disabled_endpoints::endpoint.eq(&self.0));
        Ok(diesel::delete(row).execute(conn)? == 1)
    }
}

/// The states of these endpoints.
pub(in crate::db) fn endpoint_states(
    conn: &mut AnyConnection,
    configured: Vec<String>,
) -> Result<Vec<EndpointState>, Failure> {
    let rows: Vec<(String, String, i64, Option<String>)> = deliveries::table
        .filter(deliveries::state.eq_any([
            DeliveryState::Pending.as_str(),
            DeliveryState::Dead.as_str(),
        ]))
        .filter(deliveries::endpoint.eq_any(&configured))
        .group_by((deliveries::state, deliveries::endpoint))
        .select((
            deliveries::state,
            deliveries::endpoint,
            count_star(),
            min(deliveries::event_id),
        ))
        .load(conn)?;
    let disabled: Vec<String> = disabled_endpoints::table
        .select(disabled_endpoints::endpoint)
        .load(conn)?;
    let state_of = |endpoint: String| {
        let in_state = |state: DeliveryState| {
            let mut own = rows.iter();
            own.find(|row| row.1 == endpoint && row.0 == state.as_str())
        };
        let pending = in_state(DeliveryState::Pending);
        EndpointState {
            pending: pending.map_or(0, |row| column_count(row.2)),
            dead: in_state(DeliveryState::Dead).map_or(0, |row| column_count(row.2)),
            oldest_pending_at: pending.and_then(|row| Some(time_of_id(row.3.as_deref()?))),
            disabled: disabled.contains(&endpoint),
            endpoint,
        }
    };
    Ok(configured.into_iter().map(state_of).collect())
}
