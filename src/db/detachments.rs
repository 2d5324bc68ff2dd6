//! Detaching an upload from its record: the slot is free again, and the object has a time from when on it may go.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;

use super::Db;
use super::connection::AnyConnection;
use super::queue::Write;
use super::row::UploadRow;
use super::slots::Slot;
use super::transition::{Advance, Fills, Transition, is_written, new_event};
use super::trouble::{DbTrouble, Failure};
use super::uploads::{find, find_row};
use crate::domain::attachment::ObjectId;
use crate::domain::field::FieldName;
use crate::domain::ids::{EventId, UploadId};
use crate::domain::upload::{Step, Upload};

/// A detach.
#[derive(Debug, Clone)]
pub struct Detach {
    /// Which upload.
    pub upload: UploadId,
    /// The record that it was last seen attached to, where its field's cardinality is `one` or not known.
    pub from: Option<(FieldName, ObjectId)>,
    /// How long its object is kept, in seconds.
    pub removal_grace_secs: u32,
    /// When.
    pub at: DateTime<Utc>,
}

impl Db {
    /// Detaches an attached upload: its slot is free again, and its object may be removed after the grace.
    pub async fn detach(&self, detach: Detach) -> Result<Transition, DbTrouble> {
        let from = detach.from.as_ref();
        let slot = from.map(|(field, object_id)| Slot::new(field, object_id));
        let event = new_event(detach.at);
        let change = DetachOne {
            detach,
            slot,
            event,
        };
        self.queue.submit(change).await
    }
}

/// Detaches one attached upload; `None` where it isn't attached, and then nothing was written.
pub(super) fn untie(
    conn: &mut AnyConnection,
    upload: UploadId,
    grace_secs: u32,
    event: EventId,
    at: DateTime<Utc>,
) -> Result<Option<UploadRow>, Failure> {
    let advance = Advance {
        upload,
        step: Step::Detach,
        event,
        at,
        fills: Fills::RemoveAfter(at + TimeDelta::seconds(i64::from(grace_secs))),
    };
    advance.run(conn)
}

struct DetachOne {
    detach: Detach,
    slot: Option<Slot>,
    event: EventId,
}

impl Write for DetachOne {
    type Answer = Transition;

    fn upload(&self) -> UploadId {
        self.detach.upload
    }

    fn slot(&self) -> Option<&Slot> {
        self.slot.as_ref()
    }

    fn write(&self, conn: &mut AnyConnection) -> Result<Transition, Failure> {
        let Detach {
            upload,
            removal_grace_secs,
            at,
            ..
        } = &self.detach;
        let Some(row) = find_row(conn, &upload.to_string())? else {
            return Ok(Transition::Missing);
        };
        free_slot(conn, &row.into_upload()?)?;
        let Some(row) = untie(conn, *upload, *removal_grace_secs, self.event, *at)? else {
            return self.without_change(conn);
        };
        let moved = row.into_upload()?;
        // Again: it may have been attached, elsewhere than it was meant for, just after the look above.
        free_slot(conn, &moved)?;
        Ok(Transition::Moved(moved))
    }
}

impl DetachOne {
    /// Nothing to change: because an earlier try did it, or because it can't be done.
    fn without_change(&self, conn: &mut AnyConnection) -> Result<Transition, Failure> {
        let Some(upload) = find(conn, self.detach.upload)? else {
            return Ok(Transition::Missing);
        };
        Ok(match is_written(conn, self.event)? {
            true => Transition::Moved(upload),
            false => Transition::Stale(upload),
        })
    }
}

/// Frees the slot that this upload may hold: before the upload itself is locked, as everybody does it.
fn free_slot(conn: &mut AnyConnection, upload: &Upload) -> QueryResult<()> {
    match &upload.object_id {
        Some(object_id) => Slot::new(&upload.field, object_id).free(conn, upload.id),
        None => Ok(()),
    }
}
