//! Reading the timeline of an upload, that is its entries and its seal attempts, and the last problems of uploads.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::DbError;
use crate::db::engine::schema::{seal_attempts, upload_log, uploads};
use crate::db::events::upload_log::{MAX_NOTES, NoteKind};
use crate::db::uploads::attempts::AttemptState;
use crate::domain::ids::UploadId;

/// An entry of an upload's timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineEntry {
    /// When it first happened.
    pub at: DateTime<Utc>,
    /// When it last happened.
    pub last_at: DateTime<Utc>,
    /// The new status, a [`NoteKind`], or `more`.
    pub kind: String,
    /// What happened, in words.
    pub detail: String,
    /// How many times in a row.
    pub times: u64,
}

impl Db {
    /// The last problems of these uploads; those without one are left out.
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

    /// An upload's timeline with its seal attempts, oldest first; empty for one that doesn't exist. At most 192 entries.
    pub async fn timeline(&self, upload: UploadId) -> Result<Vec<TimelineEntry>, DbError> {
        let query = move |conn: &mut AnyConnection| {
            let id = upload.to_string();
            let rows: Vec<(NaiveDateTime, NaiveDateTime, String, String, i64)> = upload_log::table
                .filter(upload_log::upload_id.eq(&id))
                .order(upload_log::entry)
                .limit(2 * MAX_NOTES)
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
                .limit(MAX_NOTES)
                .select((seal_attempts::started_at, seal_attempts::state))
                .load(conn)?;
            let mut timeline: Vec<TimelineEntry> =
                attempts.into_iter().map(attempt_entry).collect();
            timeline.extend(rows.into_iter().map(|(at, last_at, kind, detail, times)| {
                TimelineEntry {
                    at: at.and_utc(),
                    last_at: last_at.and_utc(),
                    kind,
                    detail,
                    times: u64::try_from(times).unwrap_or_default(),
                }
            }));
            // Stable: at the same time, an attempt comes before the status change that followed from it.
            timeline.sort_by_key(|entry| entry.at);
            Ok(timeline)
        };
        self.readers.read(query).await
    }
}

fn attempt_entry((at, state): (NaiveDateTime, String)) -> TimelineEntry {
    let detail = if state == AttemptState::Recorded.as_str() {
        "object copied to its final key and checked"
    } else if state == AttemptState::Abandoned.as_str() {
        "copy abandoned"
    } else {
        "copy in progress"
    };
    TimelineEntry {
        at: at.and_utc(),
        last_at: at.and_utc(),
        kind: NoteKind::Seal.as_str().to_owned(),
        detail: detail.to_owned(),
        times: 1,
    }
}
