//! What an operator sees of deliveries, and how one is made again.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::{count_star, min};
use diesel::prelude::*;

use super::Db;
use super::books::Books;
use super::connection::AnyConnection;
use super::outbox::NewDelivery;
use super::queue::Write;
use super::row::column_time;
use super::schema::{deliveries, disabled_endpoints, events};
use super::trouble::{DbTrouble, Failure};
use crate::domain::ids::{EventId, UploadId};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// To be made, or being made.
    Pending,
    /// It arrived.
    Delivered,
    /// Given up, until it is replayed.
    Dead,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [DeliveryState; 3] = [
        DeliveryState::Pending,
        DeliveryState::Delivered,
        DeliveryState::Dead,
    ];

    /// The name in the database and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Pending => "pending",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Dead => "dead",
        }
    }
}

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

/// What is to be made again.
#[derive(Debug, Clone)]
pub enum Replay {
    /// The delivery of one event, whatever became of it, also to an endpoint that was not told of it at the time.
    Event(EventId),
    /// Those of all events of an upload that the endpoint was told of.
    Upload(UploadId),
    /// Dead ones that were last tried before this time, at most so many.
    Dead(DateTime<Utc>, u32),
}

impl Db {
    /// The deliveries that fit the filter, the newest event first.
    pub async fn list_deliveries(
        &self,
        filter: DeliveryFilter,
    ) -> Result<Vec<DeliveryRow>, DbTrouble> {
        let query = move |conn: &mut AnyConnection| {
            let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
            let mut query = deliveries::table
                .inner_join(events::table.on(events::id.eq(deliveries::event_id)))
                .filter(deliveries::state.eq_any(states))
                .order((deliveries::event_id.desc(), deliveries::endpoint))
                .limit(i64::from(filter.limit))
                .select((
                    deliveries::endpoint,
                    deliveries::event_id,
                    events::event_type,
                    deliveries::upload_id,
                    deliveries::seq,
                    deliveries::state,
                    deliveries::attempts,
                    deliveries::next_at,
                    deliveries::last_at,
                    deliveries::last_status,
                    deliveries::last_error,
                ))
                .into_boxed();
            if let Some(endpoint) = &filter.endpoint {
                query = query.filter(deliveries::endpoint.eq(endpoint));
            }
            Ok(query.load(conn)?)
        };
        self.readers.read(query).await
    }

    /// Counts the deliveries of an endpoint.
    pub async fn endpoint_totals(&self, endpoint: &str) -> Result<EndpointTotals, DbTrouble> {
        let endpoint = endpoint.to_owned();
        self.readers.read(move |conn| totals(conn, &endpoint)).await
    }

    /// Makes deliveries pending again, as new ones. How many it were; 0 for an event that does not exist.
    pub async fn replay(
        &self,
        endpoint: &str,
        replay: Replay,
        now: DateTime<Utc>,
    ) -> Result<usize, DbTrouble> {
        let endpoint = endpoint.to_owned();
        self.queue
            .submit(Again {
                endpoint,
                replay,
                now,
            })
            .await
    }
}

fn totals(conn: &mut AnyConnection, endpoint: &str) -> Result<EndpointTotals, Failure> {
    let mut totals = EndpointTotals::default();
    for state in DeliveryState::ALL {
        let (count, next_at): (i64, Option<NaiveDateTime>) = deliveries::table
            .filter(deliveries::endpoint.eq(endpoint))
            .filter(deliveries::state.eq(state.as_str()))
            .select((count_star(), min(deliveries::next_at)))
            .first(conn)?;
        let count = u64::try_from(count).unwrap_or_default();
        match state {
            DeliveryState::Pending => {
                totals.pending = count;
                totals.next_at = next_at.map(|at| at.and_utc());
            }
            DeliveryState::Delivered => totals.delivered = count,
            DeliveryState::Dead => totals.dead = count,
        }
    }
    let disabled: Option<(NaiveDateTime, String)> = disabled_endpoints::table
        .filter(disabled_endpoints::endpoint.eq(endpoint))
        .select((disabled_endpoints::disabled_at, disabled_endpoints::reason))
        .first(conn)
        .optional()?;
    totals.disabled = disabled.map(|(at, reason)| (at.and_utc(), reason));
    Ok(totals)
}

struct Again {
    endpoint: String,
    replay: Replay,
    now: DateTime<Utc>,
}

impl Write for Again {
    type Answer = usize;

    fn upload(&self) -> UploadId {
        UploadId::NONE
    }

    fn write(&self, conn: &mut AnyConnection, _: &mut Books) -> Result<usize, Failure> {
        let ids = match &self.replay {
            Replay::Event(event) => vec![event.to_string()],
            Replay::Upload(upload) => deliveries::table
                .filter(deliveries::endpoint.eq(&self.endpoint))
                .filter(deliveries::upload_id.eq(upload.to_string()))
                .order(deliveries::seq)
                .select(deliveries::event_id)
                .load(conn)?,
            Replay::Dead(before, limit) => deliveries::table
                .filter(deliveries::endpoint.eq(&self.endpoint))
                .filter(deliveries::state.eq(DeliveryState::Dead.as_str()))
                .filter(deliveries::last_at.lt(column_time(*before)))
                .order(deliveries::event_id)
                .limit(i64::from(*limit))
                .select(deliveries::event_id)
                .load(conn)?,
        };
        // A lease stays: who holds it is at work on it, and settles it or lets it end.
        let again = diesel::update(deliveries::table)
            .filter(deliveries::endpoint.eq(&self.endpoint))
            .filter(deliveries::event_id.eq_any(&ids))
            .set((
                deliveries::state.eq(DeliveryState::Pending.as_str()),
                deliveries::attempts.eq(0),
                deliveries::next_at.eq(column_time(self.now)),
            ))
            .execute(conn)?;
        match self.replay {
            Replay::Event(event) if again == 0 => self.first_time(conn, event),
            _ => Ok(again),
        }
    }
}

impl Again {
    /// The endpoint was not configured when the event happened, or did not want it.
    fn first_time(&self, conn: &mut AnyConnection, event: EventId) -> Result<usize, Failure> {
        let event_id = event.to_string();
        let found: Option<(String, i64)> = events::table
            .filter(events::id.eq(&event_id))
            .filter(events::body.is_not_null())
            .select((events::upload_id, events::seq))
            .first(conn)
            .optional()?;
        let Some((upload_id, seq)) = found else {
            return Ok(0);
        };
        let delivery = NewDelivery {
            endpoint: &self.endpoint,
            event_id: &event_id,
            upload_id: &upload_id,
            seq,
            state: DeliveryState::Pending.as_str(),
            next_at: column_time(self.now),
        };
        Ok(diesel::insert_into(deliveries::table)
            .values(delivery)
            .execute(conn)?)
    }
}
