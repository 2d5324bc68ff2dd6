//! Problem documents (RFC 9457), one for each error response. [`codes`] is the table of codes.
//!
//! Handlers and extractors return a [`Problem`]. Only `middleware::response` turns it, and every error of the framework, into a body
//! with the request's id.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::domain::upload::{FieldError, Status};

pub mod codes;
mod from_errors;

pub use codes::Code;

/// The media type of every problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A header that depends on the problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExtraHeader {
    None,
    RetryAfterSecs(u32),
    /// The reason why the token is invalid; `None` if the request has no token.
    BearerChallenge(Option<&'static str>),
    /// For senders of bucket notifications, which may send the secret as a password.
    SenderChallenge,
}

/// A problem, without the id of its request. Boxed, so that a handler's result stays small.
#[derive(Debug, Clone)]
pub struct Problem(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    members: Vec<(&'static str, Value)>,
    extra: ExtraHeader,
    cause: Option<String>,
}

impl Problem {
    /// A problem without errors, members and headers.
    pub fn new(code: Code, detail: impl Into<String>) -> Problem {
        Problem(Box::new(Inner {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            members: Vec::new(),
            extra: ExtraHeader::None,
            cause: None,
        }))
    }

    /// `invalid-request` about one member of the body.
    pub fn invalid_member(pointer: &str, detail: impl Into<String>) -> Problem {
        let detail = detail.into();
        Problem::new(Code::InvalidRequest, at(pointer, &detail))
            .with_errors(vec![FieldError::new(pointer, detail)])
    }

    /// A problem with one entry in `errors` for each field error.
    pub fn of_field_errors(code: Code, field_errors: Vec<FieldError>) -> Problem {
        let details: Vec<String> = field_errors
            .iter()
            .map(|error| at(&error.pointer, &error.detail))
            .collect();
        Problem::new(code, details.join("; ")).with_errors(field_errors)
    }

    /// A fault of the broker. The cause is only logged.
    pub fn internal(cause: impl Into<String>) -> Problem {
        let detail = "the broker failed; its log contains the cause under this instance";
        let mut problem = Problem::new(Code::Internal, detail);
        problem.0.cause = Some(cause.into());
        problem
    }

    /// A problem that may be gone after this many seconds, at least 1.
    pub fn unavailable(code: Code, detail: &str, retry_after_secs: u32) -> Problem {
        let mut problem = Problem::new(code, detail);
        problem.0.extra = ExtraHeader::RetryAfterSecs(retry_after_secs.max(1));
        problem
    }

    /// The request has no token.
    pub fn token_missing() -> Problem {
        let detail = "the request has no bearer token; send Authorization: Bearer <JWT>";
        let mut problem = Problem::new(Code::TokenMissing, detail);
        problem.0.extra = ExtraHeader::BearerChallenge(None);
        problem
    }

    /// The token is invalid. The reason is a fixed text and contains no part of the token.
    pub fn token_invalid(reason: &'static str) -> Problem {
        let mut problem = Problem::new(Code::TokenInvalid, reason);
        problem.0.extra = ExtraHeader::BearerChallenge(Some(reason));
        problem
    }

    /// A bucket notification without secret and signature.
    pub fn sender_missing() -> Problem {
        let detail = "send the value of events.secret as a Bearer token or as a Basic password in Authorization, or a message signed by SNS";
        let mut problem = Problem::new(Code::TokenMissing, detail);
        problem.0.extra = ExtraHeader::SenderChallenge;
        problem
    }

    /// A bucket notification with an invalid secret or signature. The reason is a fixed text.
    pub fn sender_invalid(reason: &'static str) -> Problem {
        let mut problem = Problem::new(Code::TokenInvalid, reason);
        problem.0.extra = ExtraHeader::SenderChallenge;
        problem
    }

    /// Adds the member `status_now`, the current status of the upload.
    pub fn with_status_now(mut self, status: Status) -> Problem {
        self.0.members.push(("status_now", json!(status.as_str())));
        self
    }

    /// Adds a member.
    pub fn with_member(mut self, name: &'static str, value: Value) -> Problem {
        self.0.members.push((name, value));
        self
    }

    /// Sets the cause, which is logged and never sent.
    pub fn with_cause(mut self, cause: impl Into<String>) -> Problem {
        self.0.cause = Some(cause.into());
        self
    }

    fn with_errors(mut self, errors: Vec<FieldError>) -> Problem {
        self.0.errors = errors;
        self
    }

    /// Its code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The cause, which is logged and never sent.
    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The document as JSON text; `instance` names the request.
    pub fn text(&self, public_url: &str, instance: &str) -> String {
        serde_json::to_string(&self.members(public_url, instance)).expect(INFALLIBLE)
    }

    /// The document as a JSON value.
    pub fn document(&self, public_url: &str, instance: &str) -> Value {
        serde_json::to_value(self.members(public_url, instance)).expect(INFALLIBLE)
    }

    fn members<'a>(&'a self, public_url: &str, instance: &'a str) -> Document<'a> {
        let row = self.0.code.row();
        Document {
            r#type: format!("{public_url}/problems#{}", row.name),
            title: row.title,
            status: row.status,
            code: row.name,
            detail: &self.0.detail,
            instance,
            errors: &self.0.errors,
            members: Members(&self.0.members),
        }
    }

    /// Adds `Retry-After` or `WWW-Authenticate`, if the problem has one.
    pub fn add_headers(&self, headers: &mut HeaderMap) {
        let mut add = |name: HeaderName, text: String| {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(name, value);
            }
        };
        match self.0.extra {
            ExtraHeader::None => {}
            ExtraHeader::RetryAfterSecs(secs) => add(RETRY_AFTER, secs.to_string()),
            // SNS sends the password only after a Basic challenge.
            ExtraHeader::SenderChallenge => {
                add(WWW_AUTHENTICATE, "Basic realm=\"bytepass\"".into());
                let bearer = HeaderValue::from_static("Bearer realm=\"bytepass\"");
                headers.append(WWW_AUTHENTICATE, bearer);
            }
            // RFC 6750: without a token, the challenge has no error code.
            ExtraHeader::BearerChallenge(None) => {
                add(WWW_AUTHENTICATE, "Bearer realm=\"bytepass\"".into())
            }
            ExtraHeader::BearerChallenge(Some(reason)) => {
                let reason = reason.replace(['"', '\\'], "'");
                let text = format!(
                    "Bearer realm=\"bytepass\", error=\"invalid_token\", error_description=\"{reason}\""
                );
                add(WWW_AUTHENTICATE, text);
            }
        }
    }
}

const INFALLIBLE: &str = "strings, numbers and JSON values always serialize";

/// The members in the order of the contract; a `serde_json::Map` would sort them.
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    instance: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(flatten)]
    members: Members<'a>,
}

struct Members<'a>(&'a [(&'static str, Value)]);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn at(pointer: &str, detail: &str) -> String {
    match pointer.trim_start_matches('/') {
        "" => detail.to_owned(),
        name => format!("{name}: {detail}"),
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.row().name, self.0.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        // `middleware::response` writes the body, because the request's id is known only there.
        HttpResponse::new(self.status_code())
    }
}
