//! Request bodies: bounded in bytes and time, JSON in UTF-8 or nothing.

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

/// How much of an over-long body is read beyond its limit, in bytes, so that its sender can read the 413.
const DRAIN_MAX_BYTES: u64 = 1024 * 1024;
/// How long a body that nobody will look at is waited for.
const DISCARD_MAX: Duration = Duration::from_secs(1);

/// The bounds of a body.
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

/// How many bytes of bodies were read, by everything that reads any; only where somebody asks. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct BodyBytes(Arc<AtomicU64>);

impl BodyBytes {
    /// So far.
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
            let nothing = text.is_empty() || is_empty_object(&text);
            nothing.then_some(NoBody).ok_or_else(|| {
                let detail = "this request takes no members: send an empty body or {}";
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

/// The whole body; empty where there is none.
pub fn read(
    req: &HttpRequest,
    payload: Payload,
) -> impl Future<Output = Result<Bytes, Problem>> + 'static {
    let (limits, declared) = (limits_of(req), declared_length(req));
    let (unreadable, counter) = (not_json(req), counter_of(req));
    async move {
        let body = collect(payload, limits, declared, counter).await?;
        match unreadable {
            Some(problem) if !body.is_empty() => Err(problem),
            _ => Ok(body),
        }
    }
}

/// The whole body, of at most `max_bytes` and within `time` if that is less than usual, whatever its type: SNS calls its JSON
/// `text/plain`. Not a compressed one.
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
    let (declared, unreadable) = (declared_length(req), encoded(req));
    let counter = counter_of(req);
    async move {
        let body = collect(payload, limits, declared, counter).await?;
        unreadable.map_or(Ok(body), Err)
    }
}

/// Lets go of a body that nobody will look at, so that its connection can carry the next request: one that is left unread ends it.
/// Only a body that declares a length within the limit, and that arrives with its head or at once after it.
pub async fn discard(req: &HttpRequest, mut payload: Payload) {
    let max_bytes = limits_of(req).max_bytes as u64;
    if declared_length(req).is_none_or(|bytes| bytes > max_bytes) {
        return;
    }
    let to_the_end = async { while let Some(Ok(_)) = payload.next().await {} };
    // Late or broken: the connection ends, as it would have.
    let _ = timeout(DISCARD_MAX, to_the_end).await;
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
            "a body has at most {} bytes; the file itself goes to presigned.url",
            limits.max_bytes
        );
        Err(Problem::new(Code::PayloadTooLarge, detail))
    };
    let drained = limits.max_bytes as u64 + DRAIN_MAX_BYTES;
    if declared.is_some_and(|bytes| bytes > drained) {
        return too_large();
    }
    let deadline = Instant::now() + limits.timeout;
    let (mut body, mut seen) = (BytesMut::new(), 0u64);
    loop {
        let over = seen > limits.max_bytes as u64;
        match timeout_at(deadline, payload.next()).await {
            Ok(None) if over => return too_large(),
            Ok(None) => return Ok(body.freeze()),
            Ok(Some(Ok(chunk))) => {
                seen += chunk.len() as u64;
                if let Some(counter) = &counter {
                    counter.add(chunk.len());
                }
                if seen > drained {
                    return too_large();
                }
                if seen <= limits.max_bytes as u64 {
                    body.extend_from_slice(&chunk);
                }
            }
            Ok(Some(Err(_))) | Err(_) if over => return too_large(),
            Ok(Some(Err(_))) => {
                let detail = "the body ended early or is not encoded as its headers say";
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

/// Why a body is not taken that is encoded: no more is unpacked than was sent.
fn encoded(req: &HttpRequest) -> Option<Problem> {
    let encoding = req.headers().get(CONTENT_ENCODING)?;
    let detail = "send the body as it is, without Content-Encoding";
    (!encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
        .then(|| Problem::new(Code::UnsupportedMediaType, detail))
}

/// Why a body, if there is one, can't be JSON in UTF-8.
fn not_json(req: &HttpRequest) -> Option<Problem> {
    let problem = |detail: &str| Some(Problem::new(Code::UnsupportedMediaType, detail));
    if let Some(problem) = encoded(req) {
        return Some(problem);
    }
    let Some(value) = req.headers().get(CONTENT_TYPE) else {
        return problem("send Content-Type: application/json");
    };
    let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let json = essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"));
    if !json {
        return problem("send Content-Type: application/json");
    }
    let utf8 = |parameter: &str| match parameter.split_once('=') {
        Some(("charset", charset)) => charset.trim_matches('"') == "utf-8",
        _ => true,
    };
    if parts.all(utf8) {
        None
    } else {
        problem("send the body in UTF-8")
    }
}
