//! `[telemetry]`: log lines.

use super::reader::section::Section;
use super::reader::value::Show;

/// `[telemetry]`.
#[derive(Debug, Clone)]
pub struct Telemetry {
    /// A filter: a level, or `target=level` pairs separated by commas.
    pub log: String,
    /// The format of a log line.
    pub log_format: LogFormat,
}

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object per line.
    Json,
    /// Text.
    Text,
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl Telemetry {
    pub(super) fn read(section: &mut Section) -> Option<Telemetry> {
        let log = section.text("log", Show::Plain, filter);
        let formats = [
            ("auto", LogFormat::Auto),
            ("json", LogFormat::Json),
            ("text", LogFormat::Text),
        ];
        let log_format = section.choice("log_format", &formats);
        Some(Telemetry {
            log: log?,
            log_format: log_format?,
        })
    }
}

fn filter(text: &str) -> Result<String, String> {
    let is_level = |word: &str| LEVELS.contains(&word.to_ascii_lowercase().as_str());
    let is_target = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_:-".contains(c))
    };
    let fits = text
        .split(',')
        .map(str::trim)
        .all(|part| match part.split_once('=') {
            Some((target, level)) => is_target(target) && is_level(level),
            None => is_level(part),
        });
    fits.then(|| text.to_owned()).ok_or_else(|| {
        "must be a level (off, error, warn, info, debug, trace) or a list such as \"info,bytepass::storage=debug\"".to_owned()
    })
}
