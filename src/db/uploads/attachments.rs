//! Attaching an upload to a record, and detaching it. On a field of cardinality `one` an attach also detaches the former upload,
//! in the same transaction.
//!
//! Locks are taken in one order: attachment lock, upload, former uploads. Of two brokers that replace an attachment at the same
//! time, the second sees the upload that the first attached, and detaches it.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;

use super::transition::{Advance, Fills, Transition, is_written};
use crate::db::Db;
use crate::db::engine::connection::{AnyConnection, MultiBackend};
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::row::UploadRow;
use crate::db::engine::row::find;
use crate::db::engine::schema::uploads;
use crate::db::events::outbox::NewEvent;
use crate::db::requests::idempotency::{self, Claimed, IdempotencyClaim};
use crate::db::writer::attachment_locks::AttachmentLock;
use crate::db::writer::counter_deltas::CounterDeltas;
use crate::db::writer::queue::Write;
use crate::domain::attachment::ObjectId;
use crate::domain::field::FieldName;
use crate::domain::ids::UploadId;
use crate::domain::upload::{Status, Step, Upload};

/// The most former uploads that one attach detaches: more than one only where the field's cardinality was `many` before.
const MAX_FORMER: i64 = 1_000;

/// The record to attach to, and whether the former upload is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachTo {
    /// The upload's field.
    pub field: FieldName,
    /// The record.
    pub object_id: ObjectId,
    /// Whether the record's former upload is detached: cardinality `one`.
    pub replaces: bool,
    /// How long the object of a detached upload is kept, in seconds.
    pub removal_grace_secs: u32,
}

impl AttachTo {
    /// The lock that this attach takes first; `None` on a field of cardinality `many`.
    pub(in crate::db) fn lock(&self) -> Option<AttachmentLock> {
        self.replaces
            .then(|| AttachmentLock::new(&self.field, &self.object_id))
    }
}

/// An attach on its own.
#[derive(Debug, Clone)]
pub struct Attach {
    /// The upload.
    pub upload: UploadId,
    /// The record.
    pub to: AttachTo,
    /// Now.
    pub at: DateTime<Utc>,
    /// The request's idempotency key, if it has one.
    pub idempotency: Option<IdempotencyClaim>,
}

/// The result of an attach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attached {
    /// This request attached it, now or in an earlier try whose answer was lost.
    Moved {
        /// The upload as it is now.
        upload: Upload,
        /// How many former uploads were detached for it.
        detached: usize,
    },
    /// The same request, with the same key, succeeded before; the upload as it is now.
    Repeated(Upload),
    /// The upload is attached to this record already.
    Already(Upload),
    /// Another request succeeded with the same key; nothing was changed.
    OtherBody,
    /// Its status doesn't allow an attach; the upload as it is.
    Stale(Upload),
    /// There is no such upload.
    Missing,
}

/// A detach.
#[derive(Debug, Clone)]
pub struct Detach {
    /// The upload.
    pub upload: UploadId,
    /// The record that it was read as attached to; it does not change while the upload is attached.
    pub from: (FieldName, ObjectId),
    /// How long its object is kept, in seconds.
    pub removal_grace_secs: u32,
    /// Now.
    pub at: DateTime<Utc>,
}

impl Db {
    /// Attaches a confirmed upload to a record. Only a success claims the idempotency key.
    pub async fn attach(&self, attach: Attach) -> Result<Attached, DbError> {
        let (lock, event) = (attach.to.lock(), self.new_event(attach.at));
        let change = AttachOne {
            attach,
            lock,
            event,
        };
        self.queue.submit(change).await
    }

    /// Detaches an attached upload: its attachment lock is released, and its object may be removed after the grace.
    pub async fn detach(&self, detach: Detach) -> Result<Transition, DbError> {
        let (field, object_id) = &detach.from;
        let lock = AttachmentLock::new(field, object_id);
        let event = self.new_event(detach.at);
        let change = DetachOne {
            detach,
            lock,
            event,
        };
        self.queue.submit(change).await
    }
}

struct AttachOne {
    attach: Attach,
    lock: Option<AttachmentLock>,
    event: NewEvent,
}

impl Write for AttachOne {
    type Answer = Attached;

    fn upload(&self) -> UploadId {
        self.attach.upload
    }

    fn attachment_lock(&self) -> Option<&AttachmentLock> {
        self.lock.as_ref()
    }

    fn write(
        &self,
        conn: &mut AnyConnection,
        deltas: &mut CounterDeltas,
    ) -> Result<Attached, Failure> {
        let Attach { upload, to, at, .. } = &self.attach;
        let found = match &self.attach.idempotency {
            Some(claim) => idempotency::look(conn, claim)?,
            None => Claimed::Fresh,
        };
        let answer = match found {
            Claimed::Fresh => match attach_upload(conn, *upload, to, &self.event, *at, deltas)? {
                Some(AttachResult { row, detached }) => Attached::Moved {
                    upload: row.into_upload()?,
                    detached,
                },
                None => self.without_change(conn)?,
            },
            Claimed::Repeat(_) => self.repeated(conn)?,
            Claimed::OtherBody => Attached::OtherBody,
        };
        match (&answer, &self.attach.idempotency) {
            (Attached::Moved { .. } | Attached::Already(_), Some(claim)) => {
                self.claim(conn, claim)?
            }
            (Attached::Moved { .. } | Attached::Already(_), None) => {}
            // The batch may have inserted the lock's row for this upload.
            _ => self.release(conn)?,
        }
        Ok(answer)
    }
}

