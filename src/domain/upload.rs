//! An upload, the intent to store one object, and its status machine.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::attachment::ObjectId;
use super::checksum::Checksum;
use super::field::FieldName;
use super::file_name::FileName;
use super::ids::{GrantId, UploadId};
use super::media_type::MediaType;
use super::object_key::FinalKey;

/// The status of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// Created; the object is not checked yet.
    Pending,
    /// The object is checked, sealed and recorded.
    Confirmed,
    /// Attached to a record.
    Attached,
    /// Detached from its record.
    Detached,
    /// The object is removed or about to be; the row stays.
    Deleted,
    /// The object differs from the declaration.
    Rejected,
    /// No object was uploaded before the deadline.
    Expired,
    /// The caller canceled the upload.
    Canceled,
}

/// A step of the status machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Record the sealed object.
    Confirm,
    /// Reject the object.
    Reject,
    /// Expire at the deadline.
    Expire,
    /// Cancel on request.
    Cancel,
    /// Attach to a record.
    Attach,
    /// Detach from a record.
    Detach,
    /// Delete.
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
    /// Every status, in the order of the documentation.
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

    /// Whether the upload's sealed object exists.
    pub fn has_object(self) -> bool {
        matches!(
            self,
            Status::Confirmed | Status::Attached | Status::Detached
        )
    }

    /// Whether no step leads away from this status.
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

/// What caused a confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfirmedBy {
    /// A request of the owner, with `uploads:write`.
    Client,
    /// A request of a backend, with `uploads:confirm`.
    Service,
    /// A bucket notification.
    Event,
    /// The sweeper, after the deadline.
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

/// The record of a confirm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// The object's final key.
    pub key: FinalKey,
    /// The sealed copy's ETag, without quotes.
    pub etag: String,
    /// When the object was recorded.
    pub at: DateTime<Utc>,
    /// What caused the confirm.
    pub by: ConfirmedBy,
}

/// One thing that is wrong with a request or an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// A JSON pointer to the member, `/size`.
    pub pointer: String,
    /// What is wrong, and what is allowed.
    pub detail: String,
}

impl FieldError {
    /// The details of all errors in one line.
    pub fn summary(errors: &[FieldError]) -> String {
        let details = errors.iter().map(|it| it.detail.as_str());
        details.collect::<Vec<_>>().join("; ")
    }

    /// An error at a pointer.
    pub fn new(pointer: &str, detail: impl Into<String>) -> FieldError {
        FieldError {
            pointer: pointer.to_owned(),
            detail: detail.into(),
        }
    }
}

/// The intent to store one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The id.
    pub id: UploadId,
    /// The status.
    pub status: Status,
    /// The number of status changes. The next event has the sequence number `version + 1`.
    pub version: i64,
    /// The model field.
    pub field: FieldName,
    /// The owner.
    pub owner: String,
    /// The record that it is meant for, or was attached to.
    pub object_id: Option<ObjectId>,
    /// Whether a confirm attaches it to that record in the same transaction: its creator had the scope to attach.
    pub attach_at_confirm: bool,
    /// The grant that it was created with.
    pub grant: Option<GrantId>,
    /// The bucket.
    pub bucket: String,
    /// The client's name for the file: metadata.
    pub filename: FileName,
    /// The declared type.
    pub content_type: MediaType,
    /// The declared size, in bytes.
    pub size: u64,
    /// The declared checksum.
    pub checksum: Option<Checksum>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// The deadline, after which the sweeper settles it.
    pub expires_at: DateTime<Utc>,
    /// The lifetime of a presigned request, in seconds: the policy's value at creation.
    pub url_lifetime_secs: u32,
    /// The record of the confirm; kept when the upload is detached or deleted.
    pub confirmation: Option<Confirmation>,
    /// Why it was rejected; empty in every other status.
    pub errors: Vec<FieldError>,
    /// When it was attached to its record.
    pub attached_at: Option<DateTime<Utc>>,
    /// When it was detached from its record.
    pub detached_at: Option<DateTime<Utc>>,
    /// When the grace of a detached upload ends and its object may be removed.
    pub remove_after: Option<DateTime<Utc>>,
    /// When its objects were removed.
    pub object_removed_at: Option<DateTime<Utc>>,
}
