//! The problem for each error of `broker` and `auth`. No `match` has a wildcard, so that a new error needs a decision here.

use actix_web::http::StatusCode;

use crate::auth::AuthError;
use crate::broker::{BrokerError, OverQuota, Refusal, RefusalKind};
use crate::domain::upload::Status;

use super::{Code, Problem};

const OTHER_RECORD: &str = "the upload is attached to another record; detach it first";
const USED_UP: &str = "all uploads of the grant are used; request a new grant";
const GRANT_OVER: &str = "the grant has expired or was revoked";
const KEY_REUSED: &str = "this Idempotency-Key was used for another request; use a new key";
const IN_PROGRESS: &str =
    "a request with this Idempotency-Key is still in progress; retry in a moment";
/// When to retry while the first request is in progress, in seconds.
const IN_PROGRESS_RETRY_AFTER_SECS: u32 = 1;
/// When to retry with too many pending uploads, in seconds. A guess: each confirm frees quota.
const PENDING_RETRY_AFTER_SECS: u32 = 30;
/// When to retry while an issuer's keys cannot be fetched, in seconds.
const KEYS_RETRY_AFTER_SECS: u32 = 30;

impl From<BrokerError> for Problem {
    fn from(error: BrokerError) -> Problem {
        match error {
            BrokerError::UploadNotFound => Problem::upload_not_found(),
            BrokerError::ScopeInsufficient { needed } => Problem::new(
                Code::ScopeInsufficient,
                format!("the token needs the scope {needed}"),
            ),
            BrokerError::FieldNotAllowed(field) => Problem::new(
                Code::FieldNotAllowed,
                format!("the token's `fields` claim does not include {field}"),
            ),
            BrokerError::Refused(Refusal { kind, errors }) => {
                Problem::of_field_errors(code_of(kind), errors)
            }
            BrokerError::WrongStatus { now, detail } => {
                Problem::new(Code::WrongStatus, format!("{detail}; this one is {now}"))
                    .with_status_now(now)
            }
            BrokerError::GrantUsedUp { retry_after_secs } => {
                Problem::unavailable(Code::QuotaExceeded, USED_UP, retry_after_secs)
            }
            BrokerError::OverQuota(over) => over_quota(over),
            BrokerError::GrantOver => Problem::token_invalid(GRANT_OVER),
            BrokerError::IdempotencyKeyReused => {
                Problem::new(Code::IdempotencyKeyReused, KEY_REUSED)
            }
            BrokerError::RequestInProgress => Problem::unavailable(
                Code::RequestInProgress,
                IN_PROGRESS,
                IN_PROGRESS_RETRY_AFTER_SECS,
            ),
            BrokerError::AlreadyAttached => {
                Problem::new(Code::AlreadyAttached, OTHER_RECORD).with_status_now(Status::Attached)
            }
            BrokerError::UnknownModel { known } => Problem::new(
                Code::UnknownField,
                format!("the model is not configured; the models are {known}"),
            ),
            BrokerError::ObjectMissing => Problem::new(
                Code::ObjectMissing,
                "the bucket has no object yet; PUT the file to the presigned URL, then confirm again",
            ),
            BrokerError::ObjectMismatch(errors) => {
                Problem::of_field_errors(Code::ObjectMismatch, errors)
            }
            BrokerError::UploadExpired => Problem::new(
                Code::UploadExpired,
                "the upload has expired; create a new one",
            ),
            BrokerError::StoreUnavailable {
                retry_after_secs,
                cause,
            } => Problem::unavailable(
                Code::StoreUnavailable,
                "the bucket returned no usable response; the upload is unchanged, retry later",
                retry_after_secs,
            )
            .with_cause(cause),
            BrokerError::DatabaseUnavailable {
                retry_after_secs,
                cause,
            } => Problem::unavailable(
                Code::DatabaseUnavailable,
                "the database returned no usable response; retry later",
                retry_after_secs,
            )
            .with_cause(cause),
            BrokerError::Internal(cause) => Problem::internal(cause),
        }
    }
}

fn over_quota(over: OverQuota) -> Problem {
    let detail = match over {
        OverQuota::Uploads { pending, limit } => format!(
            "the owner has {pending} pending uploads, the limit is {limit}; confirm or cancel some, or wait until they expire"
        ),
        OverQuota::Bytes { pending, limit } => format!(
            "the owner's pending uploads declare {pending} bytes, and this one would exceed the limit of {limit}; \
             confirm or cancel some, or wait until they expire"
        ),
    };
    Problem::unavailable(Code::QuotaExceeded, &detail, PENDING_RETRY_AFTER_SECS)
}

fn code_of(kind: RefusalKind) -> Code {
    match kind {
        RefusalKind::Invalid => Code::InvalidRequest,
        RefusalKind::UnknownField => Code::UnknownField,
        RefusalKind::MediaTypeNotAllowed => Code::MediaTypeNotAllowed,
        RefusalKind::SizeNotAllowed => Code::SizeNotAllowed,
        RefusalKind::ChecksumRequired => Code::ChecksumRequired,
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Problem {
        match error {
            AuthError::Missing => Problem::token_missing(),
            AuthError::Invalid { reason } => Problem::token_invalid(reason),
            AuthError::KeysUnavailable => Problem::unavailable(
                Code::IssuerUnavailable,
                "the keys of the token's issuer cannot be fetched; keep the token and retry later",
                KEYS_RETRY_AFTER_SECS,
            ),
        }
    }
}

impl Problem {
    /// The same problem for an upload that does not exist, belongs to another owner, or has a malformed id.
    pub fn upload_not_found() -> Problem {
        Problem::new(
            Code::UploadNotFound,
            "no upload with this id is visible to this token",
        )
    }

    /// The problem for a response of the framework, by its status.
    pub fn of_status(status: StatusCode) -> Problem {
        match status {
            StatusCode::NOT_FOUND => Problem::new(
                Code::NotFound,
                "no route has this path; /docs lists all routes",
            ),
            StatusCode::METHOD_NOT_ALLOWED => Problem::new(
                Code::MethodNotAllowed,
                "this path does not support the method; the Allow header lists those it supports",
            ),
            StatusCode::REQUEST_TIMEOUT => {
                Problem::new(Code::RequestTimeout, "the request did not arrive in time")
            }
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(Code::PayloadTooLarge, "the request body is too large")
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::new(
                Code::UnsupportedMediaType,
                "the body must be application/json",
            ),
            status if status.is_client_error() => {
                Problem::new(Code::InvalidRequest, "the request is malformed")
            }
            status => Problem::internal(format!("the framework answered {status}")),
        }
    }
}
