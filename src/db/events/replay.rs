//! Replaying deliveries: making them pending again.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::outbox::{DeliveryState, NewDelivery};
use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::row::column_time;
use crate::db::engine::schema::{deliveries, events};
use crate::db::events::upload_log::{self, NoteKind};
use crate::db::writer::counter_deltas::CounterDeltas;
use crate::db::writer::queue::Write;
use crate::domain::ids::{EventId, UploadId};

/// Which deliveries to replay.
#[derive(Debug, Clone)]
pub enum Replay {
    /// The delivery of one event in any state, also to an endpoint that had no delivery of it.
    Event(EventId),
    /// All existing deliveries of an upload's events.
    Upload(UploadId),
    /// Dead ones last attempted before this time, at most this many.
    Dead(DateTime<Utc>, u32),
}

impl Db {
    /// Makes deliveries pending again, as new ones, and returns how many; 0 for an event that does not exist. A replay of one upload's
    /// deliveries is noted with its caller (`by`) in the upload's timeline.
    pub async fn replay(
        &self,
        endpoint: &str,
        replay: Replay,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<usize, DbError> {
        let upload = match &replay {
            Replay::Dead(..) => None,
            Replay::Upload(upload) => Some(*upload),
            Replay::Event(event) => self.upload_of(*event).await?,
        };
        let replay = ReplayDeliveries {
            endpoint: endpoint.to_owned(),
            replay,
            upload,
            by: by.to_owned(),
            now,
        };
        self.queue.submit(replay).await
    }

    /// An event's upload.
    async fn upload_of(&self, event: EventId) -> Result<Option<UploadId>, DbError> {
        let query = move |conn: &mut AnyConnection| {
            let id: Option<String> = events::table
                .filter(events::id.eq(event.to_string()))
                .select(events::upload_id)
                .first(conn)
                .optional()?;
            Ok(id.and_then(|id| UploadId::parse(&id).ok()))
        };
        self.readers.read(query).await
    }
}

struct ReplayDeliveries {
    endpoint: String,
    replay: Replay,
    /// The upload to note it in, where there is only one.
    upload: Option<UploadId>,
    by: String,
    now: DateTime<Utc>,
}

impl Write for ReplayDeliveries {
    type Answer = usize;

    fn upload(&self) -> UploadId {
        self.upload.unwrap_or(UploadId::NONE)
    }

    fn write(&self, conn: &mut AnyConnection, _: &mut CounterDeltas) -> Result<usize, Failure> {
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
        // A claim stays: its holder records an attempt, or the claim ends.
        let replayed = diesel::update(deliveries::table)
            .filter(deliveries::endpoint.eq(&self.endpoint))
            .filter(deliveries::event_id.eq_any(&ids))
            .set((
                deliveries::state.eq(DeliveryState::Pending.as_str()),
                deliveries::attempts.eq(0),
                deliveries::next_at.eq(column_time(self.now)),
            ))
            .execute(conn)?;
        let replayed = match self.replay {
            Replay::Event(event) if replayed == 0 => self.first_time(conn, event)?,
            _ => replayed,
        };
        if replayed > 0
            && let Some(upload) = self.upload
        {
            let detail = format!("replay to {}, by {}", self.endpoint, self.by);
            upload_log::note(conn, upload, NoteKind::Operator, &detail, self.now)?;
        }
        Ok(replayed)
    }
}

impl ReplayDeliveries {
    /// Inserts the delivery: the endpoint was not configured when the event happened, or not subscribed to it.
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
