//! Status changes. [`advance`] is the only function that changes a status: a compare-and-set on the statuses from which the
//! domain's machine allows the step, exactly one event, and an entry in the
//! upload's log, in the same transaction.

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

/// What became of a status change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// This change moved it, now or in an earlier try whose answer was lost; the upload as it is now.
    Moved(Upload),
    /// It was not in a status that allows this, or its attempt is no longer open; the upload as it is.
    Stale(Upload),
    /// There is no such upload.
    Missing,
}

/// A status change on its own: everything but the confirm, which needs evidence.
#[derive(Debug, Clone)]
pub struct Change {
    /// Which upload.
    pub upload: UploadId,
    /// What happens to it.
    pub step: StatusStep,
    /// When.
    pub at: DateTime<Utc>,
}

/// The steps of a [`Change`].
#[derive(Debug, Clone)]
pub enum StatusStep {
    /// The caller gives up a pending upload.
    Cancel,
    /// A confirmed or detached upload's object is to be removed.
    Delete,
    /// Nothing arrived before the deadline.
    Expire,
    /// What arrived is not what was declared. Demands that the attempt that saw it is still open, and abandons it.
    Reject {
        /// What differs.
        errors: Vec<FieldError>,
        /// The key of the copy that showed them.
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
            // The attempt first, as a confirm does it: who holds the attempt decides, and locks are taken in one order.
            if !attempts::settle(conn, advance.upload, attempt, AttemptState::Abandoned)? {
                return self.without_change(conn);
            }
            advance.fills = Fills::FieldErrors(errors_text(errors)?);
        }
        match advance.run(conn, deltas)? {
            Some(row) => Ok(Transition::Moved(row.into_upload()?)),
            None => self.without_change(conn),
        }
    }
}

impl MoveStatus {
    /// Nothing to change: because an earlier try did it, or because it can't be done.
    fn without_change(&self, conn: &mut AnyConnection) -> Result<Transition, Failure> {
        let Some(upload) = find(conn, self.change.upload)? else {
            return Ok(Transition::Missing);
        };
        Ok(match is_written(conn, &self.event)? {
            true => Transition::Moved(upload),
            false => Transition::Stale(upload),
        })
    }
}

/// Whether this event is there: then an earlier try, whose answer was lost, made the change that it tells of.
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
    /// What it records besides status and version.
    pub(in crate::db) fills: Fills,
}

/// What a step records with the status.
pub(in crate::db) enum Fills {
    /// A cancel, an expiry or a deletion: nothing.
    Nothing,
    /// A confirm: what it found.
    Recorded(Recorded),
    /// A rejection: the differences, as their column holds them.
    FieldErrors(String),
    /// An attach: the record.
    Record(ObjectId),
    /// A detach: from when on the object is to be removed.
    RemoveAfter(DateTime<Utc>),
}

/// What a confirm records besides the time.
pub(in crate::db) struct Recorded {
    pub(in crate::db) key: FinalKey,
    pub(in crate::db) etag: String,
    pub(in crate::db) by: ConfirmedBy,
}

/// The columns that come with a status; `None` leaves one as it is.
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
    /// Changes the status if it still allows the step, and appends the event whose number is the new version. `None`: it
    /// doesn't, and nothing was written. Zero updated rows are an outcome, not an error.
    ///
    /// One source after the other, because the counters have to know which it was; only a deletion has two.
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

    /// Appends the event, and gives back the row that it tells of.
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
            Fills::Recorded(recorded) => WithStatus {
                object_key: Some(recorded.key.as_str().to_owned()),
                name: Some(recorded.key.name().to_owned()),
                etag: Some(recorded.etag.clone()),
                confirmed_at: at,
                confirmed_by: Some(recorded.by.as_str()),
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

/// From where the step leads where: read off the domain's machine.
fn edges(step: Step) -> impl Iterator<Item = (Status, Status)> {
    let edge = move |source: Status| Some((source, source.after(step)?));
    Status::ALL.into_iter().filter_map(edge)
}
