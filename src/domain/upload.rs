//! An upload, one intent to place one object, and the machine of its statuses.

use std::fmt;

use chrono::{DateTime, Utc};

use super::attachment::ObjectId;
use super::checksum::Checksum;
use super::field::FieldName;
use super::file_name::FileName;
use super::ids::{GrantId, UploadId};
use super::media_type::MediaType;
use super::object_key::FinalKey;

/// Where an upload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// Asked for; nobody has checked anything yet.
    Pending,
    /// Checked, sealed, recorded.
    Confirmed,
    /// Tied to one record.
    Attached,
    /// Was tied to a record and no longer is.
    Detached,
    /// Its object is gone or going; the row stays.
    Deleted,
    /// What arrived was not what was declared.
    Rejected,
    /// Nothing arrived in time.
    Expired,
    /// The caller gave up.
    Canceled,
}

/// What can be done to an upload's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Record the sealed object.
    Confirm,
    /// Refuse what arrived.
    Reject,
    /// Give up at the deadline.
    Expire,
    /// Give up on request.
    Cancel,
    /// Tie to a record.
    Attach,
    /// Untie from a record.
    Detach,
    /// Remove the object.
    Delete,
}

impl Step {
    /// Every step.
    pub const ALL: [Step; 7] = [
        Step::Confirm,
        Step::Reject,
        Step::Expire,
        Step::Cancel,
        Step::Attach,
        Step::Detach,
        Step::Delete,
    ];
}

impl Status {
    /// Every status, in the order of the contract.
    pub const ALL: [Status; 8] = [
        Status::Pending,
        Status::Confirmed,
        Status::Attached,
        Status::Detached,
        Status::Deleted,
        Status::Rejected,
        Status::Expired,
        Status::Canceled,
    ];

    /// The status after the step, or `None` where the step isn't allowed. Nothing else moves a status.
    pub fn after(self, step: Step) -> Option<Status> {
        match (self, step) {
            (Status::Pending, Step::Confirm) => Some(Status::Confirmed),
            (Status::Pending, Step::Reject) => Some(Status::Rejected),
            (Status::Pending, Step::Expire) => Some(Status::Expired),
            (Status::Pending, Step::Cancel) => Some(Status::Canceled),
            (Status::Confirmed, Step::Attach) => Some(Status::Attached),
            (Status::Attached, Step::Detach) => Some(Status::Detached),
            (Status::Confirmed | Status::Detached, Step::Delete) => Some(Status::Deleted),
            _ => None,
        }
    }

    /// Whether nothing can happen to the upload any more.
    pub fn is_terminal(self) -> bool {
        Step::ALL.into_iter().all(|step| self.after(step).is_none())
    }

    /// The name in the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Confirmed => "confirmed",
            Status::Attached => "attached",
            Status::Detached => "detached",
            Status::Deleted => "deleted",
            Status::Rejected => "rejected",
            Status::Expired => "expired",
            Status::Canceled => "canceled",
        }
    }

    /// The status with this name.
    pub fn parse(name: &str) -> Option<Status> {
        Status::ALL
            .into_iter()
            .find(|status| status.as_str() == name)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose request led to a confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfirmedBy {
    /// The owner, by `uploads:write`.
    Client,
    /// A backend, by `uploads:confirm`.
    Service,
    /// An S3 event notification.
    Event,
    /// The sweeper, for a client that died after its PUT.
    Sweeper,
}

impl ConfirmedBy {
    /// Every value.
    pub const ALL: [ConfirmedBy; 4] = [
        ConfirmedBy::Client,
        ConfirmedBy::Service,
        ConfirmedBy::Event,
        ConfirmedBy::Sweeper,
    ];

    /// The name in the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            ConfirmedBy::Client => "client",
            ConfirmedBy::Service => "service",
            ConfirmedBy::Event => "event",
            ConfirmedBy::Sweeper => "sweeper",
        }
    }

    /// The value with this name.
    pub fn parse(name: &str) -> Option<ConfirmedBy> {
        ConfirmedBy::ALL.into_iter().find(|by| by.as_str() == name)
    }
}

/// What was recorded at confirm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// The object's final key and its name.
    pub key: FinalKey,
    /// The sealed copy's ETag, opaque, without quotes.
    pub etag: String,
    /// When.
    pub at: DateTime<Utc>,
    /// By whom.
    pub by: ConfirmedBy,
}

/// One way in which what arrived, or what was asked for, differs from what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// A JSON pointer to the member of the request, `/size`.
    pub pointer: String,
    /// What is wrong and what would be right, for a person.
    pub detail: String,
}

impl FieldError {
    /// All of them in one line.
    pub fn summary(errors: &[FieldError]) -> String {
        let details = errors.iter().map(|it| it.detail.as_str());
        details.collect::<Vec<_>>().join("; ")
    }

    /// A difference at a pointer.
    pub fn new(pointer: &str, detail: impl Into<String>) -> FieldError {
        FieldError {
            pointer: pointer.to_owned(),
            detail: detail.into(),
        }
    }
}

/// One intent to place one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its id.
    pub id: UploadId,
    /// Where it stands.
    pub status: Status,
    /// Counts its status changes: the next event's sequence number is one more.
    pub version: i64,
    /// The model field it is for.
    pub field: FieldName,
    /// Whose it is.
    pub owner: String,
    /// The record that it is meant for, or was attached to.
    pub object_id: Option<ObjectId>,
    /// Whether a confirm attaches it to that record in the same transaction: who asked for it had the right to.
    pub attach_at_confirm: bool,
    /// The grant that it was made under.
    pub grant: Option<GrantId>,
    /// The bucket it goes to.
    pub bucket: String,
    /// The client's name for the file: metadata.
    pub filename: FileName,
    /// The declared type.
    pub content_type: MediaType,
    /// The declared size, in bytes.
    pub size: u64,
    /// The declared checksum.
    pub checksum: Option<Checksum>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// Its own deadline: from then on it may be settled.
    pub expires_at: DateTime<Utc>,
    /// How long a presigned request for it lives, in seconds; the policy's value when it was created.
    pub url_lifetime_secs: u32,
    /// What was recorded at confirm; stays when the upload is detached or deleted.
    pub confirmation: Option<Confirmation>,
    /// Why it was rejected; empty unless it was.
    pub errors: Vec<FieldError>,
    /// When it was attached to its record.
    pub attached_at: Option<DateTime<Utc>>,
    /// When it was detached from it.
    pub detached_at: Option<DateTime<Utc>>,
    /// From when on the object of a detached upload is to be removed.
    pub remove_after: Option<DateTime<Utc>>,
    /// When its objects were last seen to be removed.
    pub object_removed_at: Option<DateTime<Utc>>,
}
