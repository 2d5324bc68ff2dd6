//! From what the inner rooms answer to a problem: one match for each, without a wildcard, so that a new error has to be thought of.

use actix_web::http::StatusCode;

use crate::auth::AuthError;
use crate::broker::{BrokerError, OverQuota, Refusal, RefusalKind};
use crate::domain::upload::Status;

use super::{Code, Problem};

const ELSEWHERE: &str = "the upload is attached to another record";
const USED_UP: &str = "all uploads that the grant allows were made; ask for a new grant";
const GRANT_OVER: &str = "the grant has expired, or was withdrawn";
const KEY_REUSED: &str = "another request succeeded with this Idempotency-Key; use a fresh one";
const IN_PROGRESS: &str =
    "a request with this Idempotency-Key is still under way; send it again in a moment";
/// When to ask again how a request that is under way went, in seconds.
const IN_PROGRESS_RETRY_AFTER_SECS: u32 = 1;
/// When to try again where too much is pending, in seconds: that ends with each confirm, so nobody knows when.
const PENDING_RETRY_AFTER_SECS: u32 = 30;
/// When to try again while an issuer's keys can't be had, in seconds.
const KEYS_RETRY_AFTER_SECS: u32 = 30;

impl From<BrokerError> for Problem {
    fn from(error: BrokerError) -> Problem {
        match error {
            BrokerError::UploadNotFound => Problem::upload_not_found(),
            BrokerError::ScopeInsufficient { needed } => Problem::new(
                Code::ScopeInsufficient,
                format!("this needs the scope {needed}"),
            ),
            BrokerError::FieldNotAllowed(field) => Problem::new(
                Code::FieldNotAllowed,
                format!("the token's `fields` don't include {field}"),
            ),
            BrokerError::Refused(Refusal { kind, differences }) => {
                Problem::of_differences(code_of(kind), differences)
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
                Problem::new(Code::AlreadyAttached, ELSEWHERE).with_status_now(Status::Attached)
            }
            BrokerError::UnknownModel { known } => Problem::new(
                Code::UnknownField,
                format!("no field of this model is configured; the models are {known}"),
            ),
            BrokerError::ObjectMissing => Problem::new(
                Code::ObjectMissing,
                "PUT the file to the presigned URL first, then confirm again",
            ),
            BrokerError::ObjectMismatch(differences) => {
                Problem::of_differences(Code::ObjectMismatch, differences)
            }
            BrokerError::UploadExpired => Problem::new(
                Code::UploadExpired,
                "the upload's deadline has passed; create a new one",
            ),
            BrokerError::StoreUnavailable {
                retry_after_secs,
                cause,
            } => Problem::unavailable(
                Code::StoreUnavailable,
                "the bucket gave no clear answer; nothing changed, try again",
                retry_after_secs,
            )
            .with_cause(cause),
            BrokerError::DatabaseUnavailable {
                retry_after_secs,
                cause,
            } => Problem::unavailable(
                Code::DatabaseUnavailable,
                "the database gave no clear answer; try again",
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
            "the owner has {pending} pending uploads, and may have {limit}: confirm or cancel some, or wait for their deadlines"
        ),
        OverQuota::Bytes { pending, limit } => format!(
            "the owner's pending uploads declare {pending} bytes; with this one it would be more than the {limit} that they may: \
             confirm or cancel some, or wait for their deadlines"
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
                "the keys of the token's issuer can't be fetched now; keep the token and try again",
                KEYS_RETRY_AFTER_SECS,
            ),
        }
    }
}

impl Problem {
    /// The one answer for an upload that isn't there, isn't the caller's, or whose id is no id.
    pub fn upload_not_found() -> Problem {
        Problem::new(
            Code::UploadNotFound,
            "there is no upload with this id that your token may see",
        )
    }

    /// The problem for an answer of the framework's own, by its status.
    pub fn of_status(status: StatusCode) -> Problem {
        match status {
            StatusCode::NOT_FOUND => Problem::new(
                Code::NotFound,
                "there is nothing at this address; /docs lists what there is",
            ),
            StatusCode::METHOD_NOT_ALLOWED => Problem::new(
                Code::MethodNotAllowed,
                "the Allow header lists the methods that this address takes",
            ),
            StatusCode::REQUEST_TIMEOUT => {
                Problem::new(Code::RequestTimeout, "the request took too long to arrive")
            }
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(Code::PayloadTooLarge, "the request's body is too large")
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::new(
                Code::UnsupportedMediaType,
                "the body must be application/json",
            ),
            status if status.is_client_error() => {
                Problem::new(Code::InvalidRequest, "the request can't be understood")
            }
            status => Problem::internal(format!("the framework answered {status}")),
        }
    }
}
