//! Log lines to standard error: text for a person at a terminal, JSON for everything that collects them.

use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, FilterFn, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::json_lines::{JsonLines, Members};
use super::lines::Lines;
use super::traces::{SPANS, Traces};

/// This process's JSON lines: there is one standard error.
static LINES: Lines = Lines::new();

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of words, with colors where standard error is a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// Text where a person is looking, JSON otherwise.
    pub fn for_stderr() -> LogFormat {
        if std::io::stderr().is_terminal() {
            LogFormat::Text
        } else {
            LogFormat::Json
        }
    }
}

/// A filter that can't be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "the log filter {filter:?} can't be read: {cause}; write a level (error, warn, info, debug, trace) or bytepass::storage=debug,info"
)]
pub struct InvalidLogFilter {
    filter: String,
    cause: String,
}

/// Sends this process's log lines to standard error, and its spans where `traces` knows, if it is to. `filter` has the form of
/// `RUST_LOG`, and concerns lines alone.
///
/// Where a subscriber is already installed (tests in one process), that one stays, and this is no error.
pub fn install(
    filter: &str,
    format: LogFormat,
    traces: Option<&Traces>,
) -> Result<(), InvalidLogFilter> {
    let gather = || -> &'static Lines { &LINES };
    // The only error is "already installed".
    let _ = match format {
        LogFormat::Json => {
            let lines = with_traces(filter, format, gather, traces)?;
            match LINES.start(std::io::stderr()) {
                Ok(()) => lines.try_init(),
                Err(_) => with_traces(filter, format, std::io::stderr, traces)?.try_init(),
            }
        }
        LogFormat::Text => with_traces(filter, format, std::io::stderr, traces)?.try_init(),
    };
    Ok(())
}

/// The same for a person whose terminal shows something else too: lines of words go to a writer that knows of both.
pub fn install_beside<W>(filter: &str, writer: W) -> Result<(), InvalidLogFilter>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let _ = with_traces(filter, LogFormat::Text, writer, None)?.try_init();
    Ok(())
}

/// Waits until every log line is written: before the process ends, and before words that come after them.
pub fn flush() {
    LINES.flush();
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
        // One filter for all there is, which costs less than one a layer.
        let registry = tracing_subscriber::registry().with(cheapest(filter, wanted));
        return Ok(Box::new(registry.with(clamp).with(lines(format, writer))));
    };
    // A filter for each, because traces want spans that no line shows.
    let lines = lines(format, writer).with_filter(wanted.and(clamp));
    let registry = tracing_subscriber::registry().with(lines);
    Ok(Box::new(registry.with(traces.layer())))
}

/// The same filter, where it can be had for less: levels by target are decided once for each place that speaks, while the whole
/// language of `RUST_LOG` is asked with every span that is entered.
fn cheapest<S>(filter: &str, wanted: EnvFilter) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    match filter.parse::<Targets>() {
        // Nothing at all stands for errors there, and for silence here.
        Ok(levels) if !filter.trim().is_empty() => Box::new(levels),
        _ => Box::new(wanted),
    }
}

/// How lines are written.
fn lines<S, W>(format: LogFormat, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    match format {
        LogFormat::Text => lines.with_ansi(wants_color()).boxed(),
        LogFormat::Json => lines.fmt_fields(Members).event_format(JsonLines).boxed(),
    }
}

/// Where actix says, as errors, that a client's bytes are no HTTP: nothing an operator could mend, and any stranger
/// could fill the log with it.
const CLIENTS_FAULTS: &str = "actix_http::h1";

/// Other crates speak at `warn` or above, whatever the filter says: at `trace`, aws-sigv4 prints signing keys
/// (RUSTSEC-2023-0125), and hyper and the SDK print whole requests, tokens and presigned URLs included.
fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    if target == SPANS {
        return false;
    }
    let ours = target == "bytepass" || target.starts_with("bytepass::");
    ours || (*metadata.level() <= Level::WARN && !target.starts_with(CLIENTS_FAULTS))
}

/// Colors are for a terminal, and not for who asked for none: <https://no-color.org>.
fn wants_color() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !refused
}
