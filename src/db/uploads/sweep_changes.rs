//! Changes that only the sweeper and the removal make: a postponed try, the deletion of an unattached upload, a removed object.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::transition::{Advance, Fills, Transition};
use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::row::column_time;
use crate::db::engine::schema::uploads;
use crate::db::events::outbox::NewEvent;
use crate::db::events::upload_log::{self, NoteKind};
use crate::db::writer::counter_deltas::CounterDeltas;
use crate::db::writer::queue::Write;
use crate::domain::ids::UploadId;
use crate::domain::upload::{Status, Step};

impl Db {
    /// Postpones the sweeper's next try of a pending upload, and notes the reason. An upload in another status is not changed.
    pub async fn postpone(
        &self,
        upload: UploadId,
        until: DateTime<Utc>,
        problem: String,
    ) -> Result<(), DbError> {
        self.queue
            .submit(Postpone {
                upload,
                at: Utc::now(),
                until,
                problem,
            })
            .await
    }

    /// Moves a confirmed upload to `deleted`. An upload that was attached meanwhile, or attached and detached, is not changed.
    pub async fn delete_unattached(
        &self,
        upload: UploadId,
        at: DateTime<Utc>,
    ) -> Result<Transition, DbError> {
        let event = self.new_event(at);
        self.queue
            .submit(DeleteUnattached { upload, at, event })
            .await
    }

    /// Records when the upload's object was seen to be removed. A later call does not change the time.
    pub async fn object_removed(&self, upload: UploadId, at: DateTime<Utc>) -> Result<(), DbError> {
        self.queue.submit(ObjectRemoved { upload, at }).await
    }
}

struct Postpone {
    upload: UploadId,
    at: DateTime<Utc>,
    until: DateTime<Utc>,
    problem: String,
}

impl Write for Postpone {
    type Answer = ();

    fn upload(&self) -> UploadId {
        self.upload
    }

    fn write(&self, conn: &mut AnyConnection, _: &mut CounterDeltas) -> Result<(), Failure> {
        let postponed = diesel::update(uploads::table)
            .filter(uploads::id.eq(self.upload.to_string()))
            .filter(uploads::status.eq(Status::Pending.as_str()))
            .set(uploads::sweep_after.eq(column_time(self.until)))
            .execute(conn)?;
        match postponed {
            1 => upload_log::note(conn, self.upload, NoteKind::Problem, &self.problem, self.at),
            _ => Ok(()),
        }
    }
}

struct DeleteUnattached {
    upload: UploadId,
    at: DateTime<Utc>,
    event: NewEvent,
}

impl Write for DeleteUnattached {
    type Answer = Transition;

    fn upload(&self) -> UploadId {
        self.upload
    }

    fn write(
        &self,
        conn: &mut AnyConnection,
        deltas: &mut CounterDeltas,
    ) -> Result<Transition, Failure> {
        // This update changes nothing and locks the row: a deletion is also allowed from `detached`, whose grace must not be cut short.
        let confirmed = diesel::update(uploads::table)
            .filter(uploads::id.eq(self.upload.to_string()))
            .filter(uploads::status.eq(Status::Confirmed.as_str()))
            .set(uploads::version.eq(uploads::version))
            .execute(conn)?;
        let advance = Advance {
            upload: self.upload,
            step: Step::Delete,
            event: self.event.clone(),
            at: self.at,
            fills: Fills::Nothing,
        };
        if confirmed == 1
            && let Some(row) = advance.run(conn, deltas)?
        {
            return Ok(Transition::Moved(row.into_upload()?));
        }
        Transition::of_unchanged(conn, self.upload, &self.event)
    }
}

struct ObjectRemoved {
    upload: UploadId,
    at: DateTime<Utc>,
}

impl Write for ObjectRemoved {
    type Answer = ();

    fn upload(&self) -> UploadId {
        self.upload
    }

    fn write(&self, conn: &mut AnyConnection, _: &mut CounterDeltas) -> Result<(), Failure> {
        diesel::update(uploads::table)
            .filter(uploads::id.eq(self.upload.to_string()))
            .filter(uploads::object_removed_at.is_null())
            .set(uploads::object_removed_at.eq(column_time(self.at)))
            .execute(conn)?;
        Ok(())
    }
}
