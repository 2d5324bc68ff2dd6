//! The timeline of an upload: its log and its seal attempts, and the last problem of uploads.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::DbError;
use crate::db::engine::schema::{seal_attempts, upload_log, uploads};
use crate::db::events::upload_log::{MOST_NOTES, NoteKind};
use crate::db::uploads::attempts::AttemptState;
use crate::domain::ids::UploadId;

/// An entry of an upload's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// When it happened first.
    pub at: DateTime<Utc>,
    /// When it happened last, if more than once.
    pub last_at: DateTime<Utc>,
    /// The status that was reached, a [`NoteKind`], or `more`.
    pub kind: String,
    /// What happened, for a person.
    pub detail: String,
    /// How often in a row.
    pub times: u64,
}

impl Db {
    /// What keeps these uploads from being settled, or kept them last; those without a problem are left out.
    pub async fn problems_of(
        &self,
        uploads: &[UploadId],
    ) -> Result<Vec<(UploadId, String)>, DbError> {
        let ids: Vec<String> = uploads.iter().map(UploadId::to_string).collect();
        let query = move |conn: &mut AnyConnection| {
            let rows: Vec<(String, Option<String>)> = uploads::table
                .filter(uploads::id.eq_any(&ids))
                .filter(uploads::last_problem.is_not_null())
                .select((uploads::id, uploads::last_problem))
                .load(conn)?;
            let known = |(id, problem): (String, Option<String>)| {
                Some((UploadId::parse(&id).ok()?, problem?))
            };
            Ok(rows.into_iter().filter_map(known).collect())
        };
        self.readers.read(query).await
    }

    /// The log of an upload with its seal attempts, oldest first; empty for one that doesn't exist. At most some two hundred
    /// entries.
    pub async fn log_of(&self, upload: UploadId) -> Result<Vec<LogEntry>, DbError> {
        let query = move |conn: &mut AnyConnection| {
            let id = upload.to_string();
            let rows: Vec<(NaiveDateTime, NaiveDateTime, String, String, i64)> = upload_log::table
                .filter(upload_log::upload_id.eq(&id))
                .order(upload_log::entry)
                .limit(2 * MOST_NOTES)
                .select((
                    upload_log::at,
                    upload_log::last_at,
                    upload_log::kind,
                    upload_log::detail,
                    upload_log::times,
                ))
                .load(conn)?;
            let attempts: Vec<(NaiveDateTime, String)> = seal_attempts::table
                .filter(seal_attempts::upload_id.eq(&id))
                .order(seal_attempts::started_at)
                .limit(MOST_NOTES)
                .select((seal_attempts::started_at, seal_attempts::state))
                .load(conn)?;
            let mut log: Vec<LogEntry> = attempts.into_iter().map(attempt_entry).collect();
            log.extend(
                rows.into_iter()
                    .map(|(at, last_at, kind, detail, times)| LogEntry {
                        at: at.and_utc(),
                        last_at: last_at.and_utc(),
                        kind,
                        detail,
                        times: u64::try_from(times).unwrap_or_default(),
                    }),
            );
            // Stable: of what happened at the same moment, an attempt comes before what it led to.
            log.sort_by_key(|entry| entry.at);
            Ok(log)
        };
        self.readers.read(query).await
    }
}

fn attempt_entry((at, state): (NaiveDateTime, String)) -> LogEntry {
    let detail = if state == AttemptState::Recorded.as_str() {
        "object copied to its final key and checked"
    } else if state == AttemptState::Abandoned.as_str() {
        "copy abandoned"
    } else {
        "copy in progress"
    };
    LogEntry {
        at: at.and_utc(),
        last_at: at.and_utc(),
        kind: NoteKind::Seal.as_str().to_owned(),
        detail: detail.to_owned(),
        times: 1,
    }
}
