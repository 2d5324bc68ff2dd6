//! Detaching an upload from its record: the slot is free again, and the object has a time from when on it may go.

use chrono::{DateTime, TimeDelta, Utc};

use super::transition::{Advance, Fills, Transition, is_written};
use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::row::UploadRow;
use crate::db::engine::row::find;
use crate::db::events::outbox::NewEvent;
use crate::db::writer::attachment_locks::Slot;
use crate::db::writer::counter_deltas::CounterDeltas;
use crate::db::writer::queue::Write;
use crate::domain::attachment::ObjectId;
use crate::domain::field::FieldName;
use crate::domain::ids::UploadId;
use crate::domain::upload::Step;

/// A detach.
#[derive(Debug, Clone)]
pub struct Detach {
    /// Which upload.
    pub upload: UploadId,
    /// The record that it was seen attached to: that never changes while it is. Its slot is freed, if it holds it.
    pub from: (FieldName, ObjectId),
    /// How long its object is kept, in seconds.
    pub removal_grace_secs: u32,
    /// When.
    pub at: DateTime<Utc>,
}

impl Db {
    /// Detaches an attached upload: its slot is free again, and its object may be removed after the grace.
    pub async fn detach(&self, detach: Detach) -> Result<Transition, DbError> {
        let (field, object_id) = &detach.from;
        let slot = Slot::new(field, object_id);
        let event = self.new_event(detach.at);
        let change = DetachOne {
            detach,
            slot,
            event,
        };
        self.queue.submit(change).await
    }
}

/// Detaches one attached upload; `None` where it isn't attached, and then nothing was written.
pub(in crate::db) fn untie(
    conn: &mut AnyConnection,
    upload: UploadId,
    grace_secs: u32,
    event: NewEvent,
    at: DateTime<Utc>,
    deltas: &mut CounterDeltas,
) -> Result<Option<UploadRow>, Failure> {
    let advance = Advance {
        upload,
        step: Step::Detach,
        event,
        at,
        fills: Fills::RemoveAfter(at + TimeDelta::seconds(i64::from(grace_secs))),
    };
    advance.run(conn, deltas)
}

struct DetachOne {
    detach: Detach,
    slot: Slot,
    event: NewEvent,
}

impl Write for DetachOne {
    type Answer = Transition;

    fn upload(&self) -> UploadId {
        self.detach.upload
    }

    fn slot(&self) -> Option<&Slot> {
        Some(&self.slot)
    }

    fn write(
        &self,
        conn: &mut AnyConnection,
        deltas: &mut CounterDeltas,
    ) -> Result<Transition, Failure> {
        let Detach {
            upload,
            removal_grace_secs,
            at,
            ..
        } = &self.detach;
        // The slot before the upload, as everybody does it.
        self.slot.lock(conn, *upload)?;
        let (secs, event) = (*removal_grace_secs, self.event.clone());
        let moved = untie(conn, *upload, secs, event, *at, deltas)?;
        self.slot.release(conn, *upload)?;
        match moved {
            Some(row) => Ok(Transition::Moved(row.into_upload()?)),
            None => self.without_change(conn),
        }
    }
}

impl DetachOne {
    /// Nothing to change: because an earlier try did it, or because it can't be done.
    fn without_change(&self, conn: &mut AnyConnection) -> Result<Transition, Failure> {
        let Some(upload) = find(conn, self.detach.upload)? else {
            return Ok(Transition::Missing);
        };
        Ok(match is_written(conn, &self.event)? {
            true => Transition::Moved(upload),
            false => Transition::Stale(upload),
        })
    }
}
