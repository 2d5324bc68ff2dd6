//! Writing the entries of an upload's timeline.
//!
//! An entry is written with its change, or beside it; nothing is decided by one. A timeline is bounded: repetitions are one entry with
//! a count, and after [`MAX_NOTES`] entries only status changes are kept, and notes are counted.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::row::column_time;
use crate::db::engine::schema::{upload_log, uploads};
use crate::db::writer::counter_deltas::CounterDeltas;
use crate::db::writer::queue::Write;
use crate::domain::ids::UploadId;
use crate::domain::upload::{FieldError, Status, Upload};

/// After this many entries notes are only counted. Status changes are always kept: the status machine bounds their number.
pub(in crate::db) const MAX_NOTES: i64 = 64;
/// More entries for the actions of operators, so that no client can use them up.
const MAX_OPERATOR_NOTES: i64 = 16;
/// The most characters of an entry's text.
const MAX_DETAIL_CHARS: usize = 300;
/// How many times an entry looks for a free number while another broker writes to the same timeline.
const TRIES: u32 = 5;
/// The entry that stands for all further notes.
const MORE: &str = "more";

/// The kind of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteKind {
    /// Presigned again.
    Represigned,
    /// A bucket notification.
    Event,
    /// A seal attempt without a result.
    Seal,
    /// A problem that keeps the upload from being settled; also shown as its last problem.
    Problem,
    /// A delivery of one of its events.
    Webhook,
    /// A manual action or an offline command.
    Operator,
}

impl NoteKind {
    /// The name in the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            NoteKind::Represigned => "represigned",
            NoteKind::Event => "event",
            NoteKind::Seal => "seal",
            NoteKind::Problem => "problem",
            NoteKind::Webhook => "webhook",
            NoteKind::Operator => "operator",
        }
    }
}

/// A timeline entry that is not a status change.
#[derive(Debug, Clone)]
pub struct Note {
    /// The upload.
    pub upload: UploadId,
    /// Its kind.
    pub kind: NoteKind,
    /// What happened, in words; cut after 300 characters.
    pub detail: String,
    /// When.
    pub at: DateTime<Utc>,
}

#[derive(Insertable)]
#[diesel(table_name = upload_log)]
struct NewEntry<'a> {
    upload_id: &'a str,
    entry: i64,
    at: NaiveDateTime,
    last_at: NaiveDateTime,
    kind: &'a str,
    detail: &'a str,
    times: i64,
}

impl Db {
    /// Writes a note. One about an upload that doesn't exist is ignored.
    pub async fn note(&self, note: Note) -> Result<(), DbError> {
        self.queue.submit(WriteNote(note)).await
    }
}

struct WriteNote(Note);

impl Write for WriteNote {
    type Answer = ();

    fn upload(&self) -> UploadId {
        self.0.upload
    }

    fn write(&self, conn: &mut AnyConnection, _: &mut CounterDeltas) -> Result<(), Failure> {
        let Note {
            upload,
            kind,
            detail,
            at,
        } = &self.0;
        note(conn, *upload, *kind, detail, *at)
    }
}

/// Writes a note within a transaction.
pub(in crate::db) fn note(
    conn: &mut AnyConnection,
    upload: UploadId,
    kind: NoteKind,
    detail: &str,
    at: DateTime<Utc>,
) -> Result<(), Failure> {
    let id = upload.to_string();
    let known: Option<String> = uploads::table
        .filter(uploads::id.eq(&id))
        .select(uploads::id)
        .first(conn)
        .optional()?;
    if known.is_none() {
        return Ok(());
    }
    let detail: String = detail.chars().take(MAX_DETAIL_CHARS).collect();
    if kind == NoteKind::Problem {
        diesel::update(uploads::table)
            .filter(uploads::id.eq(&id))
            .filter(uploads::status.eq(Status::Pending.as_str()))
            .set(uploads::last_problem.eq(&detail))
            .execute(conn)?;
    }
    append(conn, &id, kind.as_str(), &detail, at, true)
}

/// Writes the entry of a status change: the upload as it is after it.
pub(in crate::db) fn reached(
    conn: &mut AnyConnection,
    upload: &Upload,
    at: DateTime<Utc>,
) -> Result<(), Failure> {
    let detail: String = detail_of(upload).chars().take(MAX_DETAIL_CHARS).collect();
    let id = upload.id.to_string();
    append(conn, &id, upload.status.as_str(), &detail, at, false)
}

fn detail_of(upload: &Upload) -> String {
    let record = upload.object_id.as_ref().map_or("", |id| id.as_str());
    match upload.status {
        Status::Confirmed => upload
            .confirmation
            .as_ref()
            .map_or_else(String::new, |it| format!("by {}", it.by.as_str())),
        Status::Rejected => FieldError::summary(&upload.errors),
        Status::Attached => format!("to {}/{record}", upload.field.model()),
        Status::Detached => format!("from {}/{record}", upload.field.model()),
        Status::Expired => "nothing had arrived".to_owned(),
        Status::Pending | Status::Canceled | Status::Deleted => String::new(),
    }
}

fn append(
    conn: &mut AnyConnection,
    upload_id: &str,
    kind: &str,
    detail: &str,
    at: DateTime<Utc>,
    is_note: bool,
) -> Result<(), Failure> {
    let at = column_time(at);
    for _ in 0..TRIES {
        let last: Option<(i64, String, String)> = upload_log::table
            .filter(upload_log::upload_id.eq(upload_id))
            .order(upload_log::entry.desc())
            .select((upload_log::entry, upload_log::kind, upload_log::detail))
            .first(conn)
            .optional()?;
        let entry = last.as_ref().map_or(1, |last| last.0 + 1);
        let max = match kind == NoteKind::Operator.as_str() {
            true => MAX_NOTES + MAX_OPERATOR_NOTES,
            false => MAX_NOTES,
        };
        let (kind, detail) = match is_note && entry > max {
            true => (MORE, ""),
            false => (kind, detail),
        };
        if let Some((number, ..)) = last.filter(|(_, k, d)| is_note && k == kind && d == detail) {
            diesel::update(upload_log::table.find((upload_id, number)))
                .set((
                    upload_log::times.eq(upload_log::times + 1),
                    upload_log::last_at.eq(at),
                ))
                .execute(conn)?;
            return Ok(());
        }
        let insert = diesel::insert_into(upload_log::table)
            .values(NewEntry {
                upload_id,
                entry,
                at,
                last_at: at,
                kind,
                detail,
                times: 1,
            })
            .on_conflict_do_nothing();
        // The same statement on both; MultiConnection itself has no `on_conflict`.
        let inserted = match conn {
            AnyConnection::Sqlite(conn) => insert.execute(conn)?,
            AnyConnection::Postgres(conn) => insert.execute(conn)?,
        };
        if inserted == 1 {
            return Ok(());
        }
    }
    // A timeline entry must not fail the change that it describes.
    tracing::warn!(upload = upload_id, kind, "timeline entry not written");
    Ok(())
}
