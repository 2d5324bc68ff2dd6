//! Seal attempts: each key that a copy may write is committed here first, with its upload.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::row::{AttemptRow, column_time};
use crate::db::engine::schema::seal_attempts;
use crate::db::events::upload_log::{self, NoteKind};
use crate::db::writer::counter_deltas::CounterDeltas;
use crate::db::writer::queue::Write;
use crate::domain::ids::UploadId;
use crate::domain::object_key::FinalKey;

/// The timeline entry of an attempt that found nothing.
const NOTHING_THERE: &str = "no object yet";

/// A copy to be made.
#[derive(Debug, Clone)]
pub struct SealAttempt {
    /// The fresh key that it will write.
    pub key: FinalKey,
    /// Its upload.
    pub upload: UploadId,
    /// Now.
    pub at: DateTime<Utc>,
}

/// The state of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::db) enum AttemptState {
    /// Its copy may be under way. Only an open attempt can be recorded.
    Open,
    /// Its key is the upload's.
    Recorded,
    /// Its key is never recorded: its object may be removed.
    Abandoned,
}

impl AttemptState {
    /// The name in the database.
    pub(in crate::db) fn as_str(self) -> &'static str {
        match self {
            AttemptState::Open => "open",
            AttemptState::Recorded => "recorded",
            AttemptState::Abandoned => "abandoned",
        }
    }
}

impl Db {
    /// Commits an open attempt; only then may its copy be sent. An upload that doesn't exist is [`DbError::Internal`].
    pub async fn open_attempt(&self, attempt: SealAttempt) -> Result<(), DbError> {
        self.queue.submit(OpenAttempt(attempt)).await
    }

    /// Abandons an open attempt. True when it is abandoned, so that its object may be removed; false when it was recorded or is
    /// unknown.
    pub async fn abandon_attempt(&self, upload: UploadId, key: &FinalKey) -> Result<bool, DbError> {
        self.queue
            .submit(AbandonAttempt {
                upload,
                key: key.clone(),
            })
            .await
    }

    /// Records when an abandoned attempt's object was seen to be removed. The first time stays.
    pub async fn attempt_removed(
        &self,
        upload: UploadId,
        key: FinalKey,
        at: DateTime<Utc>,
    ) -> Result<(), DbError> {
        self.queue.submit(AttemptRemoved { upload, key, at }).await
    }

    /// Deletes an open attempt whose copy certainly wrote nothing and never will. One that was settled meanwhile stays; a missing one
    /// is not an error. The upload's timeline keeps that nothing had arrived.
    pub async fn delete_attempt(&self, upload: UploadId, key: &FinalKey) -> Result<(), DbError> {
        let (key, at) = (key.clone(), Utc::now());
        self.queue.submit(DeleteAttempt { upload, key, at }).await
    }

    /// The keys of an upload's abandoned attempts whose objects are not yet removed, oldest first, at most `limit`.
    pub async fn abandoned_copies(
        &self,
        upload: UploadId,
        limit: u32,
    ) -> Result<Vec<FinalKey>, DbError> {
        let query = move |conn: &mut AnyConnection| {
            let rows: Vec<(String, String)> = seal_attempts::table
                .filter(seal_attempts::upload_id.eq(upload.to_string()))
                .filter(seal_attempts::state.eq(AttemptState::Abandoned.as_str()))
                .filter(seal_attempts::object_removed_at.is_null())
                .order((seal_attempts::started_at, seal_attempts::object_key))
                .limit(i64::from(limit))
                .select((seal_attempts::object_key, seal_attempts::name))
                .load(conn)?;
            let recorded = |(key, name)| FinalKey::recorded(key, name);
            Ok(rows.into_iter().map(recorded).collect())
        };
        self.readers.read(query).await
    }
}

/// Settles this upload's open attempt; false when it isn't open.
pub(in crate::db) fn settle(
    conn: &mut AnyConnection,
    upload: UploadId,
    key: &FinalKey,
    to: AttemptState,
) -> QueryResult<bool> {
    change(conn, upload, key, AttemptState::Open, to)
}

/// Abandons an attempt that the same transaction marked as recorded.
pub(in crate::db) fn abandon_recorded(
    conn: &mut AnyConnection,
    upload: UploadId,
    key: &FinalKey,
) -> QueryResult<bool> {
    change(
        conn,
        upload,
        key,
        AttemptState::Recorded,
        AttemptState::Abandoned,
    )
}

