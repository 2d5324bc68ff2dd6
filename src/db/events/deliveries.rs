//! What became of a delivery's attempt: recorded by the word of who leased it, with what follows for the upload's later events.
//!
//! Called by `webhooks`. Repeating it changes nothing, because a settled delivery is no longer pending and a failed one no longer
//! leased under that name.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::outbox::DeliveryState;
use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::row::column_time;
use crate::db::engine::schema::{deliveries, disabled_endpoints};
use crate::db::events::delivery_claims::DeliveryClaim;
use crate::db::events::upload_log::{self, NoteKind};
use crate::db::writer::counter_deltas::CounterDeltas;
use crate::db::writer::queue::Write;
use crate::domain::ids::UploadId;

/// One attempt, and what follows from it.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The endpoint that was called.
    pub endpoint: String,
    /// What was sent.
    pub delivery: DeliveryClaim,
    /// When.
    pub at: DateTime<Utc>,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// Why it failed, in short; `None` if it did not.
    pub error: Option<String>,
    /// What follows.
    pub outcome: Outcome,
}

/// What follows from an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It arrived.
    Delivered,
    /// It is tried again at this time, and the upload's later events wait for it.
    Retry(DateTime<Utc>),
    /// It is not tried any more, until it is replayed. The upload's later events go on.
    Dead,
    /// The endpoint asked not to be called any more; everything for it stays pending.
    Gone,
}

impl Db {
    /// Records an attempt. False when the delivery was settled by another, or leased by another after this lease had ended.
    pub async fn record_attempt(&self, attempt: Attempt) -> Result<bool, DbError> {
        self.queue.submit(RecordAttempt(attempt)).await
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
        // That it arrived is true whoever holds the lease now; a failure counts only for who still holds it.
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
            Outcome::Delivered | Outcome::Dead => self.let_go(conn)?,
            Outcome::Gone => self.disable(conn)?,
        }
        let (upload, at) = (attempt.delivery.upload, attempt.at);
        upload_log::note(conn, upload, NoteKind::Webhook, &self.said(), at)?;
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

    /// The attempt in the words of the upload's log.
    fn said(&self) -> String {
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

    /// The upload's later events wait as long as this one, so that they are not looked at in vain.
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

    /// The upload's later events are due, if they waited for this one only.
    fn let_go(&self, conn: &mut AnyConnection) -> QueryResult<()> {
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
        // Another broker may do the same at this moment: then this item fails, is written again, and finds the row.
        diesel::insert_into(disabled_endpoints::table)
            .values(row)
            .execute(conn)
            .map(drop)
    }
}
