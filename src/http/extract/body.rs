//! Reads request bodies, bounded in bytes and time. Only JSON in UTF-8 is accepted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::{FromRequest, HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::future::LocalBoxFuture;
use tokio::time::{Instant, timeout, timeout_at};

use crate::http::problem::{Code, Problem};

/// Bytes of an oversized body that are read beyond the limit, so that its sender can read the 413.
const DRAIN_MAX_BYTES: u64 = 1024 * 1024;
/// Maximum time to read a body that is not needed.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// The limits of a body.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// The longest body, in bytes.
    pub max_bytes: usize,
    /// The time in which it has to arrive.
    pub timeout: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        BodyLimits {
            max_bytes: 16 * 1024,
            timeout: Duration::from_secs(10),
        }
    }
}

/// Counts the bytes of all bodies that are read; only in the app data of the demo. Clones share the counter.
#[derive(Debug, Clone, Default)]
pub struct BodyBytes(Arc<AtomicU64>);

impl BodyBytes {
    /// Bytes read so far.
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// The body of a POST without members: empty, or `{}`.
pub struct NoBody;

impl FromRequest for NoBody {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<NoBody, Problem>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read(req, payload.take());
        Box::pin(async move {
            let text = body.await?;
            let is_empty = text.is_empty() || is_empty_object(&text);
            is_empty.then_some(NoBody).ok_or_else(|| {
                let detail = "the body must be empty or {}";
                Problem::new(Code::InvalidRequest, detail)
            })
        })
    }
}

fn is_empty_object(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    let inner = text.strip_prefix(b"{").and_then(|t| t.strip_suffix(b"}"));
    inner.is_some_and(|inner| inner.trim_ascii().is_empty())
}

/// Reads the whole body; empty if the request has none.
pub fn read(
    req: &HttpRequest,
    payload: Payload,
) -> impl Future<Output = Result<Bytes, Problem>> + 'static {
    let (limits, declared) = (limits_of(req), declared_length(req));
    let (unreadable, counter) = (content_type_problem(req), counter_of(req));
    async move {
        let body = collect(payload, limits, declared, counter).await?;
        match unreadable {
            Some(problem) if !body.is_empty() => Err(problem),
            _ => Ok(body),
        }
    }
}

/// Reads a whole body of any media type, because SNS sends its JSON as `text/plain`. At most `max_bytes`, and within the usual
/// timeout or `time`, whichever is shorter. A compressed body is rejected.
pub fn read_any_type(
    req: &HttpRequest,
    payload: Payload,
    max_bytes: usize,
    time: Duration,
) -> impl Future<Output = Result<Bytes, Problem>> + 'static {
    let limits = BodyLimits {
        max_bytes,
        timeout: limits_of(req).timeout.min(time),
    };
    let (declared, unreadable) = (declared_length(req), encoding_problem(req));
    let counter = counter_of(req);
    async move {
        let body = collect(payload, limits, declared, counter).await?;
        unreadable.map_or(Ok(body), Err)
    }
}

/// Reads and drops a body that is not needed, because an unread body closes its connection. Only a body that declares a length
/// within the limit and arrives within a second.
pub async fn discard(req: &HttpRequest, mut payload: Payload) {
    let max_bytes = limits_of(req).max_bytes as u64;
    if declared_length(req).is_none_or(|bytes| bytes > max_bytes) {
        return;
    }
    let to_the_end = async { while let Some(Ok(_)) = payload.next().await {} };
    // After a timeout or an error the connection closes, as without this call.
    let _ = timeout(DISCARD_TIMEOUT, to_the_end).await;
}

fn limits_of(req: &HttpRequest) -> BodyLimits {
    req.app_data::<web::Data<BodyLimits>>()
        .map_or_else(BodyLimits::default, |limits| ***limits)
}

fn counter_of(req: &HttpRequest) -> Option<BodyBytes> {
    let counter = req.app_data::<web::Data<BodyBytes>>()?;
    Some(counter.as_ref().clone())
}

fn declared_length(req: &HttpRequest) -> Option<u64> {
    let value = req.headers().get(CONTENT_LENGTH)?;
    value.to_str().ok()?.parse::<u64>().ok()
}

async fn collect(
    mut payload: Payload,
    limits: BodyLimits,
    declared: Option<u64>,
    counter: Option<BodyBytes>,
) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!(
            "the body must have at most {} bytes; the file itself goes to presigned.url",
            limits.max_bytes
        );
        Err(Problem::new(Code::PayloadTooLarge, detail))
    };
    let drained = limits.max_bytes as u64 + DRAIN_MAX_BYTES;
    if declared.is_some_and(|bytes| bytes > drained) {
        return too_large();
    }
    let deadline = Instant::now() + limits.timeout;
    let (mut body, mut received) = (BytesMut::new(), 0u64);
    loop {
        let over = received > limits.max_bytes as u64;
        match timeout_at(deadline, payload.next()).await {
            Ok(None) if over => return too_large(),
            Ok(None) => return Ok(body.freeze()),
            Ok(Some(Ok(chunk))) => {
                received += chunk.len() as u64;
                if let Some(counter) = &counter {
                    counter.add(chunk.len());
                }
                if received > drained {
                    return too_large();
                }
                if received <= limits.max_bytes as u64 {
                    body.extend_from_slice(&chunk);
                }
            }
            Ok(Some(Err(_))) | Err(_) if over => return too_large(),
            Ok(Some(Err(_))) => {
                let detail = "the body ended early, or its encoding does not match its headers";
                return Err(Problem::new(Code::InvalidRequest, detail));
            }
            Err(_) => {
                let detail = format!(
                    "the body did not arrive within {} s",
                    limits.timeout.as_secs_f32()
                );
                return Err(Problem::new(Code::RequestTimeout, detail));
            }
        }
    }
}

/// The problem of a body with `Content-Encoding`. Compressed bodies are rejected, because they could expand beyond the limit.
fn encoding_problem(req: &HttpRequest) -> Option<Problem> {
    let encoding = req.headers().get(CONTENT_ENCODING)?;
    let detail = "the body must be sent without Content-Encoding";
    (!encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
        .then(|| Problem::new(Code::UnsupportedMediaType, detail))
}

/// The problem of a body whose headers do not declare JSON in UTF-8.
fn content_type_problem(req: &HttpRequest) -> Option<Problem> {
    let problem = |detail: &str| Some(Problem::new(Code::UnsupportedMediaType, detail));
    if let Some(problem) = encoding_problem(req) {
        return Some(problem);
    }
    let Some(value) = req.headers().get(CONTENT_TYPE) else {
        return problem("Content-Type must be application/json");
    };
    let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let json = essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"));
    if !json {
        return problem("Content-Type must be application/json");
    }
    let utf8 = |parameter: &str| match parameter.split_once('=') {
        Some(("charset", charset)) => charset.trim_matches('"') == "utf-8",
        _ => true,
    };
    if parts.all(utf8) {
        None
    } else {
        problem("the charset of the body must be UTF-8")
    }
}
