//! Seal attempts: every key that a copy may write is committed here first, with who will answer for it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::Db;
use super::connection::AnyConnection;
use super::queue::Write;
use super::row::{AttemptRow, column_time};
use super::schema::seal_attempts;
use super::trouble::{DbTrouble, Failure};
use crate::domain::ids::UploadId;
use crate::domain::object_key::FinalKey;

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
pub enum AttemptState {
    /// Its copy may be under way; only now can it be recorded.
    Open,
    /// Its key is the upload's.
    Recorded,
    /// Its key will never be anyone's: its object may be removed.
    Abandoned,
}

impl AttemptState {
    /// Every state.
    pub const ALL: [AttemptState; 3] = [
        AttemptState::Open,
        AttemptState::Recorded,
        AttemptState::Abandoned,
    ];

    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            AttemptState::Open => "open",
            AttemptState::Recorded => "recorded",
            AttemptState::Abandoned => "abandoned",
        }
    }
}

/// An attempt as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The key that its copy writes.
    pub key: FinalKey,
    /// Where it stands.
    pub state: AttemptState,
    /// When it was committed.
    pub started_at: DateTime<Utc>,
    /// When its object was seen to be removed.
    pub object_removed_at: Option<DateTime<Utc>>,
}

impl Db {
    /// Commits an open attempt; only then may its copy be sent. An upload that doesn't exist is [`DbTrouble::Internal`].
    pub async fn open_attempt(&self, attempt: SealAttempt) -> Result<(), DbTrouble> {
        self.queue.submit(OpenAttempt(attempt)).await
    }

    /// Gives up an open attempt. True when it is abandoned now, so that its object may be removed; false when it was
    /// recorded or is unknown.
    pub async fn abandon_attempt(
        &self,
        upload: UploadId,
        key: &FinalKey,
    ) -> Result<bool, DbTrouble> {
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
    ) -> Result<(), DbTrouble> {
        self.queue.submit(AttemptRemoved { upload, key, at }).await
    }

    /// Every attempt of an upload, oldest first.
    pub async fn attempts_of(&self, upload: UploadId) -> Result<Vec<Attempt>, DbTrouble> {
        let query = move |conn: &mut AnyConnection| {
            let rows: Vec<AttemptRow> = seal_attempts::table
                .filter(seal_attempts::upload_id.eq(upload.to_string()))
                .order((seal_attempts::started_at, seal_attempts::object_key))
                .select(AttemptRow::as_select())
                .load(conn)?;
            let attempts: Result<Vec<Attempt>, DbTrouble> = rows.into_iter().map(of_row).collect();
            Ok(attempts?)
        };
        self.readers.read(query).await
    }
}

fn of_row(row: AttemptRow) -> Result<Attempt, DbTrouble> {
    let state = AttemptState::ALL
        .into_iter()
        .find(|state| state.as_str() == row.state);
    let unreadable = || {
        DbTrouble::Internal(format!(
            "seal_attempts.state of {} can't be read",
            row.object_key
        ))
    };
    Ok(Attempt {
        state: state.ok_or_else(unreadable)?,
        key: FinalKey::recorded(row.object_key, row.name),
        started_at: row.started_at.and_utc(),
        object_removed_at: row.object_removed_at.map(|at| at.and_utc()),
    })
}

/// Moves this upload's attempt from `open`; false when it wasn't.
pub(super) fn settle(
    conn: &mut AnyConnection,
    upload: UploadId,
    key: &FinalKey,
    to: AttemptState,
) -> QueryResult<bool> {
    change(conn, upload, key, AttemptState::Open, to)
}

/// Gives up an attempt that this same transaction had marked as recorded.
pub(super) fn take_back(
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

    fn write(&self, conn: &mut AnyConnection) -> Result<(), Failure> {
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
            return Err(Failure::Refused(DbTrouble::Internal(why)));
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

    fn write(&self, conn: &mut AnyConnection) -> Result<bool, Failure> {
        if settle(conn, self.upload, &self.key, AttemptState::Abandoned)? {
            return Ok(true);
        }
        let upload_id = self.upload.to_string();
        let abandoned = AttemptState::Abandoned.as_str();
        Ok(find(conn, &self.key)?
            .is_some_and(|row| row.upload_id == upload_id && row.state == abandoned))
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

    fn write(&self, conn: &mut AnyConnection) -> Result<(), Failure> {
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