fn change(
    conn: &mut AnyConnection,
    upload: UploadId,
    key: &FinalKey,
    from: AttemptState,
    to: AttemptState,
) -> QueryResult<bool> {
    let changed = diesel::update(seal_attempts::table)
        .filter(seal_attempts::object_key.eq(key.as_str()))
        .filter(seal_attempts::upload_id.eq(upload.to_string()))
        .filter(seal_attempts::state.eq(from.as_str()))
        .set(seal_attempts::state.eq(to.as_str()))
        .execute(conn)?;
    Ok(changed == 1)
}

fn find(conn: &mut AnyConnection, key: &FinalKey) -> QueryResult<Option<AttemptRow>> {
    seal_attempts::table
        .filter(seal_attempts::object_key.eq(key.as_str()))
        .select(AttemptRow::as_select())
        .first(conn)
        .optional()
}

struct OpenAttempt(SealAttempt);

impl Write for OpenAttempt {
    type Answer = ();

    fn upload(&self) -> UploadId {
        self.0.upload
    }

    fn write(&self, conn: &mut AnyConnection, _: &mut CounterDeltas) -> Result<(), Failure> {
        let row = AttemptRow {
            object_key: self.0.key.as_str().to_owned(),
            name: self.0.key.name().to_owned(),
            upload_id: self.0.upload.to_string(),
            state: AttemptState::Open.as_str().to_owned(),
            started_at: column_time(self.0.at),
            object_removed_at: None,
        };
        let insert = diesel::insert_into(seal_attempts::table)
            .values(&row)
            .on_conflict_do_nothing();
        // The same statement on both; MultiConnection itself has no `on_conflict`.
        let inserted = match conn {
            AnyConnection::Sqlite(conn) => insert.execute(conn)?,
            AnyConnection::Postgres(conn) => insert.execute(conn)?,
        };
        // The row exists: fine when an earlier try of this attempt wrote it, and it is still open.
        if inserted == 0 && find(conn, &self.0.key)?.as_ref() != Some(&row) {
            let why = format!("the key of a new attempt for {} is taken", self.0.upload);
            return Err(Failure::Refused(DbError::Internal(why)));
        }
        Ok(())
    }
}

struct AbandonAttempt {
    upload: UploadId,
    key: FinalKey,
}

impl Write for AbandonAttempt {
    type Answer = bool;

    fn upload(&self) -> UploadId {
        self.upload
    }

    fn write(&self, conn: &mut AnyConnection, _: &mut CounterDeltas) -> Result<bool, Failure> {
        if settle(conn, self.upload, &self.key, AttemptState::Abandoned)? {
            return Ok(true);
        }
        let upload_id = self.upload.to_string();
        let abandoned = AttemptState::Abandoned.as_str();
        Ok(find(conn, &self.key)?
            .is_some_and(|row| row.upload_id == upload_id && row.state == abandoned))
    }
}

struct DeleteAttempt {
    upload: UploadId,
    key: FinalKey,
    at: DateTime<Utc>,
}

impl Write for DeleteAttempt {
    type Answer = ();

    fn upload(&self) -> UploadId {
        self.upload
    }

    fn write(&self, conn: &mut AnyConnection, _: &mut CounterDeltas) -> Result<(), Failure> {
        let deleted = diesel::delete(seal_attempts::table)
            .filter(seal_attempts::object_key.eq(self.key.as_str()))
            .filter(seal_attempts::upload_id.eq(self.upload.to_string()))
            .filter(seal_attempts::state.eq(AttemptState::Open.as_str()))
            .execute(conn)?;
        match deleted {
            1 => upload_log::note(conn, self.upload, NoteKind::Seal, NOTHING_THERE, self.at),
            _ => Ok(()),
        }
    }
}

struct AttemptRemoved {
    upload: UploadId,
    key: FinalKey,
    at: DateTime<Utc>,
}

impl Write for AttemptRemoved {
    type Answer = ();

    fn upload(&self) -> UploadId {
        self.upload
    }

    fn write(&self, conn: &mut AnyConnection, _: &mut CounterDeltas) -> Result<(), Failure> {
        diesel::update(seal_attempts::table)
            .filter(seal_attempts::object_key.eq(self.key.as_str()))
            .filter(seal_attempts::upload_id.eq(self.upload.to_string()))
            .filter(seal_attempts::state.eq(AttemptState::Abandoned.as_str()))
            .filter(seal_attempts::object_removed_at.is_null())
            .set(seal_attempts::object_removed_at.eq(column_time(self.at)))
            .execute(conn)?;
        Ok(())
    }
}
