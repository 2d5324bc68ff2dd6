//! The export of spans by OTLP over HTTP. opentelemetry-otlp and its SDK read the standard `OTEL_*` variables themselves; what they
//! don't read or only warn about is decided in [`Endpoint`].
//!
//! Spans are batched by the SDK's own thread. The queue is bounded (`OTEL_BSP_MAX_QUEUE_SIZE`) and so is each call; spans that
//! can't be sent are dropped.

use std::sync::atomic::Ordering;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Key, KeyValue};
use opentelemetry_http::HttpClient;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::{ON, is_traced};

/// How long [`Traces::end`] waits for the last spans to be sent.
const END_LIMIT: Duration = Duration::from_secs(3);

const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];
const PROTOCOLS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
];
const COMPRESSIONS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
];

/// A variable with a value that is not supported.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct InvalidVariable {
    /// The variable.
    pub name: &'static str,
    /// What is wrong. It never contains the value, which may be a secret.
    pub problem: &'static str,
}

/// The collector that the environment names.
#[derive(Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The variable that names it, for errors.
    pub variable: &'static str,
    /// The variable's value. The exporter appends `/v1/traces` where the variable is not the one for traces alone.
    pub url: String,
}

impl Endpoint {
    /// Reads the environment; `None` where no traces are to be exported.
    pub fn from_env() -> Result<Option<Endpoint>, InvalidVariable> {
        Endpoint::read(|name| std::env::var(name).ok())
    }

    /// The same from another source. An empty variable counts as not set, as the specification says.
    fn read(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Endpoint>, InvalidVariable> {
        let find = |name: &'static str| {
            let value = variable(name)?.trim().to_owned();
            (!value.is_empty()).then_some((name, value))
        };
        let is_disabled =
            find("OTEL_SDK_DISABLED").is_some_and(|it| it.1.eq_ignore_ascii_case("true"));
        let is_none = find("OTEL_TRACES_EXPORTER").is_some_and(|it| it.1 == "none");
        let endpoint = ENDPOINTS.into_iter().find_map(find);
        let Some((name, url)) = endpoint.filter(|_| !is_disabled && !is_none) else {
            return Ok(None);
        };
        if let Some((name, protocol)) = PROTOCOLS.into_iter().find_map(find)
            && protocol != "http/protobuf"
        {
            let problem = "must be http/protobuf, which collectors accept on port 4318";
            return Err(InvalidVariable { name, problem });
        }
        let compressed = COMPRESSIONS.into_iter().filter_map(find);
        if let Some((name, _)) = compressed.into_iter().find(|it| it.1 != "none") {
            let problem = "must be none or not set: compression is not supported";
            return Err(InvalidVariable { name, problem });
        }
        Ok(Some(Endpoint {
            variable: name,
            url,
        }))
    }
}

/// The export of this process's spans.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Prepares the export that the environment describes, over this client; nothing is sent yet.
    pub fn new(client: impl HttpClient + 'static) -> Result<Traces, ExporterBuildError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .build()?;
        let named = Resource::builder().build().get(&Key::new("service.name"));
        let mut resource = Resource::builder().with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", uuid::Uuid::now_v7().to_string()),
        ]);
        // The SDK's own name where no variable gives one.
        if named.is_none_or(|name| name.as_str().starts_with("unknown_service")) {
            resource = resource.with_service_name("bytepass");
        }
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(exporter)
            .build();
        Ok(Traces(provider))
    }

    /// The layer that passes spans to the export. From this call on, spans are opened.
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

    /// Sends the last spans, for at most 3 s. Blocks; the client must still work.
    pub fn end(self) {
        if let Err(error) = self.0.shutdown_with_timeout(END_LIMIT) {
            tracing::warn!(%error, "the last spans are lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://c:4318";
    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", URL);

    fn read(set: &[(&str, &str)]) -> Result<Option<Endpoint>, InvalidVariable> {
        Endpoint::read(|name| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn nothing_is_exported_without_an_endpoint() {
        for set in [
            &[][..],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")],
            &[("OTEL_SERVICE_NAME", "shop")],
            &[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")],
            &[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")],
        ] {
            assert_eq!(read(set).unwrap(), None, "{set:?}");
        }
    }

    #[test]
    fn endpoint_of_traces_wins_over_endpoint_of_all_signals() {
        assert_eq!(read(&[ENDPOINT]).unwrap().unwrap().url, URL);
        let both = [
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://d/y"),
        ];
        assert_eq!(read(&both).unwrap().unwrap().url, "http://d/y");
    }

    #[test]
    fn unsupported_variable_is_an_error_that_names_it_without_its_value() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ] {
            let error = read(&[ENDPOINT, (name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(name) && !error.contains(value), "{error}");
        }
        let supported = [
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ];
        assert!(read(&supported).unwrap().is_some());
    }
}
