//! The outbox: an event and its pending deliveries, written in the transaction of the status change.
//!
//! So each event has its deliveries, a change that is rolled back has none, and nothing is lost between a commit and an enqueue. The
//! delivery workers are woken after the commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::max;
use diesel::prelude::*;
use serde::Serialize;
use tokio::sync::watch;

use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::row::column_time;
use crate::db::engine::schema::{deliveries, events};
use crate::domain::event::EventType;
use crate::domain::ids::EventId;
use crate::domain::upload::Upload;
use crate::domain::upload_view::{UploadView, time};

/// An endpoint and the events it receives.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// The endpoint's name.
    pub endpoint: String,
    /// The types of events.
    pub types: Vec<EventType>,
}

/// The state of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// To be sent, or being sent.
    Pending,
    /// The endpoint accepted it.
    Delivered,
    /// All attempts failed; a replay makes it pending again.
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

/// The subscriptions, and the channel that wakes the delivery workers.
pub(in crate::db) struct Outbox {
    subscriptions: Vec<Subscription>,
    /// Whether the current transaction, or one whose commit has no answer yet, holds a new delivery.
    has_new: AtomicBool,
    commits: watch::Sender<u64>,
}

impl Outbox {
    /// An outbox with these subscriptions.
    pub(in crate::db) fn new(subscriptions: Vec<Subscription>) -> Outbox {
        Outbox {
            subscriptions,
            has_new: AtomicBool::new(false),
            commits: watch::Sender::new(0),
        }
    }

    /// The names of the endpoints.
    pub(in crate::db) fn endpoints(&self) -> Vec<String> {
        let names = self.subscriptions.iter().map(|it| it.endpoint.clone());
        names.collect()
    }

    /// Wakes the delivery workers if there is a new delivery. Called by the writer after each commit.
    pub(in crate::db) fn announce(&self) {
        if self.has_new.swap(false, Ordering::AcqRel) {
            self.commits.send_modify(|count| *count += 1);
        }
    }
}

/// An event not yet appended. Its id is made once for a change, so that a repeated write recognizes its own event.
#[derive(Clone)]
pub(in crate::db) struct NewEvent {
    id: EventId,
    outbox: Arc<Outbox>,
}

impl Db {
    /// A new event, for one status change.
    pub(in crate::db) fn new_event(&self, at: DateTime<Utc>) -> NewEvent {
        NewEvent {
            id: EventId::new(at, &rand::random()),
            outbox: self.outbox.clone(),
        }
    }

    /// Changes after each commit of this process with new deliveries.
    pub fn new_deliveries(&self) -> watch::Receiver<u64> {
        self.outbox.commits.subscribe()
    }
}

#[derive(Insertable)]
#[diesel(table_name = events)]
struct EventRow {
    id: String,
    upload_id: String,
    seq: i64,
    event_type: &'static str,
    occurred_at: NaiveDateTime,
    body: String,
}

#[derive(Insertable)]
#[diesel(table_name = deliveries)]
pub(in crate::db) struct NewDelivery<'a> {
    pub(in crate::db) endpoint: &'a str,
    pub(in crate::db) event_id: &'a str,
    pub(in crate::db) upload_id: &'a str,
    pub(in crate::db) seq: i64,
    pub(in crate::db) state: &'static str,
    pub(in crate::db) next_at: NaiveDateTime,
}

impl NewEvent {
    /// Its id.
    pub(in crate::db) fn id(&self) -> EventId {
        self.id
    }

    /// Another event of the same change, about another upload.
    pub(in crate::db) fn another(&self, at: DateTime<Utc>) -> NewEvent {
        NewEvent {
            id: EventId::new(at, &rand::random()),
            outbox: self.outbox.clone(),
        }
    }

    /// Appends the event of an upload as it is after the change, and one delivery for each subscribed endpoint.
    pub(in crate::db) fn append(
        &self,
        conn: &mut AnyConnection,
        kind: EventType,
        at: DateTime<Utc>,
        upload: &Upload,
    ) -> Result<(), Failure> {
        let (event_id, upload_id) = (self.id.to_string(), upload.id.to_string());
        let row = EventRow {
            id: event_id.clone(),
            upload_id: upload_id.clone(),
            seq: upload.version,
            event_type: kind.as_str(),
            occurred_at: column_time(at),
            body: body_text(self.id, kind, at, upload)?,
        };
        diesel::insert_into(events::table)
            .values(row)
            .execute(conn)?;
        let subscriptions = self.outbox.subscriptions.iter();
        for subscription in subscriptions.filter(|it| it.types.contains(&kind)) {
            let endpoint = subscription.endpoint.as_str();
            let held = held_back_until(conn, endpoint, &upload_id)?;
            let delivery = NewDelivery {
                endpoint,
                event_id: &event_id,
                upload_id: &upload_id,
                seq: upload.version,
                state: DeliveryState::Pending.as_str(),
                next_at: held.map_or(column_time(at), |held| held.max(column_time(at))),
            };
            diesel::insert_into(deliveries::table)
                .values(delivery)
                .execute(conn)?;
            self.outbox.has_new.store(true, Ordering::Release);
        }
        Ok(())
    }
}

/// When an earlier event of the upload is attempted next. A later one is not due before, so that no claim reads it too early.
fn held_back_until(
    conn: &mut AnyConnection,
    endpoint: &str,
    upload: &str,
) -> QueryResult<Option<NaiveDateTime>> {
    deliveries::table
        .filter(deliveries::endpoint.eq(endpoint))
        .filter(deliveries::upload_id.eq(upload))
        .filter(deliveries::state.eq(DeliveryState::Pending.as_str()))
        .select(max(deliveries::next_at))
        .first(conn)
}

/// A webhook's body, stored with the event, so that every delivery attempt sends the same bytes.
#[derive(Serialize)]
struct Body {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    data: Data,
}

/// The upload after the change. Members for one caller or with an expiry are left out: presigned requests, `confirm_url`, `url`, receipts.
#[derive(Serialize)]
struct Data {
    event_id: String,
    /// The upload's events count from 1 without gaps.
    seq: i64,
    #[serde(flatten)]
    upload: UploadView,
}

fn body_text(
    event: EventId,
    kind: EventType,
    at: DateTime<Utc>,
    upload: &Upload,
) -> Result<String, DbError> {
    let body = Body {
        kind: kind.as_str(),
        timestamp: time(at),
        data: Data {
            event_id: event.to_string(),
            seq: upload.version,
            upload: UploadView::new(upload.clone()),
        },
    };
    serde_json::to_string(&body).map_err(|error| DbError::Internal(error.to_string()))
}
