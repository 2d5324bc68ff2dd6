//! Status changes. [`Advance::run`] is the only function that changes a status: a compare-and-set on the statuses from which the
//! domain's status machine allows the step, with exactly one event and one timeline entry in the same transaction.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::attempts::{self, AttemptState};
use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::row::{UploadRow, column_time, errors_text};
use crate::db::engine::row::{find, find_row};
use crate::db::engine::schema::{events, uploads};
use crate::db::events::outbox::NewEvent;
use crate::db::events::upload_log;
use crate::db::writer::counter_deltas::CounterDeltas;
use crate::db::writer::queue::Write;
use crate::domain::attachment::ObjectId;
use crate::domain::event::EventType;
use crate::domain::ids::UploadId;
use crate::domain::object_key::FinalKey;
use crate::domain::upload::{ConfirmedBy, FieldError, Status, Step, Upload};

/// The result of a status change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// This change moved the upload, now or in an earlier try whose answer was lost; the upload as it is now.
    Moved(Upload),
    /// The status doesn't allow the change, or the attempt is no longer open; the upload as it is.
    Stale(Upload),
    /// There is no such upload.
    Missing,
}

impl Transition {
    /// The result of a change that matched no row. If its event exists, an earlier try, whose answer was lost, made the change.
    pub(super) fn of_unchanged(
        conn: &mut AnyConnection,
        upload: UploadId,
        event: &NewEvent,
    ) -> Result<Transition, Failure> {
        let Some(upload) = find(conn, upload)? else {
            return Ok(Transition::Missing);
        };
        Ok(match is_written(conn, event)? {
            true => Transition::Moved(upload),
            false => Transition::Stale(upload),
        })
    }
}

/// A status change that needs no evidence: neither a confirm nor an attach or detach.
#[derive(Debug, Clone)]
pub struct Change {
    /// The upload.
    pub upload: UploadId,
    /// The step.
    pub step: StatusStep,
    /// Now.
    pub at: DateTime<Utc>,
}

/// The steps of a [`Change`].
#[derive(Debug, Clone)]
pub enum StatusStep {
    /// The caller cancels a pending upload.
    Cancel,
    /// A confirmed or detached upload's object is to be removed.
    Delete,
    /// Nothing arrived before the deadline.
    Expire,
    /// The copy differs from the declaration. Requires that its attempt is still open, and abandons it.
    Reject {
        /// Each difference.
        errors: Vec<FieldError>,
        /// The copy's key.
        attempt: FinalKey,
    },
}

impl StatusStep {
    fn step(&self) -> Step {
        match self {
            StatusStep::Cancel => Step::Cancel,
            StatusStep::Delete => Step::Delete,
            StatusStep::Expire => Step::Expire,
            StatusStep::Reject { .. } => Step::Reject,
        }
    }
}

impl Db {
    /// Moves a status by compare-and-set and appends one event.
    pub async fn move_status(&self, change: Change) -> Result<Transition, DbError> {
        let event = self.new_event(change.at);
        self.queue.submit(MoveStatus { change, event }).await
    }
}

struct MoveStatus {
    change: Change,
    event: NewEvent,
}

impl Write for MoveStatus {
    type Answer = Transition;

    fn upload(&self) -> UploadId {
        self.change.upload
    }

    fn write(
        &self,
        conn: &mut AnyConnection,
        deltas: &mut CounterDeltas,
    ) -> Result<Transition, Failure> {
        let mut advance = Advance {
            upload: self.change.upload,
            step: self.change.step.step(),
            event: self.event.clone(),
            at: self.change.at,
            fills: Fills::Nothing,
        };
        if let StatusStep::Reject { errors, attempt } = &self.change.step {
            // The attempt before the upload, as in a confirm: the attempt decides, and locks are taken in one order.
            if !attempts::settle(conn, advance.upload, attempt, AttemptState::Abandoned)? {
                return Transition::of_unchanged(conn, advance.upload, &self.event);
            }
            advance.fills = Fills::FieldErrors(errors_text(errors)?);
        }
        match advance.run(conn, deltas)? {
            Some(row) => Ok(Transition::Moved(row.into_upload()?)),
            None => Transition::of_unchanged(conn, advance.upload, &self.event),
        }
    }
}

/// Whether this event exists: then an earlier try, whose answer was lost, made its change.
pub(in crate::db) fn is_written(conn: &mut AnyConnection, event: &NewEvent) -> QueryResult<bool> {
    let own: Option<String> = events::table
        .filter(events::id.eq(event.id().to_string()))
        .select(events::id)
        .first(conn)
        .optional()?;
    Ok(own.is_some())
}