impl AttachOne {
    /// The answer where nothing changed: an earlier try attached it, or its status doesn't allow it.
    fn without_change(&self, conn: &mut AnyConnection) -> Result<Attached, Failure> {
        let Some(upload) = find(conn, self.attach.upload)? else {
            return Ok(Attached::Missing);
        };
        if is_written(conn, &self.event)? {
            return Ok(Attached::Moved {
                upload,
                detached: 0,
            });
        }
        let here = upload.object_id.as_ref() == Some(&self.attach.to.object_id);
        Ok(match upload.status {
            Status::Attached if here => Attached::Already(upload),
            _ => Attached::Stale(upload),
        })
    }

    /// The answer where the key is claimed: by an earlier request, or by this one in a commit whose answer was lost.
    fn repeated(&self, conn: &mut AnyConnection) -> Result<Attached, Failure> {
        if is_written(conn, &self.event)? {
            return self.without_change(conn);
        }
        let found = find(conn, self.attach.upload)?;
        Ok(found.map_or(Attached::Missing, Attached::Repeated))
    }

    fn claim(&self, conn: &mut AnyConnection, claim: &IdempotencyClaim) -> Result<(), Failure> {
        match idempotency::claim(conn, claim)? {
            Claimed::Fresh | Claimed::Repeat(_) => Ok(()),
            // Two concurrent requests with one key attach the same upload to the same record: only one of them can succeed.
            Claimed::OtherBody => Err(Failure::Refused(DbError::Busy)),
        }
    }

    fn release(&self, conn: &mut AnyConnection) -> QueryResult<()> {
        match &self.lock {
            Some(lock) => lock.release(conn, self.attach.upload),
            None => Ok(()),
        }
    }
}

struct DetachOne {
    detach: Detach,
    lock: AttachmentLock,
    event: NewEvent,
}

impl Write for DetachOne {
    type Answer = Transition;

    fn upload(&self) -> UploadId {
        self.detach.upload
    }

    fn attachment_lock(&self) -> Option<&AttachmentLock> {
        Some(&self.lock)
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
        // Before the upload: see the doc of this module.
        self.lock.acquire(conn, *upload)?;
        let (secs, event) = (*removal_grace_secs, self.event.clone());
        let moved = detach_upload(conn, *upload, secs, event, *at, deltas)?;
        self.lock.release(conn, *upload)?;
        match moved {
            Some(row) => Ok(Transition::Moved(row.into_upload()?)),
            None => Transition::of_unchanged(conn, *upload, &self.event),
        }
    }
}

/// An upload that was just attached.
pub(in crate::db) struct AttachResult {
    pub(in crate::db) row: UploadRow,
    pub(in crate::db) detached: usize,
}

/// Attaches a confirmed upload and detaches the former ones. `None` where it isn't confirmed: then at most the lock's row changed.
pub(in crate::db) fn attach_upload(
    conn: &mut AnyConnection,
    upload: UploadId,
    to: &AttachTo,
    event: &NewEvent,
    at: DateTime<Utc>,
    deltas: &mut CounterDeltas,
) -> Result<Option<AttachResult>, Failure> {
    let lock = to.lock();
    if let Some(lock) = &lock {
        lock.acquire(conn, upload)?;
    }
    let advance = Advance {
        upload,
        step: Step::Attach,
        event: event.clone(),
        at,
        fills: Fills::Record(to.object_id.clone()),
    };
    let Some(row) = advance.run(conn, deltas)? else {
        return Ok(None);
    };
    let Some(lock) = lock else {
        return Ok(Some(AttachResult { row, detached: 0 }));
    };
    lock.assign(conn, upload)?;
    let mut detached = 0;
    for former in attached_before(conn, upload, to)? {
        let event = event.another(at);
        let row = detach_upload(conn, former, to.removal_grace_secs, event, at, deltas)?;
        detached += usize::from(row.is_some());
    }
    Ok(Some(AttachResult { row, detached }))
}

/// Detaches one attached upload. `None` where it isn't attached: then nothing was written.
fn detach_upload(
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

/// The other uploads attached to the record. Read from the uploads and not from the lock's row, so that a field whose cardinality was
/// `many` before has one upload after the next attach.
fn attached_before(
    conn: &mut AnyConnection,
    upload: UploadId,
    to: &AttachTo,
) -> Result<Vec<UploadId>, Failure> {
    let (field, object_id) = (to.field.as_str(), to.object_id.as_str());
    let ids: Vec<String> = attached_query(&upload.to_string(), field, object_id).load(conn)?;
    let parsed = ids.iter().map(|id| UploadId::parse(id));
    parsed
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::Refused(DbError::Internal(format!("uploads.id: {error}"))))
}

/// The statement of [`attached_before`], which a test of query plans runs too.
pub(in crate::db) fn attached_query<'a>(
    except: &str,
    field: &'a str,
    object_id: &'a str,
) -> diesel::helper_types::IntoBoxed<
    'a,
    diesel::helper_types::Select<uploads::table, uploads::id>,
    MultiBackend,
> {
    uploads::table
        .select(uploads::id)
        .into_boxed()
        .filter(uploads::object_id.eq(object_id))
        .filter(uploads::field.eq(field))
        .filter(uploads::status.eq(Status::Attached.as_str()))
        .filter(uploads::id.ne(except.to_owned()))
        .order(uploads::id)
        .limit(MAX_FORMER)
}
