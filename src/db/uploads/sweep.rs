//! What only the sweeper writes: that an upload is to be tried again later, and that nobody claimed one.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::row::column_time;
use super::transition::{Advance, Fills, Transition, is_written};
use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::queue::Write;
use crate::db::engine::schema::uploads;
use crate::db::events::outbox::NewEvent;
use crate::db::ops::timeline::{self, NoteKind};
use crate::db::uploads::counter_deltas::CounterDeltas;
use crate::db::uploads::find::find;
use crate::domain::ids::UploadId;
use crate::domain::upload::{Status, Step};

impl Db {
    /// Puts the next try of a pending upload off, and notes why. One that is no longer pending stays as it is.
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

    /// Moves a confirmed upload to `deleted`; one that was attached meanwhile, or attached and detached, stays as it is.
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
            1 => timeline::note(conn, self.upload, NoteKind::Problem, &self.problem, self.at),
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
        books: &mut CounterDeltas,
    ) -> Result<Transition, Failure> {
        // Changes nothing, but locks the row: a deletion is allowed from `detached` too, whose grace is not ours to end.
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
            && let Some(row) = advance.run(conn, books)?
        {
            return Ok(Transition::Moved(row.into_upload()?));
        }
        let Some(upload) = find(conn, self.upload)? else {
            return Ok(Transition::Missing);
        };
        Ok(match is_written(conn, &self.event)? {
            true => Transition::Moved(upload),
            false => Transition::Stale(upload),
        })
    }
}
