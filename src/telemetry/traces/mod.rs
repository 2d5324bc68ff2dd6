//! OpenTelemetry traces. A request continues its caller's trace (W3C Trace Context).
//!
//! Every span is declared here, once; other modules only open them. Without an endpoint to export to none of them is created.
//! No span holds a URL, a query, a header or a body.

mod export;

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{Status, TraceContextExt as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::field::Empty;
use tracing::{Level, Metadata, Span, debug_span, error_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

pub use export::{Endpoint, InvalidVariable, Traces};
pub use opentelemetry_http::{HttpClient, HttpError};

/// The target of exported spans. Log lines don't show them.
pub(super) const SPANS: &str = "bytepass::spans";
/// The target of the span of a request, which log lines show too.
const REQUEST: &str = "bytepass::request";

/// Whether this process exports traces. Static, as the subscriber is.
static ON: AtomicBool = AtomicBool::new(false);

fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Whether it is exported: our spans, and our warnings and errors as their events.
pub(super) fn is_traced(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    if metadata.is_span() {
        return target == SPANS || target == REQUEST;
    }
    *metadata.level() <= Level::WARN && target.starts_with("bytepass::")
}

/// Opens the span of a request. Its level is error, so that every log filter that shows a warning shows its request's id.
///
/// `header` returns a header of the request: a `traceparent` makes the span a child of the caller's, with its sampled flag.
pub fn request<'a>(id: &impl Display, header: impl Fn(&str) -> Option<&'a str>) -> Span {
    if !is_on() {
        return error_span!(target: REQUEST, "request", request_id = %id);
    }
    let span = error_span!(target: REQUEST, "request", otel.kind = "server", request_id = %id);
    if let Some(parent) = header("traceparent") {
        let headers = Headers {
            parent,
            state: header("tracestate"),
        };
        let context = TraceContextPropagator::new().extract(&headers);
        // Fails only where the span is not exported.
        let _ = span.set_parent(context);
    }
    span
}

/// The answer to a request.
pub struct Answered<'a> {
    /// The method; `other` for an unknown one.
    pub method: &'static str,
    /// The route's pattern, not the path.
    pub route: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// The upload that the request is about.
    pub upload: Option<&'a dyn Display>,
}

/// Records the answer in the exported span; returns the trace's id for the log line, if the request's trace is sampled.
pub fn answered(span: &Span, answered: &Answered<'_>) -> Option<String> {
    if !is_on() {
        return None;
    }
    let Answered {
        method,
        route,
        status,
        upload,
    } = *answered;
    let context = span.context();
    let exported = context.span();
    let id = exported.span_context();
    if !id.is_sampled() {
        return None;
    }
    exported.update_name(format!("{method} {route}"));
    span.set_attribute("http.request.method", method);
    span.set_attribute("http.route", route.to_owned());
    span.set_attribute("http.response.status_code", i64::from(status));
    if let Some(upload) = upload {
        span.set_attribute("bytepass.upload_id", upload.to_string());
    }
    if status >= 500 {
        span.set_attribute("error.type", status.to_string());
        span.set_status(Status::error(""));
    }
    Some(id.trace_id().to_string())
}

/// The span of a call to the bucket.
pub fn s3(operation: &'static str) -> Span {
    debug_span!(
        target: SPANS, "s3", otel.name = %format_args!("S3 {operation}"), otel.kind = "client", otel.status_code = Empty,
        rpc.system = "aws-api", rpc.service = "S3", rpc.method = operation, error.type = Empty
    )
}

/// Records the code of a failed call.
pub fn s3_failed(span: &Span, code: &str) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", code);
}

/// The span of a read or a write, including its wait for a connection or for the commit of its batch.
pub fn database(operation: &'static str) -> Span {
    debug_span!(
        target: SPANS, "database", otel.name = %format_args!("database {operation}"), otel.kind = "client",
        db.operation.name = operation
    )
}

/// The span of one round of a worker, the root of a trace.
pub fn round(worker: &'static str) -> Span {
    debug_span!(target: SPANS, parent: None, "round", otel.name = %format_args!("round of the {worker}"), bytepass.worker = worker)
}

/// The span of one delivery attempt, the root of a trace. No trace header is sent to the receiver.
pub fn delivery(endpoint: &str, event: &impl Display) -> Span {
    debug_span!(
        target: SPANS, parent: None, "delivery", otel.name = %format_args!("deliver to {endpoint}"), otel.kind = "producer",
        bytepass.endpoint = endpoint, bytepass.event_id = %event
    )
}

/// The headers of W3C Trace Context.
struct Headers<'a> {
    parent: &'a str,
    state: Option<&'a str>,
}

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => Some(self.parent),
            "tracestate" => self.state,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}
