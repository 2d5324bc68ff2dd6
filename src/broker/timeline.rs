//! What happened to one upload, for operators; and the notes from which that is told.
//!
//! A note is written beside the work that it tells of and never decides anything: where it can't be written, the work goes on.

use crate::db::{LogEntry, Note, NoteKind};
use crate::domain::ids::UploadId;
use crate::domain::principal::{Principal, Scope};
use crate::domain::upload::{FieldError, Status, Upload};

use super::access::{self, Act};
use super::{Broker, BrokerError, now};

impl Broker {
    /// Everything that is known to have happened to an upload, oldest first.
    pub async fn timeline(
        &self,
        caller: &Principal,
        id: UploadId,
    ) -> Result<Vec<LogEntry>, BrokerError> {
        access::check_scopes(caller, Act::Operate)?;
        let upload = self.find(id).await?;
        access::check_upload(caller, &upload, Act::Operate)?;
        let mut timeline = Vec::from(beginning(&upload));
        let log = self.0.db.log_of(id).await?;
        let unlogged = unlogged(&upload, &log);
        timeline.extend(log);
        timeline.extend(unlogged);
        // Stable: of what happened at the same moment, a seal comes before what it led to.
        timeline.sort_by_key(|entry| entry.at);
        Ok(timeline)
    }

    /// What is wrong with these uploads, for operators; `None` for everybody else: what a rejected one contradicted, and what kept any
    /// other from being settled last.
    pub async fn last_problems(
        &self,
        caller: &Principal,
        uploads: &[Upload],
    ) -> Result<Option<Vec<(UploadId, String)>>, BrokerError> {
        if !caller.has(Scope::Ops) {
            return Ok(None);
        }
        let (told, others): (Vec<&Upload>, Vec<&Upload>) =
            uploads.iter().partition(|it| !it.errors.is_empty());
        let others: Vec<UploadId> = others.into_iter().map(|it| it.id).collect();
        let mut problems = self.0.db.problems_of(&others).await?;
        let in_words = |it: &Upload| (it.id, FieldError::summary(&it.errors));
        problems.extend(told.into_iter().map(in_words));
        Ok(Some(problems))
    }

    /// Says in the log and in the upload's own who has something done to it by hand, whatever comes of it.
    pub(super) async fn note_operator(&self, caller: &Principal, upload: UploadId, what: &str) {
        let by = caller.name();
        tracing::info!(%upload, what, by, "something is done by hand");
        let detail = format!("{what}, by {by}");
        self.note(upload, NoteKind::Operator, detail).await;
    }

    /// Notes something about an upload, if it can be written at once.
    pub(super) async fn note(&self, upload: UploadId, kind: NoteKind, detail: String) {
        let note = Note {
            upload,
            kind,
            detail,
            at: now(),
        };
        if let Err(error) = self.0.db.note(note).await {
            tracing::warn!(%upload, %error, "a note in an upload's log could not be written");
        }
    }
}

/// What the row itself tells: every upload begins like this, and a create writes no entry for it.
fn beginning(upload: &Upload) -> [LogEntry; 2] {
    let Upload {
        field,
        size,
        content_type,
        ..
    } = upload;
    let asked = format!("for {field}: {size} bytes of {}", content_type.as_str());
    let good_for = format!("a PUT, good for {} s at most", upload.url_lifetime_secs);
    [
        entry(upload.created_at, "created", asked),
        entry(upload.created_at, "presigned", good_for),
    ]
}

/// Status changes that the row tells of and the log doesn't: they were made by a version that had no log.
fn unlogged(upload: &Upload, log: &[LogEntry]) -> Vec<LogEntry> {
    let confirmed = upload.confirmation.as_ref();
    let changes = [
        (
            confirmed.map(|it| it.at),
            Status::Confirmed,
            confirmed.map_or_else(String::new, |it| format!("by {}", it.by.as_str())),
        ),
        (upload.attached_at, Status::Attached, String::new()),
        (upload.detached_at, Status::Detached, String::new()),
    ];
    let missing = changes.into_iter().filter_map(|(at, status, detail)| {
        let known = log.iter().any(|entry| entry.kind == status.as_str());
        at.filter(|_| !known)
            .map(|at| entry(at, status.as_str(), detail))
    });
    missing.collect()
}

fn entry(at: chrono::DateTime<chrono::Utc>, kind: &str, detail: String) -> LogEntry {
    LogEntry {
        at,
        last_at: at,
        kind: kind.to_owned(),
        detail,
        times: 1,
    }
}
