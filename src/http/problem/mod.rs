//! Every answer that is no success: one table of codes, and the RFC 9457 document made from a row of it.
//!
//! Handlers and extractors return a [`Problem`]; `middleware::answer` is the one place that turns it, and every error of the
//! framework, into a body with the request's id.

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

/// What an answer may carry besides its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extra {
    Nothing,
    RetryAfterSecs(u32),
    /// Why the token is no good; `None` where there was none.
    Challenge(Option<&'static str>),
    /// For a sender of events, which may bring its secret as a password.
    SenderChallenge,
}

/// One thing that went wrong, still without the request it happened in. Boxed, so that a handler's answer stays small.
#[derive(Debug, Clone)]
pub struct Problem(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    members: Vec<(&'static str, Value)>,
    extra: Extra,
    cause: Option<String>,
}

impl Problem {
    /// A problem with a detail that tells a person what to do.
    pub fn new(code: Code, detail: impl Into<String>) -> Problem {
        Problem(Box::new(Inner {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            members: Vec::new(),
            extra: Extra::Nothing,
            cause: None,
        }))
    }

    /// `invalid-request` about one member of the body.
    pub fn invalid_member(pointer: &str, detail: impl Into<String>) -> Problem {
        let detail = detail.into();
        Problem::new(Code::InvalidRequest, at(pointer, &detail))
            .with_errors(vec![FieldError::new(pointer, detail)])
    }

    /// Each thing that is wrong with the body.
    pub fn of_differences(code: Code, differences: Vec<FieldError>) -> Problem {
        let details: Vec<String> = differences
            .iter()
            .map(|found| at(&found.pointer, &found.detail))
            .collect();
        Problem::new(code, details.join("; ")).with_errors(differences)
    }

    /// A fault of ours: the cause goes to the log alone.
    pub fn internal(cause: impl Into<String>) -> Problem {
        let detail = "the fault is ours; it was logged under this answer's instance";
        let mut problem = Problem::new(Code::Internal, detail);
        problem.0.cause = Some(cause.into());
        problem
    }

    /// What can't be done now, and may be later: mostly because a part we depend on does not answer.
    pub fn unavailable(code: Code, detail: &str, retry_after_secs: u32) -> Problem {
        let mut problem = Problem::new(code, detail);
        problem.0.extra = Extra::RetryAfterSecs(retry_after_secs.max(1));
        problem
    }

    /// No token.
    pub fn token_missing() -> Problem {
        let detail = "send a token: Authorization: Bearer <JWT>";
        let mut problem = Problem::new(Code::TokenMissing, detail);
        problem.0.extra = Extra::Challenge(None);
        problem
    }

    /// A token that is no good, and why, in fixed words that hold none of it.
    pub fn token_invalid(reason: &'static str) -> Problem {
        let mut problem = Problem::new(Code::TokenInvalid, reason);
        problem.0.extra = Extra::Challenge(Some(reason));
        problem
    }

    /// An event without a secret and without a signature.
    pub fn sender_missing() -> Problem {
        let detail = "send the secret of events.secret (Authorization: Bearer, or Basic with it as the password), or a message that SNS signed";
        let mut problem = Problem::new(Code::TokenMissing, detail);
        problem.0.extra = Extra::SenderChallenge;
        problem
    }

    /// An event whose secret or signature is no good, and why, in fixed words.
    pub fn sender_invalid(reason: &'static str) -> Problem {
        let mut problem = Problem::new(Code::TokenInvalid, reason);
        problem.0.extra = Extra::SenderChallenge;
        problem
    }

    /// The same with the status that the upload has.
    pub fn with_status_now(mut self, status: Status) -> Problem {
        self.0.members.push(("status_now", json!(status.as_str())));
        self
    }

    /// The same with one more member.
    pub fn with_member(mut self, name: &'static str, value: Value) -> Problem {
        self.0.members.push((name, value));
        self
    }

    /// The same with what the log may know and the client may not.
    pub fn with_cause(mut self, cause: impl Into<String>) -> Problem {
        self.0.cause = Some(cause.into());
        self
    }

    fn with_errors(mut self, errors: Vec<FieldError>) -> Problem {
        self.0.errors = errors;
        self
    }

    /// Its row in the table.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What the log may know and the client may not.
    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The document as it is sent, for the request with this id.
    pub fn text(&self, public_url: &str, instance: &str) -> String {
        serde_json::to_string(&self.members(public_url, instance)).expect(INFALLIBLE)
    }

    /// The same as a value, for the API's description.
    pub fn document(&self, public_url: &str, instance: &str) -> Value {
        serde_json::to_value(self.members(public_url, instance)).expect(INFALLIBLE)
    }

    fn members<'a>(&'a self, public_url: &str, instance: &'a str) -> Document<'a> {
        let row = self.0.code.row();
        let error = |found: &'a FieldError| Pointed {
            pointer: &found.pointer,
            detail: &found.detail,
        };
        Document {
            r#type: format!("{public_url}/problems#{}", row.name),
            title: row.title,
            status: row.status,
            code: row.name,
            detail: &self.0.detail,
            instance,
            errors: self.0.errors.iter().map(error).collect(),
            members: Members(&self.0.members),
        }
    }

    /// `Retry-After` and `WWW-Authenticate`, where the code has them.
    pub fn add_headers(&self, headers: &mut HeaderMap) {
        let mut add = |name: HeaderName, text: String| {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(name, value);
            }
        };
        match self.0.extra {
            Extra::Nothing => {}
            Extra::RetryAfterSecs(secs) => add(RETRY_AFTER, secs.to_string()),
            // SNS shows its password only to who asks for one.
            Extra::SenderChallenge => {
                add(WWW_AUTHENTICATE, "Basic realm=\"bytepass\"".into());
                let bearer = HeaderValue::from_static("Bearer realm=\"bytepass\"");
                headers.append(WWW_AUTHENTICATE, bearer);
            }
            // RFC 6750: who sent no token at all is told the scheme and nothing else.
            Extra::Challenge(None) => add(WWW_AUTHENTICATE, "Bearer realm=\"bytepass\"".into()),
            Extra::Challenge(Some(reason)) => {
                let reason = reason.replace(['"', '\\'], "'");
                let text = format!(
                    "Bearer realm=\"bytepass\", error=\"invalid_token\", error_description=\"{reason}\""
                );
                add(WWW_AUTHENTICATE, text);
            }
        }
    }
}

const INFALLIBLE: &str = "texts, numbers and values can always be written";

/// The members in the contract's order, which a map of values would lose.
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    instance: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Pointed<'a>>,
    #[serde(flatten)]
    members: Members<'a>,
}

#[derive(Serialize)]
struct Pointed<'a> {
    pointer: &'a str,
    detail: &'a str,
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
        // Without a body: `middleware::answer` writes it, because only there the request's id is known.
        HttpResponse::new(self.status_code())
    }
}
