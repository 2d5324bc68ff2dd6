//! Log lines on standard error: text at a terminal, JSON elsewhere.
//!
//! JSON lines are written by a thread of their own, because a system call for each line costs a noticeable part of a request
//! (measured, see benches/). No line is dropped: at most [`MAX_WAITING_LINES`] wait for that thread, then the logging thread
//! blocks. [`flush`] writes what waits; a process that is killed loses it.

use std::fmt;
use std::io::{BufWriter, IsTerminal as _};
use std::sync::{Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::field::{RecordFields, VisitOutput as _};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, FilterFn, Targets};
use tracing_subscriber::fmt::format::{JsonVisitor, Writer};
use tracing_subscriber::fmt::{FormatFields, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::traces::{SPANS, Traces};

/// The most JSON lines that wait to be written.
const MAX_WAITING_LINES: usize = 4096;

/// The thread that writes this process's JSON lines.
static WRITER: Mutex<Option<WorkerGuard>> = Mutex::new(None);

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text, with colors where standard error is a terminal.
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// Text where standard error is a terminal, JSON otherwise.
    pub fn for_stderr() -> LogFormat {
        if std::io::stderr().is_terminal() {
            LogFormat::Text
        } else {
            LogFormat::Json
        }
    }
}

/// A filter that can't be parsed.
#[derive(Debug, thiserror::Error)]
#[error(
    "the log filter {filter:?} is invalid: {cause}; it must be a level (error, warn, info, debug, trace) or a list such as info,bytepass::storage=debug"
)]
pub struct InvalidLogFilter {
    filter: String,
    cause: String,
}

/// Sends this process's log lines to standard error, and its spans to `traces` if given. `filter` has the form of `RUST_LOG`
/// and applies to log lines only.
///
/// An already installed subscriber (several brokers in one test process) stays; that is not an error.
pub fn install(
    filter: &str,
    format: LogFormat,
    traces: Option<&Traces>,
) -> Result<(), InvalidLogFilter> {
    // `try_init` fails only where a subscriber is already installed.
    let _ = match format {
        LogFormat::Json => {
            let (writer, guard) = NonBlockingBuilder::default()
                .lossy(false)
                .buffered_lines_limit(MAX_WAITING_LINES)
                .thread_name("bytepass-log")
                .finish(BufWriter::new(std::io::stderr()));
            let installed = with_traces(filter, format, writer, traces)?.try_init();
            if installed.is_ok() {
                *WRITER.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard);
            }
            installed
        }
        LogFormat::Text => with_traces(filter, format, std::io::stderr, traces)?.try_init(),
    };
    Ok(())
}

/// Installs text log lines on a writer of the caller's choice, for commands that show progress on the same terminal.
pub fn install_beside<W>(filter: &str, writer: W) -> Result<(), InvalidLogFilter>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let _ = with_traces(filter, LogFormat::Text, writer, None)?.try_init();
    Ok(())
}

/// Writes the waiting log lines, for at most about a second, and ends logging. Call it once, before the process prints its result.
pub fn flush() {
    let guard = WRITER.lock().unwrap_or_else(PoisonError::into_inner).take();
    drop(guard);
}

/// The subscriber that [`install`] installs without traces, with a writer of the caller's choice.
pub fn subscriber<W>(
    filter: &str,
    format: LogFormat,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, InvalidLogFilter>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    with_traces(filter, format, writer, None)
}

fn with_traces<W>(
    filter: &str,
    format: LogFormat,
    writer: W,
    traces: Option<&Traces>,
) -> Result<Box<dyn Subscriber + Send + Sync>, InvalidLogFilter>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let wanted = EnvFilter::try_new(filter).map_err(|cause| InvalidLogFilter {
        filter: filter.to_owned(),
        cause: cause.to_string(),
    })?;
    let clamp = FilterFn::new(may_be_logged).with_max_level_hint(LevelFilter::TRACE);
    let Some(traces) = traces else {
        // One filter for the whole subscriber costs less than one per layer.
        let registry = tracing_subscriber::registry().with(cheapest(filter, wanted));
        return Ok(Box::new(registry.with(clamp).with(lines(format, writer))));
    };
    // A filter per layer, because traces contain spans that log lines don't show.
    let lines = lines(format, writer).with_filter(wanted.and(clamp));
    let registry = tracing_subscriber::registry().with(lines);
    Ok(Box::new(registry.with(traces.layer())))
}

/// The cheapest form of the filter: plain levels by target are evaluated once per callsite, while the full `RUST_LOG` syntax is
/// evaluated each time a span is entered.
fn cheapest<S>(filter: &str, wanted: EnvFilter) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    match filter.parse::<Targets>() {
        // An empty filter means `error` to `EnvFilter` and `off` to `Targets`.
        Ok(levels) if !filter.trim().is_empty() => Box::new(levels),
        _ => Box::new(wanted),
    }
}

fn lines<S, W>(format: LogFormat, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    match format {
        LogFormat::Text => lines.with_ansi(wants_color()).boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .fmt_fields(SpanFields)
            .boxed(),
    }
}

/// The fields of a span as JSON, without those that only say how it is exported. No field of a logged span is recorded later.
struct SpanFields;

impl<'writer> FormatFields<'writer> for SpanFields {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut visitor = JsonVisitor::new(&mut writer);
        fields.record(&mut WithoutOtel(&mut visitor));
        visitor.finish()
    }
}

struct WithoutOtel<'a, 'writer>(&'a mut JsonVisitor<'writer>);

impl Visit for WithoutOtel<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if !field.name().starts_with("otel.") {
            self.0.record_str(field, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if !field.name().starts_with("otel.") {
            self.0.record_debug(field, value);
        }
    }
}

/// actix's target for malformed HTTP, which it logs as errors: any client can cause them and an operator can't fix them.
const MALFORMED_HTTP: &str = "actix_http::h1";

/// Other crates log at `warn` or above, whatever the filter says: at `trace`, aws-sigv4 prints signing keys
/// (RUSTSEC-2023-0125), and hyper and the SDK print whole requests, tokens and presigned URLs included.
fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    if target == SPANS {
        return false;
    }
    let root = target.split("::").next();
    let ours = matches!(root, Some("bytepass" | "bytepass_dev_bucket"));
    ours || (*metadata.level() <= Level::WARN && !target.starts_with(MALFORMED_HTTP))
}

/// Colors need a terminal, and `NO_COLOR` switches them off: <https://no-color.org>.
fn wants_color() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !refused
}
