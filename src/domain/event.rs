//! Events: one for each change of an upload's status, appended in the same transaction.

use super::upload::Status;

/// What happened to an upload; the names are the webhook types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// Checked, sealed and recorded.
    Confirmed,
    /// What arrived is not what was declared.
    Rejected,
    /// Nothing arrived before the deadline.
    Expired,
    /// The caller gave up.
    Canceled,
    /// Tied to a record.
    Attached,
    /// No longer tied to a record.
    Detached,
    /// Removed.
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

    /// The event that reaching a status appends; `None` for the status that every upload begins with.
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

    /// `upload.confirmed` and the like.
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
