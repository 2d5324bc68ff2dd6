//! Attaching an upload to a record: a status change, and on a field of cardinality `one` the former upload's too, in one
//! transaction.
//!
//! Locks are taken in one order: slot, upload, former uploads. So of two brokers that replace at once the second sees what the
//! first has attached, and detaches it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::detachments::untie;
use super::transition::{Advance, Fills, is_written};
use crate::db::Db;
use crate::db::engine::connection::{AnyConnection, MultiBackend};
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::row::UploadRow;
use crate::db::engine::row::find;
use crate::db::engine::schema::uploads;
use crate::db::events::outbox::NewEvent;
use crate::db::requests::idempotency::{self, Claimed, IdempotencyClaim};
use crate::db::writer::attachment_locks::Slot;
use crate::db::writer::counter_deltas::CounterDeltas;
use crate::db::writer::queue::Write;
use crate::domain::attachment::ObjectId;
use crate::domain::field::FieldName;
use crate::domain::ids::UploadId;
use crate::domain::upload::{Status, Step, Upload};

/// How many former uploads one attach detaches: more than one only where the field's cardinality was `many` before.
const MOST_FORMER: i64 = 1_000;

/// A record to attach to, and what that does to what was attached before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachTo {
    /// The upload's field.
    pub field: FieldName,
    /// The record.
    pub object_id: ObjectId,
    /// Whether the field's former upload of the record is detached: cardinality `one`.
    pub replaces: bool,
    /// How long the object of a detached one is kept, in seconds.
    pub removal_grace_secs: u32,
}

impl AttachTo {
    /// What has to be locked first.
    pub(in crate::db) fn slot(&self) -> Option<Slot> {
        self.replaces
            .then(|| Slot::new(&self.field, &self.object_id))
    }
}

/// An attach on its own.
#[derive(Debug, Clone)]
pub struct Attach {
    /// Which upload.
    pub upload: UploadId,
    /// To which record.
    pub to: AttachTo,
    /// When.
    pub at: DateTime<Utc>,
    /// What its request claims by its success, where it carries a key.
    pub idempotency: Option<IdempotencyClaim>,
}

/// What became of an attach.
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
    /// It is attached to this very record already.
    Already(Upload),
    /// Another request succeeded with the same key; nothing was done.
    OtherBody,
    /// It was not in a status that allows this; the upload as it is.
    Stale(Upload),
    /// There is no such upload.
    Missing,
}

impl Db {
    /// Attaches a confirmed upload to a record. A key is claimed by success alone.
    pub async fn attach(&self, attach: Attach) -> Result<Attached, DbError> {
        let (slot, event) = (attach.to.slot(), self.new_event(attach.at));
        let change = AttachOne {
            attach,
            slot,
            event,
        };
        self.queue.submit(change).await
    }
}

struct AttachOne {
    attach: Attach,
    slot: Option<Slot>,
    event: NewEvent,
}

impl Write for AttachOne {
    type Answer = Attached;

    fn upload(&self) -> UploadId {
        self.attach.upload
    }

    fn slot(&self) -> Option<&Slot> {
        self.slot.as_ref()
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
            Claimed::Fresh => match tie(conn, *upload, to, &self.event, *at, deltas)? {
                Some(Tied { row, detached }) => Attached::Moved {
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
            // The batch may have locked the slot by a row for this upload.
            _ => self.release(conn)?,
        }
        Ok(answer)
    }
}

impl AttachOne {
    /// Nothing to change: because an earlier try did it, or because it can't be done.
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

    /// The key is claimed: by a request before, or by this one in a commit whose answer was lost.
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
            // Two requests that succeed with one key at once ask for the same record of the same upload: only one can attach.
            Claimed::OtherBody => Err(Failure::Refused(DbError::Busy)),
        }
    }

    fn release(&self, conn: &mut AnyConnection) -> QueryResult<()> {
        match &self.slot {
            Some(slot) => slot.release(conn, self.attach.upload),
            None => Ok(()),
        }
    }
}

/// An upload that is attached now.
pub(in crate::db) struct Tied {
    pub(in crate::db) row: UploadRow,
    pub(in crate::db) detached: usize,
}

/// Attaches a confirmed upload and detaches what was attached before; `None` where it isn't confirmed, and then only the slot
/// may have changed.
pub(in crate::db) fn tie(
    conn: &mut AnyConnection,
    upload: UploadId,
    to: &AttachTo,
    event: &NewEvent,
    at: DateTime<Utc>,
    deltas: &mut CounterDeltas,
) -> Result<Option<Tied>, Failure> {
    let slot = to.slot();
    if let Some(slot) = &slot {
        slot.lock(conn, upload)?;
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
    let Some(slot) = slot else {
        return Ok(Some(Tied { row, detached: 0 }));
    };
    slot.give(conn, upload)?;
    let mut detached = 0;
    for former in attached_before(conn, upload, to)? {
        let event = event.another(at);
        let untied = untie(conn, former, to.removal_grace_secs, event, at, deltas)?;
        detached += usize::from(untied.is_some());
    }
    Ok(Some(Tied { row, detached }))
}

/// The other uploads that are attached to the record. Asked of the uploads and not of the slot alone, so that a field whose
/// cardinality was `many` before has one again after the next attach.
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

/// The statement of it.
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
        .limit(MOST_FORMER)
}
