//! `StoreError`: an unclear answer of the bucket. The only file that reads the SDK's errors.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
/// The bucket gave no clear answer. Nothing may be concluded from it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: no clear answer from the bucket ({code})")]
pub struct StoreError {
    /// The call, such as `copy-object`.
    pub operation: &'static str,
    /// For metrics and logs: the store's error code (`SlowDown`), `http-500` without one, or one of the broker's own: `timeout`, `dispatch` (no
    /// connection, or it broke), `credentials`, `credentials-expired`, `response` (unreadable), `outside-layout`, ….
    /// At most 64 letters, digits, `.`, `_`, `-`: it can be a metric's label and never holds a URL.
    pub code: String,
    /// The connection was refused or reset quickly, before any answer. An early retry makes sense.
    pub retry_fast: bool,
    /// The store refused this request; others may succeed.
    pub refused: bool,
}

impl StoreError {
    /// An error that the broker itself detects.
    pub(super) fn of(operation: &'static str, code: &str) -> StoreError {
        StoreError {
            operation,
            code: code.to_owned(),
            retry_fast: false,
            refused: false,
        }
    }

    /// The key is outside the layout; nothing was sent.
    pub(super) fn outside(operation: &'static str) -> StoreError {
        StoreError {
            refused: true,
            ..StoreError::of(operation, "outside-layout")
        }
    }

    /// From the SDK's error.
    pub(super) fn from_sdk<E>(
        operation: &'static str,
        error: &SdkError<E, HttpResponse>,
    ) -> StoreError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let (code, retry_fast) = match error {
            SdkError::TimeoutError(_) => ("timeout".to_owned(), false),
            _ if lacks_credentials(error) => ("credentials".to_owned(), false),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                ("timeout".to_owned(), false)
            }
            SdkError::DispatchFailure(failure) => {
                let broken = failure.is_io() || failure.as_other().is_some();
                ("dispatch".to_owned(), broken)
            }
            SdkError::ServiceError(service) => {
                let status = service.raw().status().as_u16();
                (answer_code(service.err().code(), status), false)
            }
            SdkError::ResponseError(_) => ("response".to_owned(), false),
            _ => ("construction".to_owned(), false),
        };
        StoreError {
            operation,
            code,
            retry_fast,
            refused: answer(error).is_some_and(|(status, code)| is_refusal(status, code)),
        }
    }
}

/// The HTTP status and the store's own code, if it answered with an error.
pub(super) fn answer<E: ProvideErrorMetadata>(
    error: &SdkError<E, HttpResponse>,
) -> Option<(u16, Option<&str>)> {
    match error {
        SdkError::ServiceError(service) => {
            Some((service.raw().status().as_u16(), service.err().code()))
        }
        _ => None,
    }
}

/// Codes that every request would get: about credentials, clock, account, bucket or the request rate.
const EVERYBODYS: [&str; 15] = [
    "AccountProblem",
    "AllAccessDisabled",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "NoSuchBucket",
    "NotSignedUp",
    "RequestTimeTooSkewed",
    "RequestTimeout",
    "SignatureDoesNotMatch",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TokenRefreshRequired",
];

/// Whether an error is about this request only.
fn is_refusal(status: u16, code: Option<&str>) -> bool {
    let is_everybodys =
        matches!(status, 408 | 429) || code.is_some_and(|code| EVERYBODYS.contains(&code));
    (400..500).contains(&status) && !is_everybodys
}

/// The store's code if it has the form of one: the body of a proxy or an attacker must not reach logs and labels.
fn answer_code(code: Option<&str>, status: u16) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match code {
        Some(code) if (1..=64).contains(&code.len()) && code.chars().all(allowed) => {
            code.to_owned()
        }
        _ if (200..300).contains(&status) => "response".to_owned(),
        _ => format!("http-{status}"),
    }
}

fn lacks_credentials(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source())
        .any(|error| error.is::<CredentialsError>())
}
