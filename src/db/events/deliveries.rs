//! Deliveries: recording the result of an attempt with its consequences for the upload's later events, listing, counting.
//!
//! Recording a result twice changes nothing: a settled delivery is no longer pending, and a failed one is no longer claimed under
//! that token. Each step of a list or a count uses an index.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::outbox::DeliveryState;
use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::row::column_time;
use crate::db::engine::schema::{deliveries, disabled_endpoints, events};
use crate::db::events::delivery_claims::DeliveryClaim;
use crate::db::events::upload_log::{self, NoteKind};
use crate::db::writer::counter_deltas::CounterDeltas;
use crate::db::writer::queue::Write;
use crate::domain::ids::UploadId;

/// One attempt of a delivery, and its outcome.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The endpoint that was called.
    pub endpoint: String,
    /// The claimed delivery.
    pub delivery: DeliveryClaim,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// Why it failed, in short; `None` if it did not.
    pub error: Option<String>,
    /// The outcome.
    pub outcome: Outcome,
}

/// The outcome of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint accepted it.
    Delivered,
    /// It is retried at this time, and the upload's later events wait for it.
    Retry(DateTime<Utc>),
    /// It is not retried, unless it is replayed. The upload's later events go on.
    Dead,
    /// The endpoint answered 410 Gone and is disabled; all its deliveries stay pending.
    Gone,
}

/// Which deliveries to list.
#[derive(Debug, Clone)]
pub struct DeliveryFilter {
    /// To this endpoint; `None` means any.
    pub endpoint: Option<String>,
    /// In one of these states.
    pub states: Vec<DeliveryState>,
    /// The most deliveries.
    pub limit: u32,
}

/// A listed delivery.
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
    /// When it is attempted next, while it is pending.
    pub next_at: NaiveDateTime,
    /// When it was last attempted.
    pub last_at: Option<NaiveDateTime>,
    /// The HTTP status of that attempt.
    pub last_status: Option<i32>,
    /// Why that attempt failed.
    pub last_error: Option<String>,
}

/// The counts of one endpoint's deliveries.
#[derive(Debug, Clone, Default)]
pub struct EndpointTotals {
    /// How many are pending.
    pub pending: u64,
    /// How many were delivered.
    pub delivered: u64,
    /// How many are dead.
    pub dead: u64,
    /// When the first pending one is or was due.
    pub next_at: Option<DateTime<Utc>>,
    /// Since when the endpoint is disabled, and why; `None` if it is not.
    pub disabled: Option<(DateTime<Utc>, String)>,
}

impl Db {
    /// Records an attempt. False where another worker settled the delivery, or claimed it after this claim had ended.
    pub async fn record_attempt(&self, attempt: Attempt) -> Result<bool, DbError> {
        self.queue.submit(RecordAttempt(attempt)).await
    }

    /// The deliveries that match the filter, the newest event first.
    pub async fn list_deliveries(
        &self,
        filter: DeliveryFilter,
    ) -> Result<Vec<DeliveryRow>, DbError> {
        self.readers.read(move |conn| listed(conn, &filter)).await
    }

    /// Counts an endpoint's deliveries; counting the delivered ones reads all their index entries.
    pub async fn endpoint_totals(&self, endpoint: &str) -> Result<EndpointTotals, DbError> {
        let endpoint = endpoint.to_owned();
        self.readers.read(move |conn| totals(conn, &endpoint)).await
    }
}

struct RecordAttempt(Attempt);

/// What an attempt changes; `None` leaves a column as it is.
#[derive(AsChangeset)]
#[diesel(table_name = deliveries)]
struct Settled<'a> {
    state: Option<&'static str>,
    next_at: Option<NaiveDateTime>,
    lease: Option<Option<String>>,
    leased_until: Option<Option<NaiveDateTime>>,
    last_at: NaiveDateTime,
    last_status: Option<Option<i32>>,
    last_error: Option<Option<&'a str>>,
}

impl Write for RecordAttempt {
    type Answer = bool;

    fn upload(&self) -> UploadId {
        self.0.delivery.upload
    }

    fn write(&self, conn: &mut AnyConnection, _: &mut CounterDeltas) -> Result<bool, Failure> {
        let attempt = &self.0;
        let own = deliveries::table
            .filter(deliveries::endpoint.eq(&attempt.endpoint))
            .filter(deliveries::event_id.eq(attempt.delivery.event.to_string()))
            .filter(deliveries::state.eq(DeliveryState::Pending.as_str()));
        let changes = (
            self.settled(),
            deliveries::attempts.eq(deliveries::attempts + 1),
        );
        // A success counts even after the claim has ended; a failure only while it is held.
        let changed = match attempt.outcome {
            Outcome::Delivered => diesel::update(own).set(changes).execute(conn)?,
            _ => diesel::update(own.filter(deliveries::lease.eq(&attempt.delivery.token)))
                .set(changes)
                .execute(conn)?,
        };
        if changed == 0 {
            return Ok(false);
        }
        match attempt.outcome {
            Outcome::Retry(at) => self.hold_back(conn, column_time(at))?,
            Outcome::Delivered | Outcome::Dead => self.release(conn)?,
            Outcome::Gone => self.disable(conn)?,
        }
        let (upload, at) = (attempt.delivery.upload, attempt.at);
        upload_log::note(conn, upload, NoteKind::Webhook, &self.detail(), at)?;
        Ok(true)
    }
}

