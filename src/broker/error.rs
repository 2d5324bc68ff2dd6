//! The error of every use case. `http` maps each variant to a problem, in one match without a wildcard.

use crate::db::{DbError, OverQuota};
use crate::domain::field::FieldName;
use crate::domain::upload::{FieldError, Status, Upload};
use crate::policy::admission::{Refusal, RefusalKind};
use crate::storage::StoreError;

use super::confirm::single_flight::Aborted;

/// When to retry after the bucket or the database did not answer, in seconds.
const RETRY_AFTER_SECS: u32 = 2;

/// Why a use case failed.
#[derive(Debug, Clone)]
pub enum BrokerError {
    /// No upload has this id, or the caller may not see it.
    UploadNotFound,
    /// The token has none of the scopes that allow this.
    ScopeInsufficient {
        /// The scopes of which one is needed, for a person.
        needed: &'static str,
    },
    /// The token is narrowed to other fields.
    FieldNotAllowed(FieldName),
    /// The request was refused for what it declares.
    Refused(Refusal),
    /// The upload's status doesn't allow this.
    WrongStatus {
        /// The current status.
        now: Status,
        /// What is needed instead.
        detail: &'static str,
    },
    /// The grant's uploads are all created.
    GrantUsedUp {
        /// When the grant ends, in seconds from now.
        retry_after_secs: u32,
    },
    /// The owner has reached its quota of pending uploads.
    OverQuota(OverQuota),
    /// The grant has ended, or was withdrawn.
    GrantOver,
    /// Another request succeeded with the same idempotency key.
    IdempotencyKeyReused,
    /// A request with the same idempotency key is in progress.
    RequestInProgress,
    /// The upload is attached to another record.
    AlreadyAttached,
    /// No configured field has this model.
    UnknownModel {
        /// The configured models, for a person.
        known: String,
    },
    /// The bucket has no object for this upload yet.
    ObjectMissing,
    /// The object differs from the declaration.
    ObjectMismatch(Vec<FieldError>),
    /// The upload's deadline has passed.
    UploadExpired,
    /// The bucket gave no clear answer; nothing changed.
    StoreUnavailable {
        /// When to retry, in seconds.
        retry_after_secs: u32,
        /// The bucket's answer, for the log alone.
        cause: String,
    },
    /// The database gave no clear answer.
    DatabaseUnavailable {
        /// When to retry, in seconds.
        retry_after_secs: u32,
        /// The database's answer, for the log alone.
        cause: &'static str,
    },
    /// A bug or broken data; the text is for the log alone.
    Internal(String),
}

impl BrokerError {
    /// The error for spawned work that ended without a result: it may have done everything, a part or nothing.
    pub(super) fn aborted(work: &'static str, aborted: Aborted) -> BrokerError {
        match aborted {
            Aborted::Panicked => BrokerError::Internal(format!("a {work} panicked")),
            Aborted::Stopped => BrokerError::DatabaseUnavailable {
                retry_after_secs: RETRY_AFTER_SECS,
                cause: "the broker is stopping",
            },
        }
    }

    /// The upload's field was removed from the configuration after the upload was created.
    pub(super) fn removed_field(upload: &Upload) -> BrokerError {
        let detail = format!("the field {} is no longer configured", upload.field);
        BrokerError::refused(RefusalKind::UnknownField, "/field", detail)
    }

    /// One member of a request is not allowed; `pointer` names it.
    pub(super) fn refused(
        kind: RefusalKind,
        pointer: &str,
        detail: impl Into<String>,
    ) -> BrokerError {
        let errors = vec![FieldError::new(pointer, detail)];
        BrokerError::Refused(Refusal { kind, errors })
    }

    /// The bucket gave no clear answer, or was not called.
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
            DbError::Unknown => unavailable("outcome of the change unknown"),
            DbError::Internal(cause) => BrokerError::Internal(cause),
        }
    }
}
