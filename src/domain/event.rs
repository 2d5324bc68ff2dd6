//! Events: one for each status change of an upload, appended in the same transaction.

use super::upload::Status;

/// A status change of an upload. The names are the webhook types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// The object was checked, sealed and recorded.
    Confirmed,
    /// The object differs from the declaration.
    Rejected,
    /// No object was uploaded before the deadline.
    Expired,
    /// The caller canceled the upload.
    Canceled,
    /// The upload was attached to a record.
    Attached,
    /// The upload was detached from its record.
    Detached,
    /// The upload was deleted.
    Deleted,
}

impl EventType {
    /// Every type.
    pub const ALL: [EventType; 7] = [
        EventType::Confirmed,
        EventType::Rejected,
        EventType::Expired,
        EventType::Canceled,
        EventType::Attached,
        EventType::Detached,
        EventType::Deleted,
    ];

    /// The type with this name.
    pub fn parse(name: &str) -> Option<EventType> {
        EventType::ALL
            .into_iter()
            .find(|event| event.as_str() == name)
    }

    /// The event of the change to this status; `None` for `pending`, the initial one.
    pub fn of(status: Status) -> Option<EventType> {
        match status {
            Status::Pending => None,
            Status::Confirmed => Some(EventType::Confirmed),
            Status::Rejected => Some(EventType::Rejected),
            Status::Expired => Some(EventType::Expired),
            Status::Canceled => Some(EventType::Canceled),
            Status::Attached => Some(EventType::Attached),
            Status::Detached => Some(EventType::Detached),
            Status::Deleted => Some(EventType::Deleted),
        }
    }

    /// The name, `upload.confirmed`.
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::Confirmed => "upload.confirmed",
            EventType::Rejected => "upload.rejected",
            EventType::Expired => "upload.expired",
            EventType::Canceled => "upload.canceled",
            EventType::Attached => "upload.attached",
            EventType::Detached => "upload.detached",
            EventType::Deleted => "upload.deleted",
        }
    }
}
