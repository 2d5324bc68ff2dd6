//! Seal attempts: every key that a copy may write is committed here first, with who will answer for it.

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

/// What the log says of an attempt that found nothing.
const NOTHING_THERE: &str = "no object yet";

/// A copy that is about to be made.
#[derive(Debug, Clone)]
pub struct SealAttempt {
    /// The fresh key that it will write.
    pub key: FinalKey,
    /// The upload that it seals.
    pub upload: UploadId,
    /// Now.
    pub at: DateTime<Utc>,
}

/// Where an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::db) enum AttemptState {
    /// Its copy may be under way; only now can it be recorded.
    Open,
    /// Its key is the upload's.
    Recorded,
    /// Its key will never be anyone's: its object may be removed.
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

    /// Gives up an open attempt. True when it is abandoned now, so that its object may be removed; false when it was
    /// recorded or is unknown.
    pub async fn abandon_attempt(&self, upload: UploadId, key: &FinalKey) -> Result<bool, DbError> {
        self.queue
            .submit(AbandonAttempt {
                upload,
                key: key.clone(),
            })
            .await
    }

    /// Notes when an abandoned attempt's object was seen to be removed. The first time stays.
    pub async fn attempt_removed(
        &self,
        upload: UploadId,
        key: FinalKey,
        at: DateTime<Utc>,
    ) -> Result<(), DbError> {
        self.queue.submit(AttemptRemoved { upload, key, at }).await
    }

    /// Forgets an open attempt whose copy surely wrote nothing and never will: its key needs nobody's care. One that was
    /// settled meanwhile stays. Fine when it is gone already. The upload's log keeps that nothing was there.
    pub async fn forget_attempt(&self, upload: UploadId, key: &FinalKey) -> Result<(), DbError> {
        let (key, at) = (key.clone(), Utc::now());
        self.queue.submit(ForgetAttempt { upload, key, at }).await
    }

    /// The keys of an upload's abandoned attempts whose objects were not seen to be removed, oldest first, at most `limit`.
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

/// Moves this upload's attempt from `open`; false when it wasn't.
pub(in crate::db) fn settle(
    conn: &mut AnyConnection,
    upload: UploadId,
    key: &FinalKey,
    to: AttemptState,
) -> QueryResult<bool> {
    change(conn, upload, key, AttemptState::Open, to)
}

/// Gives up an attempt that this same transaction had marked as recorded.
pub(in crate::db) fn take_back(
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
        // The row is there already: fine when this very attempt wrote it and nobody has settled it since.
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

struct ForgetAttempt {
    upload: UploadId,
    key: FinalKey,
    at: DateTime<Utc>,
}

impl Write for ForgetAttempt {
    type Answer = ();

    fn upload(&self) -> UploadId {
        self.upload
    }

    fn write(&self, conn: &mut AnyConnection, _: &mut CounterDeltas) -> Result<(), Failure> {
        let forgotten = diesel::delete(seal_attempts::table)
            .filter(seal_attempts::object_key.eq(self.key.as_str()))
            .filter(seal_attempts::upload_id.eq(self.upload.to_string()))
            .filter(seal_attempts::state.eq(AttemptState::Open.as_str()))
            .execute(conn)?;
        match forgotten {
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
