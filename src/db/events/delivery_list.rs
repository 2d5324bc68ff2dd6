//! What an operator sees of deliveries: each step by an index, however many there ever were.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::outbox::DeliveryState;
use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::schema::{deliveries, disabled_endpoints, events};

/// Which deliveries are shown.
#[derive(Debug, Clone)]
pub struct DeliveryFilter {
    /// To this endpoint; `None` means any.
    pub endpoint: Option<String>,
    /// In one of these states.
    pub states: Vec<DeliveryState>,
    /// At most so many.
    pub limit: u32,
}

/// A delivery, for people.
#[derive(Debug, Clone, Queryable)]
pub struct DeliveryRow {
    /// The endpoint's name.
    pub endpoint: String,
    /// The event's id.
    pub event_id: String,
    /// The event's type.
    pub event_type: String,
    /// The upload's id.
    pub upload_id: String,
    /// The event's number among those of the upload.
    pub seq: i64,
    /// `pending`, `delivered` or `dead`.
    pub state: String,
    /// How many attempts were made.
    pub attempts: i32,
    /// When it is tried next, while it is pending.
    pub next_at: NaiveDateTime,
    /// When it was tried last.
    pub last_at: Option<NaiveDateTime>,
    /// The HTTP status of that attempt.
    pub last_status: Option<i32>,
    /// Why that attempt failed.
    pub last_error: Option<String>,
}

/// The deliveries of one endpoint, counted.
#[derive(Debug, Clone, Default)]
pub struct EndpointTotals {
    /// How many are pending.
    pub pending: u64,
    /// How many arrived.
    pub delivered: u64,
    /// How many were given up.
    pub dead: u64,
    /// When the next pending one is due, or was.
    pub next_at: Option<DateTime<Utc>>,
    /// Since when the endpoint is disabled, and why; `None` if it is not.
    pub disabled: Option<(DateTime<Utc>, String)>,
}

impl Db {
    /// The deliveries that fit the filter, the newest event first.
    pub async fn list_deliveries(
        &self,
        filter: DeliveryFilter,
    ) -> Result<Vec<DeliveryRow>, DbError> {
        self.readers.read(move |conn| listed(conn, &filter)).await
    }

    /// Counts the deliveries of an endpoint; those that arrived by walking over their part of an index.
    pub async fn endpoint_totals(&self, endpoint: &str) -> Result<EndpointTotals, DbError> {
        let endpoint = endpoint.to_owned();
        self.readers.read(move |conn| totals(conn, &endpoint)).await
    }
}

/// Every endpoint that was ever told of something, by one step in the primary key for each.
const TOLD: &str = "name FROM (WITH RECURSIVE told(name) AS (SELECT MIN(endpoint) FROM deliveries UNION ALL \
    SELECT (SELECT MIN(endpoint) FROM deliveries WHERE endpoint > told.name) FROM told WHERE told.name IS NOT NULL) \
    SELECT name FROM told WHERE name IS NOT NULL) AS every_one";

/// The newest of each endpoint and state, and of those the newest: together they are no range of an index.
fn listed(conn: &mut AnyConnection, filter: &DeliveryFilter) -> Result<Vec<DeliveryRow>, Failure> {
    let endpoints = match &filter.endpoint {
        Some(one) => vec![one.clone()],
        None => diesel::select(sql::<Text>(TOLD)).load(conn)?,
    };
    let wanted = DeliveryState::ALL.into_iter();
    let states: Vec<_> = wanted.filter(|it| filter.states.contains(it)).collect();
    let mut found: Vec<DeliveryRow> = Vec::new();
    for endpoint in &endpoints {
        for state in &states {
            let newest = deliveries::table
                .filter(deliveries::endpoint.eq(endpoint))
                .filter(deliveries::state.eq(state.as_str()))
                .order(deliveries::event_id.desc())
                .limit(i64::from(filter.limit))
                .select((
                    deliveries::endpoint,
                    deliveries::event_id,
                    // Known below.
                    sql::<Text>("''"),
                    deliveries::upload_id,
                    deliveries::seq,
                    deliveries::state,
                    deliveries::attempts,
                    deliveries::next_at,
                    deliveries::last_at,
                    deliveries::last_status,
                    deliveries::last_error,
                ));
            found.extend(newest.load::<DeliveryRow>(conn)?);
        }
    }
    found.sort_by(|a, b| (&b.event_id, &a.endpoint).cmp(&(&a.event_id, &b.endpoint)));
    found.truncate(filter.limit as usize);
    // Not joined: Postgres may walk over all events for that, from the newest on.
    let ids: Vec<&String> = found.iter().map(|it| &it.event_id).collect();
    let types: Vec<(String, String)> = events::table
        .filter(events::id.eq_any(ids))
        .select((events::id, events::event_type))
        .load(conn)?;
    let types: HashMap<String, String> = types.into_iter().collect();
    for row in &mut found {
        row.event_type = types.get(&row.event_id).cloned().unwrap_or_default();
    }
    Ok(found)
}

fn totals(conn: &mut AnyConnection, endpoint: &str) -> Result<EndpointTotals, Failure> {
    let in_state = |state: DeliveryState| {
        deliveries::table
            .filter(deliveries::endpoint.eq(endpoint))
            .filter(deliveries::state.eq(state.as_str()))
    };
    let mut counts = [0; 3];
    for (count, state) in counts.iter_mut().zip(DeliveryState::ALL) {
        let rows: i64 = in_state(state).count().get_result(conn)?;
        *count = u64::try_from(rows).unwrap_or_default();
    }
    let [pending, delivered, dead] = counts;
    // Written as its index has it, because a partial index serves no parameter.
    let next_at: Option<NaiveDateTime> = deliveries::table
        .filter(deliveries::endpoint.eq(endpoint))
        .filter(sql::<diesel::sql_types::Bool>("state = 'pending'"))
        .order(deliveries::next_at)
        .select(deliveries::next_at)
        .first(conn)
        .optional()?;
    let disabled: Option<(NaiveDateTime, String)> = disabled_endpoints::table
        .filter(disabled_endpoints::endpoint.eq(endpoint))
        .select((disabled_endpoints::disabled_at, disabled_endpoints::reason))
        .first(conn)
        .optional()?;
    Ok(EndpointTotals {
        pending,
        delivered,
        dead,
        next_at: next_at.map(|at| at.and_utc()),
        disabled: disabled.map(|(at, reason)| (at.and_utc(), reason)),
    })
}
