//! Log lines as JSON, one object a line, with the members of tracing-subscriber's own format.
//!
//! That one parses the span's members again for every line, and builds a tree of them: a noticeable part of a request's cost
//! (measured, see benches/). Here they are copied, because [`Members`] has written them as JSON already, once a span.

use std::fmt;

use chrono::{SecondsFormat, Utc};
use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// A line has less, mostly.
const USUAL_LINE_BYTES: usize = 512;

/// Writes a span's members, each with a comma behind it. One that is recorded later stands behind the others.
pub(super) struct Members;

impl<'writer> FormatFields<'writer> for Members {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut members = Line::new();
        fields.record(&mut members);
        if members.text.is_empty() {
            return Ok(());
        }
        members.raw(",");
        // Behind the brace that begins an object.
        writer.write_str(std::str::from_utf8(&members.text[1..]).map_err(|_| fmt::Error)?)
    }

    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &Record<'_>,
    ) -> fmt::Result {
        self.format_fields(current.as_writer(), fields)
    }
}

/// Formats events.
pub(super) struct JsonLines;

impl<S> FormatEvent<S, Members> for JsonLines
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, Members>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Line::new();
        line.member(
            "timestamp",
            &Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true),
        );
        line.member("level", event.metadata().level().as_str());
        event.record(&mut line);
        let logged = line.target.take();
        line.member(
            "target",
            logged.as_deref().unwrap_or(event.metadata().target()),
        );
        let parent = event.parent().and_then(|id| ctx.span(id));
        if let Some(span) = parent.or_else(|| ctx.lookup_current()) {
            let extensions = span.extensions();
            let members = extensions.get::<FormattedFields<Members>>();
            line.raw(",\"span\":{");
            line.raw(members.map_or("", |members| members.fields.as_str()));
            line.raw("\"name\":");
            line.value(span.metadata().name());
            line.raw("}");
        }
        line.raw("}\n");
        writer.write_str(std::str::from_utf8(&line.text).map_err(|_| fmt::Error)?)
    }
}

/// A line in the making.
struct Line {
    text: Vec<u8>,
    /// The target of a line that came through the `log` crate.
    target: Option<String>,
}

impl Line {
    fn new() -> Line {
        Line {
            text: Vec::with_capacity(USUAL_LINE_BYTES),
            target: None,
        }
    }

    fn raw(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) {
        if serde_json::to_writer(&mut self.text, value).is_err() {
            self.raw("null");
        }
    }

    fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        // How a span is to be exported is nothing for a line.
        if name.starts_with("otel.") {
            return;
        }
        self.raw(if self.text.is_empty() { "{" } else { "," });
        self.value(name);
        self.raw(":");
        self.value(value);
    }
}

impl Visit for Line {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field.name(), &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field.name(), &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "log.target" => self.target = Some(value.to_owned()),
            name if name.starts_with("log.") => {}
            name => self.member(name, value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let name = field.name();
        if !name.starts_with("log.") {
            self.member(
                name.strip_prefix("r#").unwrap_or(name),
                &format!("{value:?}"),
            );
        }
    }
}