impl RecordAttempt {
    fn settled(&self) -> Settled<'_> {
        let attempt = &self.0;
        let (state, next_at) = match attempt.outcome {
            Outcome::Delivered => (Some(DeliveryState::Delivered.as_str()), None),
            Outcome::Dead => (Some(DeliveryState::Dead.as_str()), None),
            Outcome::Retry(at) => (None, Some(column_time(at))),
            Outcome::Gone => (None, None),
        };
        Settled {
            state,
            next_at,
            lease: Some(None),
            leased_until: Some(None),
            last_at: column_time(attempt.at),
            last_status: Some(attempt.status.map(i32::from)),
            last_error: Some(attempt.error.as_deref()),
        }
    }

    /// The attempt's timeline entry.
    fn detail(&self) -> String {
        let attempt = &self.0;
        let (endpoint, seq) = (&attempt.endpoint, attempt.delivery.seq);
        let error = attempt.error.as_deref().unwrap_or("no response");
        match attempt.outcome {
            Outcome::Delivered => format!("event {seq} delivered to {endpoint}"),
            Outcome::Retry(_) => {
                format!("delivery of event {seq} to {endpoint} failed, will retry: {error}")
            }
            Outcome::Dead => {
                format!("delivery of event {seq} to {endpoint} failed, now dead: {error}")
            }
            Outcome::Gone => format!("{endpoint} answered 410 Gone and is disabled"),
        }
    }

    /// Makes the upload's later events due no earlier than this one, so that no claim reads them too early.
    fn hold_back(&self, conn: &mut AnyConnection, until: NaiveDateTime) -> QueryResult<()> {
        diesel::update(deliveries::table)
            .filter(deliveries::endpoint.eq(&self.0.endpoint))
            .filter(deliveries::upload_id.eq(self.0.delivery.upload.to_string()))
            .filter(deliveries::seq.gt(self.0.delivery.seq))
            .filter(deliveries::state.eq(DeliveryState::Pending.as_str()))
            .filter(deliveries::next_at.lt(until))
            .set(deliveries::next_at.eq(until))
            .execute(conn)
            .map(drop)
    }

    /// Makes the upload's later events due now, if they waited for this one only.
    fn release(&self, conn: &mut AnyConnection) -> QueryResult<()> {
        let now = column_time(self.0.at);
        diesel::update(deliveries::table)
            .filter(deliveries::endpoint.eq(&self.0.endpoint))
            .filter(deliveries::upload_id.eq(self.0.delivery.upload.to_string()))
            .filter(deliveries::seq.gt(self.0.delivery.seq))
            .filter(deliveries::state.eq(DeliveryState::Pending.as_str()))
            .filter(deliveries::attempts.eq(0))
            .filter(deliveries::next_at.gt(now))
            .set(deliveries::next_at.eq(now))
            .execute(conn)
            .map(drop)
    }

    fn disable(&self, conn: &mut AnyConnection) -> QueryResult<()> {
        let known: Option<String> = disabled_endpoints::table
            .filter(disabled_endpoints::endpoint.eq(&self.0.endpoint))
            .select(disabled_endpoints::endpoint)
            .first(conn)
            .optional()?;
        if known.is_some() {
            return Ok(());
        }
        let row = (
            disabled_endpoints::endpoint.eq(&self.0.endpoint),
            disabled_endpoints::disabled_at.eq(column_time(self.0.at)),
            disabled_endpoints::reason.eq("it answered 410 Gone"),
        );
        // Another broker may insert it at the same time: then this write fails, is repeated, and finds the row.
        diesel::insert_into(disabled_endpoints::table)
            .values(row)
            .execute(conn)
            .map(drop)
    }
}

/// Every endpoint that has deliveries, by one step in the primary key for each.
const ENDPOINTS: &str = "name FROM (WITH RECURSIVE endpoints(name) AS (SELECT MIN(endpoint) FROM deliveries UNION ALL \
    SELECT (SELECT MIN(endpoint) FROM deliveries WHERE endpoint > endpoints.name) FROM endpoints WHERE endpoints.name IS NOT NULL) \
    SELECT name FROM endpoints WHERE name IS NOT NULL) AS found";

/// The newest of each endpoint and state, and of those the newest: no index has them as one range.
fn listed(conn: &mut AnyConnection, filter: &DeliveryFilter) -> Result<Vec<DeliveryRow>, Failure> {
    let endpoints = match &filter.endpoint {
        Some(one) => vec![one.clone()],
        None => diesel::select(sql::<Text>(ENDPOINTS)).load(conn)?,
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
                    // Filled below.
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
    // Not joined: Postgres may scan all events for a join, from the newest on.
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
    // A literal, because a partial index serves no parameter.
    let next_at: Option<NaiveDateTime> = deliveries::table
        .filter(deliveries::endpoint.eq(endpoint))
        .filter(sql::<Bool>("state = 'pending'"))
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
