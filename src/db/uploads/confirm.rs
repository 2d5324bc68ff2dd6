//! Recording a confirm: the one transaction that makes a sealed copy the upload's object.

use chrono::{DateTime, Utc};

use super::attachments::{AttachTo, Tied, tie};
use super::attempts::{self, AttemptState};
use super::transition::{Advance, Fills, Recorded, Transition};
use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::row::find;
use crate::db::events::outbox::NewEvent;
use crate::db::writer::attachment_locks::Slot;
use crate::db::writer::counter_deltas::CounterDeltas;
use crate::db::writer::queue::Write;
use crate::domain::ids::UploadId;
use crate::domain::upload::{ConfirmedBy, Step};
use crate::policy::evidence::Verified;

/// A confirm, with the evidence for it.
#[derive(Debug)]
pub struct Confirm {
    /// Names the upload and the key of the copy, and proves that the copy matches the declaration.
    pub verified: Verified,
    /// Whose request led to the confirm.
    pub by: ConfirmedBy,
    /// The record to attach to in the same transaction, if any.
    pub attach: Option<AttachTo>,
    /// Now.
    pub at: DateTime<Utc>,
}

/// What became of a confirm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    /// Of the upload itself.
    pub transition: Transition,
    /// How many former uploads of its record were detached for it.
    pub detached: usize,
}

impl Db {
    /// Records the key of a verified copy if its attempt is still open and its upload still pending. On `Stale` the attempt is
    /// abandoned, and the returned upload has its new status.
    pub async fn confirm(&self, confirm: Confirm) -> Result<Confirmed, DbError> {
        let slot = confirm.attach.as_ref().and_then(AttachTo::slot);
        let (event, attach_event) = (self.new_event(confirm.at), self.new_event(confirm.at));
        self.queue
            .submit(RecordConfirm {
                confirm,
                slot,
                event,
                attach_event,
            })
            .await
    }
}

struct RecordConfirm {
    confirm: Confirm,
    slot: Option<Slot>,
    event: NewEvent,
    attach_event: NewEvent,
}

impl Write for RecordConfirm {
    type Answer = Confirmed;

    fn upload(&self) -> UploadId {
        self.confirm.verified.upload()
    }

    fn slot(&self) -> Option<&Slot> {
        self.slot.as_ref()
    }

    /// The attempt before the upload: a sweeper that abandons the attempt at the same time holds its row or waits for it, so
    /// under READ COMMITTED one of the two wins cleanly, and no object is removed that a committed row names.
    fn write(
        &self,
        conn: &mut AnyConnection,
        deltas: &mut CounterDeltas,
    ) -> Result<Confirmed, Failure> {
        let Confirm { verified, at, .. } = &self.confirm;
        let (upload, key) = (verified.upload(), verified.key());
        if !attempts::settle(conn, upload, key, AttemptState::Recorded)? {
            return self.without_change(conn);
        }
        if let Some(slot) = &self.slot {
            slot.lock(conn, upload)?;
        }
        let advance = Advance {
            upload,
            step: Step::Confirm,
            event: self.event.clone(),
            at: *at,
            fills: Fills::Recorded(Recorded {
                key: key.clone(),
                etag: verified.etag().to_owned(),
                by: self.confirm.by,
            }),
        };
        let Some(row) = advance.run(conn, deltas)? else {
            attempts::take_back(conn, upload, key)?;
            return self.without_change(conn);
        };
        let tied = match &self.confirm.attach {
            Some(to) => tie(conn, upload, to, &self.attach_event, *at, deltas)?,
            None => None,
        };
        let Tied { row, detached } = tied.unwrap_or(Tied { row, detached: 0 });
        Ok(Confirmed {
            transition: Transition::Moved(row.into_upload()?),
            detached,
        })
    }
}

impl RecordConfirm {
    /// Its own key recorded means that it has won, in a commit whose answer was lost.
    fn without_change(&self, conn: &mut AnyConnection) -> Result<Confirmed, Failure> {
        let id = self.upload();
        if let Some(slot) = &self.slot {
            slot.release(conn, id)?;
        }
        let transition = match find(conn, id)? {
            None => Transition::Missing,
            Some(upload) => {
                let recorded = upload
                    .confirmation
                    .as_ref()
                    .map(|confirmation| &confirmation.key);
                if recorded == Some(self.confirm.verified.key()) {
                    Transition::Moved(upload)
                } else {
                    Transition::Stale(upload)
                }
            }
        };
        Ok(Confirmed {
            transition,
            detached: 0,
        })
    }
}
