//! What an answer means, and when the next attempt is: pure, so that every case is a line of a test.

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::Outcome;

/// The most that a `Retry-After` may ask for, in seconds.
const MAX_RETRY_AFTER_SECS: i64 = 86_400;
/// The most of an error that is kept, in bytes.
const MAX_ERROR_BYTES: usize = 200;

/// What came back from an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// The HTTP status; `None` when there was no answer.
    pub(super) status: Option<u16>,
    /// What is wrong; `None` when nothing is.
    pub(super) error: Option<String>,
    retry_after: Option<String>,
}

impl Answer {
    /// An answer with this status: a 2xx is success, everything else is not, a redirect included.
    pub(super) fn of(status: u16, retry_after: Option<String>) -> Answer {
        let error = match status {
            200..=299 => None,
            300..=399 => Some(format!("status {status}: redirects are not followed")),
            _ => Some(format!("status {status}")),
        };
        Answer {
            status: Some(status),
            error,
            retry_after,
        }
    }

    /// No answer.
    pub(super) fn failed(mut error: String) -> Answer {
        let cut = (0..=MAX_ERROR_BYTES.min(error.len()))
            .rev()
            .find(|&at| error.is_char_boundary(at));
        error.truncate(cut.unwrap_or_default());
        Answer {
            status: None,
            error: Some(error),
            retry_after: None,
        }
    }
}

/// When attempts are made.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    /// The pause before each attempt, in seconds.
    pub(super) pauses_secs: Vec<u32>,
    /// By how much a pause may be longer, in percent.
    pub(super) jitter_percent: u32,
}

impl Schedule {
    /// What follows from an answer to an attempt that had `before` others before it. `chance` makes the jitter.
    pub(super) fn outcome(
        &self,
        answer: &Answer,
        before: u32,
        now: DateTime<Utc>,
        chance: u32,
    ) -> Outcome {
        if answer.error.is_none() {
            return Outcome::Delivered;
        }
        if answer.status == Some(410) {
            return Outcome::Gone;
        }
        let Some(&pause_secs) = self.pauses_secs.get(before as usize + 1) else {
            return Outcome::Dead;
        };
        let pause_ms = i64::from(pause_secs) * 1_000;
        let jitter_ms = pause_ms * i64::from(self.jitter_percent) / 100 * i64::from(chance)
            / i64::from(u32::MAX);
        let wished = answer.retry_after.as_deref().and_then(|it| wish(it, now));
        // It can only make the pause longer: a receiver that says "1" to everyone would be called in a loop.
        let pause = TimeDelta::milliseconds(pause_ms + jitter_ms).max(wished.unwrap_or_default());
        Outcome::Retry(now + pause)
    }
}

/// A `Retry-After` in seconds or as a date, as far as it is taken seriously.
fn wish(text: &str, now: DateTime<Utc>) -> Option<TimeDelta> {
    let text = text.trim();
    let secs = match text.parse::<u64>() {
        Ok(secs) => i64::try_from(secs).unwrap_or(MAX_RETRY_AFTER_SECS),
        Err(_) => {
            let at = DateTime::parse_from_rfc2822(text).ok()?;
            (at.to_utc() - now).num_seconds()
        }
    };
    Some(TimeDelta::seconds(secs.clamp(0, MAX_RETRY_AFTER_SECS)))
}
