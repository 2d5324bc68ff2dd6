//! A collector of traces: accepts OTLP over HTTP and decodes it with the specification's protobuf messages.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use prost::Message as _;
use tokio::net::TcpListener;

/// A received request.
#[derive(Clone)]
pub struct Posted {
    /// The path.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A decoded span.
#[derive(Debug, Clone)]
pub struct Span {
    /// 32 hexadecimal digits.
    pub trace: String,
    /// 16 hexadecimal digits.
    pub id: String,
    /// The parent's id; empty for a root span.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// 2: server, 3: client, 4: producer.
    pub kind: i32,
    /// 2: error.
    pub status: i32,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// The resource attributes.
    pub resource: BTreeMap<String, String>,
}

/// A running collector; it stops with the test's runtime.
pub struct Collector {
    /// The value for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub endpoint: String,
    posted: Arc<Mutex<Vec<Posted>>>,
}

impl Collector {
    /// Starts on a free port.
    pub async fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let posted = Arc::<Mutex<Vec<Posted>>>::default();
        let taken = posted.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let taken = taken.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let taken = taken.clone();
                    async move {
                        take(&taken, request).await;
                        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        Collector {
            endpoint: format!("http://{address}"),
            posted,
        }
    }

    /// Every request so far.
    pub fn posted(&self) -> Vec<Posted> {
        self.posted.lock().expect("no panic while held").clone()
    }

    /// Every span so far.
    pub fn spans(&self) -> Vec<Span> {
        self.posted().iter().flat_map(spans_of).collect()
    }

    /// Waits for spans that match `wanted`; fails the test after 20 seconds without one.
    pub async fn wait(&self, what: &str, wanted: impl Fn(&Span) -> bool) -> Vec<Span> {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let found: Vec<Span> = self.spans().into_iter().filter(&wanted).collect();
            if !found.is_empty() {
                return found;
            }
            assert!(Instant::now() < end, "{what}: {:#?}", self.spans());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn take(taken: &Mutex<Vec<Posted>>, request: Request<Incoming>) {
    let (head, body) = request.into_parts();
    let posted = Posted {
        path: head.uri.path().to_owned(),
        headers: head.headers,
        body: body.collect().await.expect("a whole body").to_bytes(),
    };
    taken.lock().expect("no panic while held").push(posted);
}

fn spans_of(posted: &Posted) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(posted.body.clone()).expect("OTLP");
    let mut found = Vec::new();
    for resource in request.resource_spans {
        let of = resource.resource.map(|it| it.attributes);
        let of = words(of.unwrap_or_default());
        for span in resource.scope_spans.into_iter().flat_map(|it| it.spans) {
            found.push(Span {
                trace: hex::encode(span.trace_id),
                id: hex::encode(span.span_id),
                parent: hex::encode(span.parent_span_id),
                name: span.name,
                kind: span.kind,
                status: span.status.map_or(0, |status| status.code),
                attributes: words(span.attributes),
                resource: of.clone(),
            });
        }
    }
    found
}

fn words(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|it| it.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    let pair = |it: KeyValue| (it.key, text(it.value));
    attributes.into_iter().map(pair).collect()
}