/// One step of one upload.
pub(in crate::db) struct Advance {
    pub(in crate::db) upload: UploadId,
    pub(in crate::db) step: Step,
    pub(in crate::db) event: NewEvent,
    pub(in crate::db) at: DateTime<Utc>,
    pub(in crate::db) fills: Fills,
}

/// The columns that a step writes besides status, version and time.
pub(in crate::db) enum Fills {
    /// Of a cancel, an expiry or a deletion.
    Nothing,
    /// Of a confirm: the sealed object.
    Sealed {
        /// Its key.
        key: FinalKey,
        /// Its ETag.
        etag: String,
        /// Whose request led to the confirm.
        by: ConfirmedBy,
    },
    /// Of a rejection: the differences, as their column holds them.
    FieldErrors(String),
    /// Of an attach: the record.
    Record(ObjectId),
    /// Of a detach: from when on the object is to be removed.
    RemoveAfter(DateTime<Utc>),
}

/// The columns of [`Fills`]; `None` leaves a column as it is.
#[derive(AsChangeset, Default)]
#[diesel(table_name = uploads)]
struct WithStatus {
    object_key: Option<String>,
    name: Option<String>,
    etag: Option<String>,
    confirmed_at: Option<NaiveDateTime>,
    confirmed_by: Option<&'static str>,
    differences: Option<String>,
    object_id: Option<String>,
    attached_at: Option<NaiveDateTime>,
    detached_at: Option<NaiveDateTime>,
    remove_after: Option<NaiveDateTime>,
}

impl Advance {
    /// Changes the status if it still allows the step, and appends the event whose number is the new version. `None` where it
    /// doesn't: then nothing was written.
    ///
    /// One source status after the other, because the counters need to know which it was; only a deletion has two.
    pub(in crate::db) fn run(
        &self,
        conn: &mut AnyConnection,
        deltas: &mut CounterDeltas,
    ) -> Result<Option<UploadRow>, Failure> {
        let id = self.upload.to_string();
        for (source, target) in edges(self.step) {
            let new_version: Option<i64> = diesel::update(uploads::table)
                .filter(uploads::id.eq(&id))
                .filter(uploads::status.eq(source.as_str()))
                .set((
                    uploads::status.eq(target.as_str()),
                    uploads::version.eq(uploads::version + 1),
                    self.with_status(),
                ))
                .returning(uploads::version)
                .get_result(conn)
                .optional()?;
            if new_version.is_some() {
                let row = self.append_event(conn, &id, target)?;
                deltas.moved(&row, source, target);
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Appends the event, and returns the changed row.
    fn append_event(
        &self,
        conn: &mut AnyConnection,
        id: &str,
        reached: Status,
    ) -> Result<UploadRow, Failure> {
        let refused = |why: String| Failure::Refused(DbError::Internal(why));
        let kind = EventType::of(reached)
            .ok_or_else(|| refused(format!("no event for reaching {reached}")))?;
        let row = find_row(conn, id)?.ok_or_else(|| refused(format!("{id} is gone")))?;
        let upload = row.clone().into_upload()?;
        self.event.append(conn, kind, self.at, &upload)?;
        upload_log::reached(conn, &upload, self.at)?;
        Ok(row)
    }

    fn with_status(&self) -> WithStatus {
        let at = Some(column_time(self.at));
        let nothing = WithStatus::default();
        match &self.fills {
            Fills::Nothing => nothing,
            Fills::Sealed { key, etag, by } => WithStatus {
                object_key: Some(key.as_str().to_owned()),
                name: Some(key.name().to_owned()),
                etag: Some(etag.clone()),
                confirmed_at: at,
                confirmed_by: Some(by.as_str()),
                ..nothing
            },
            Fills::FieldErrors(differences) => WithStatus {
                differences: Some(differences.clone()),
                ..nothing
            },
            Fills::Record(object_id) => WithStatus {
                object_id: Some(object_id.as_str().to_owned()),
                attached_at: at,
                ..nothing
            },
            Fills::RemoveAfter(remove_after) => WithStatus {
                detached_at: at,
                remove_after: Some(column_time(*remove_after)),
                ..nothing
            },
        }
    }
}

/// The source and target statuses of a step, from the domain's status machine.
fn edges(step: Step) -> impl Iterator<Item = (Status, Status)> {
    let edge = move |source: Status| Some((source, source.after(step)?));
    Status::ALL.into_iter().filter_map(edge)
}
