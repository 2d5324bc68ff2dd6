//! Spans on their way out: gathered in batches by the SDK's own thread, and posted by whoever knows how to call.
//!
//! What can't be sent is dropped, never waited for: the queue is bounded (`OTEL_BSP_MAX_QUEUE_SIZE`), and so is each call.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::{ON, Variables, is_traced};

/// What the specification puts behind a base URL.
pub(super) const TRACES_PATH: &str = "v1/traces";
/// How long the end of the process waits for the last spans to be sent.
const END_LIMIT: Duration = Duration::from_secs(3);

/// One call of the collector. No `Debug`: a header may be a secret.
pub struct Outgoing {
    /// The URL.
    pub url: String,
    /// Headers, by lower-case name.
    pub headers: Vec<(String, String)>,
    /// The spans, as protobuf.
    pub body: Bytes,
}

/// Makes a call and gives its HTTP status, or why there is none, in words without secrets. Called on a thread without a runtime.
pub type Sender = Arc<dyn Fn(Outgoing) -> BoxFuture<'static, Result<u16, String>> + Send + Sync>;

/// This process's spans on their way out.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Prepares the export that the variables ask for; nothing is sent yet. The error is one of the variables'.
    pub fn new(variables: &Variables, sender: Sender) -> Result<Traces, ExporterBuildError> {
        let client = Client {
            sender,
            failing: AtomicBool::new(false),
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .build()?;
        let mut resource = Resource::builder().with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", uuid::Uuid::now_v7().to_string()),
        ]);
        if !variables.names_service {
            resource = resource.with_service_name("bytepass");
        }
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(exporter)
            .build();
        Ok(Traces(provider))
    }

    /// What gives spans to the export; from now on there are some.
    pub(crate) fn layer<S>(&self) -> Box<dyn Layer<S> + Send + Sync>
    where
        S: Subscriber + Send + Sync + for<'lookup> LookupSpan<'lookup>,
    {
        ON.store(true, Ordering::Relaxed);
        OpenTelemetryLayer::new(self.0.tracer("bytepass"))
            .with_location(false)
            .with_threads(false)
            .with_level(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(FilterFn::new(is_traced))
            .boxed()
    }

    /// Sends what is left, for a short time. Blocks; whoever makes the calls must still be at work.
    pub fn end(self) {
        if let Err(error) = self.0.shutdown_with_timeout(END_LIMIT) {
            tracing::warn!(%error, "the last spans are lost");
        }
    }
}

struct Client {
    sender: Sender,
    /// The last call failed, and the log says so.
    failing: AtomicBool,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// One line when it begins to fail and one when it works again: not one each batch.
    fn note(&self, outcome: &Result<u16, String>) {
        let problem = match outcome {
            Ok(200..300) => None,
            Ok(status) => Some(format!("it answered {status}")),
            Err(cause) => Some(cause.clone()),
        };
        let was_failing = self.failing.swap(problem.is_some(), Ordering::Relaxed);
        match problem {
            Some(problem) if !was_failing => {
                tracing::warn!(
                    problem,
                    "the collector takes no spans; they are dropped meanwhile"
                );
            }
            None if was_failing => tracing::info!("the collector takes spans again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let text = |value: &http::HeaderValue| Some(value.to_str().ok()?.to_owned());
        let headers = head.headers.iter();
        let outgoing = Outgoing {
            url: head.uri.to_string(),
            headers: headers
                .filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?)))
                .collect(),
            body,
        };
        let outcome = (self.sender)(outgoing).await;
        self.note(&outcome);
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = http::StatusCode::from_u16(outcome?)?;
        Ok(response)
    }
}
