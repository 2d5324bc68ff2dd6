//! The timeline of one upload, for operators, and the notes that it is made of.
//!
//! A note never decides anything: the work that it describes continues even if the note can't be written.

use crate::db::{Note, NoteKind, TimelineEntry};
use crate::domain::ids::UploadId;
use crate::domain::principal::{Principal, Scope};
use crate::domain::upload::{FieldError, Upload};

use crate::broker::access::{self, Action};
use crate::broker::{Broker, BrokerError, now};

impl Broker {
    /// The entries of an upload's timeline, oldest first.
    pub async fn timeline(
        &self,
        caller: &Principal,
        id: UploadId,
    ) -> Result<Vec<TimelineEntry>, BrokerError> {
        access::check_scopes(caller, Action::Operate)?;
        let upload = self.find(id).await?;
        access::check_upload(caller, &upload, Action::Operate)?;
        let mut timeline = Vec::from(beginning(&upload));
        timeline.extend(self.0.db.timeline(id).await?);
        // A stable sort: of entries with the same time, a seal attempt stays before the status change that it led to.
        timeline.sort_by_key(|entry| entry.at);
        Ok(timeline)
    }

    /// The last problem of each of these uploads, for operators; `None` for other callers. It is the field errors of a rejected
    /// upload, and for any other the last failure to settle it.
    pub async fn last_problems(
        &self,
        caller: &Principal,
        uploads: &[Upload],
    ) -> Result<Option<Vec<(UploadId, String)>>, BrokerError> {
        if !caller.has(Scope::Ops) {
            return Ok(None);
        }
        let (rejected, others): (Vec<&Upload>, Vec<&Upload>) =
            uploads.iter().partition(|it| !it.errors.is_empty());
        let others: Vec<UploadId> = others.into_iter().map(|it| it.id).collect();
        let mut problems = self.0.db.problems_of(&others).await?;
        let summary = |it: &Upload| (it.id, FieldError::summary(&it.errors));
        problems.extend(rejected.into_iter().map(summary));
        Ok(Some(problems))
    }

    /// Records an operator's manual action in the log and in the upload's timeline, before the action and independent of its result.
    pub(in crate::broker) async fn note_operator(
        &self,
        caller: &Principal,
        upload: UploadId,
        what: &str,
    ) {
        let by = caller.name();
        tracing::info!(%upload, what, by, "manual action");
        let detail = format!("{what}, by {by}");
        self.note(upload, NoteKind::Operator, detail).await;
    }

    /// Adds a note to an upload's timeline, if it can be written at once.
    pub(in crate::broker) async fn note(&self, upload: UploadId, kind: NoteKind, detail: String) {
        let note = Note {
            upload,
            kind,
            detail,
            at: now(),
        };
        if let Err(error) = self.0.db.note(note).await {
            tracing::warn!(%upload, %error, "timeline note not written");
        }
    }
}

/// The first two entries of every timeline, made from the row: a create writes no entries.
fn beginning(upload: &Upload) -> [TimelineEntry; 2] {
    let Upload {
        field,
        size,
        content_type,
        ..
    } = upload;
    let declared = format!("for {field}: {size} bytes of {}", content_type.as_str());
    let lifetime = format!("a PUT, valid for at most {} s", upload.url_lifetime_secs);
    [
        entry(upload.created_at, "created", declared),
        entry(upload.created_at, "presigned", lifetime),
    ]
}

fn entry(at: chrono::DateTime<chrono::Utc>, kind: &str, detail: String) -> TimelineEntry {
    TimelineEntry {
        at,
        last_at: at,
        kind: kind.to_owned(),
        detail,
        times: 1,
    }
}
