//! Recording a confirm: one transaction makes a sealed copy the upload's object.

use chrono::{DateTime, Utc};

use super::attachments::{AttachResult, AttachTo, attach_upload};
use super::attempts::{self, AttemptState};
use super::transition::{Advance, Fills, Transition};
use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::row::find;
use crate::db::events::outbox::NewEvent;
use crate::db::writer::attachment_locks::AttachmentLock;
use crate::db::writer::counter_deltas::CounterDeltas;
use crate::db::writer::queue::Write;
use crate::domain::ids::UploadId;
use crate::domain::upload::{ConfirmedBy, Step};
use crate::policy::evidence::Verified;

/// A confirm, with the evidence for it.
#[derive(Debug)]
pub struct Confirm {
    /// The upload, the key of the copy, and the proof that the copy matches the declaration.
    pub verified: Verified,
    /// Whose request led to the confirm.
    pub by: ConfirmedBy,
    /// The record to attach to in the same transaction, if any.
    pub attach: Option<AttachTo>,
    /// Now.
    pub at: DateTime<Utc>,
}

/// The result of a confirm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    /// The status change of the upload itself.
    pub transition: Transition,
    /// How many former uploads of its record were detached.
    pub detached: usize,
}

impl Db {
    /// Records the key of a verified copy if its attempt is still open and its upload still pending. On `Stale` the attempt is
    /// abandoned, and the returned upload has its new status.
    pub async fn confirm(&self, confirm: Confirm) -> Result<Confirmed, DbError> {
        let lock = confirm.attach.as_ref().and_then(AttachTo::lock);
        let (event, attach_event) = (self.new_event(confirm.at), self.new_event(confirm.at));
        self.queue
            .submit(RecordConfirm {
                confirm,
                lock,
                event,
                attach_event,
            })
            .await
    }
}

struct RecordConfirm {
    confirm: Confirm,
    lock: Option<AttachmentLock>,
    event: NewEvent,
    attach_event: NewEvent,
}

impl Write for RecordConfirm {
    type Answer = Confirmed;

    fn upload(&self) -> UploadId {
        self.confirm.verified.upload()
    }

    fn attachment_lock(&self) -> Option<&AttachmentLock> {
        self.lock.as_ref()
    }

    /// The attempt before the upload: a sweeper that abandons the attempt at the same time holds the attempt's row or waits for
    /// it. So under READ COMMITTED exactly one of the two succeeds, and no object is removed that a committed row names.
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
        if let Some(lock) = &self.lock {
            lock.acquire(conn, upload)?;
        }
        let advance = Advance {
            upload,
            step: Step::Confirm,
            event: self.event.clone(),
            at: *at,
            fills: Fills::Sealed {
                key: key.clone(),
                etag: verified.etag().to_owned(),
                by: self.confirm.by,
            },
        };
        let Some(row) = advance.run(conn, deltas)? else {
            attempts::abandon_recorded(conn, upload, key)?;
            return self.without_change(conn);
        };
        let attached = match &self.confirm.attach {
            Some(to) => attach_upload(conn, upload, to, &self.attach_event, *at, deltas)?,
            None => None,
        };
        let AttachResult { row, detached } = attached.unwrap_or(AttachResult { row, detached: 0 });
        Ok(Confirmed {
            transition: Transition::Moved(row.into_upload()?),
            detached,
        })
    }
}

impl RecordConfirm {
    /// The answer where nothing changed. If its own key is recorded, an earlier try succeeded, whose answer was lost.
    fn without_change(&self, conn: &mut AnyConnection) -> Result<Confirmed, Failure> {
        let id = self.upload();
        if let Some(lock) = &self.lock {
            lock.release(conn, id)?;
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
