//! Why a verb did not do what was asked. `http` turns each into a problem by one match without a wildcard.

use crate::db::{DbError, OverQuota};
use crate::domain::field::FieldName;
use crate::domain::upload::{FieldError, Status, Upload};
use crate::policy::admission::{Refusal, RefusalKind};
use crate::storage::StoreError;

use crate::broker::single_flight::Cut;

/// After how many seconds a caller should come back when a part we depend on does not answer.
const RETRY_AFTER_SECS: u32 = 2;

/// An answer other than success.
#[derive(Debug, Clone)]
pub enum BrokerError {
    /// No such upload, or none that the caller may see.
    UploadNotFound,
    /// The token lacks every scope that would allow this; `needed` says which would.
    ScopeInsufficient {
        /// What is needed, for a person.
        needed: &'static str,
    },
    /// The token is narrowed to other fields.
    FieldNotAllowed(FieldName),
    /// The declaration was refused.
    Refused(Refusal),
    /// The upload's status doesn't allow this.
    WrongStatus {
        /// The status that it has.
        now: Status,
        /// What would have been needed.
        detail: &'static str,
    },
    /// The grant's uploads were all made.
    GrantUsedUp {
        /// When the grant ends, in seconds from now: it will not be of use again before.
        retry_after_secs: u32,
    },
    /// The owner has as much pending as it may have.
    OverQuota(OverQuota),
    /// The grant has ended, or was withdrawn.
    GrantOver,
    /// Another request succeeded with the same idempotency key.
    IdempotencyKeyReused,
    /// A request with the same idempotency key is still under way.
    RequestInProgress,
    /// It is attached to another record.
    AlreadyAttached,
    /// No configured field has this model.
    UnknownModel {
        /// The models that there are, for a person.
        known: String,
    },
    /// The bucket has no object for this upload yet.
    ObjectMissing,
    /// What arrived is not what was declared.
    ObjectMismatch(Vec<FieldError>),
    /// The upload's time is over.
    UploadExpired,
    /// The bucket gave no clear answer; nothing changed.
    StoreUnavailable {
        /// When to come back, in seconds.
        retry_after_secs: u32,
        /// What the bucket said, for the log alone.
        cause: String,
    },
    /// The database gave no clear answer.
    DatabaseUnavailable {
        /// When to come back, in seconds.
        retry_after_secs: u32,
        /// What the database said, for the log alone.
        cause: &'static str,
    },
    /// A fault of ours; the text is for the log alone.
    Internal(String),
}

impl BrokerError {
    /// What a caller learns of work that ended without an answer: like a lost one, it may have done all, a part or nothing.
    pub(super) fn cut(work: &'static str, cut: Cut) -> BrokerError {
        match cut {
            Cut::Panicked => BrokerError::Internal(format!("the work of a {work} panicked")),
            Cut::Stopped => BrokerError::DatabaseUnavailable {
                retry_after_secs: RETRY_AFTER_SECS,
                cause: "the broker stopped",
            },
        }
    }
}

impl BrokerError {
    /// The upload's field was configured when it was created, and no longer is.
    pub(super) fn gone_field(upload: &Upload) -> BrokerError {
        let detail = format!("the field {} is no longer configured", upload.field);
        BrokerError::refused(RefusalKind::UnknownField, "/field", detail)
    }

    /// One member of a request is not as it may be; `pointer` says which.
    pub(super) fn refused(
        kind: RefusalKind,
        pointer: &str,
        detail: impl Into<String>,
    ) -> BrokerError {
        let errors = vec![FieldError::new(pointer, detail)];
        BrokerError::Refused(Refusal { kind, errors })
    }

    /// The bucket can't be asked, or said nothing clear.
    pub(super) fn bucket(cause: impl Into<String>) -> BrokerError {
        BrokerError::StoreUnavailable {
            retry_after_secs: RETRY_AFTER_SECS,
            cause: cause.into(),
        }
    }
}

impl From<StoreError> for BrokerError {
    fn from(error: StoreError) -> BrokerError {
        BrokerError::bucket(format!("{}: {}", error.operation, error.code))
    }
}

impl From<DbError> for BrokerError {
    fn from(error: DbError) -> BrokerError {
        let unavailable = |cause| BrokerError::DatabaseUnavailable {
            retry_after_secs: RETRY_AFTER_SECS,
            cause,
        };
        match error {
            DbError::Busy => unavailable("busy"),
            DbError::Unavailable => unavailable("not connected"),
            DbError::Unknown => unavailable("a change without an answer"),
            DbError::Internal(cause) => BrokerError::Internal(cause),
        }
    }
}
