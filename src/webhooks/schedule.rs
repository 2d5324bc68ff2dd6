//! The outcome of an attempt, and the time of the next one. Pure functions.

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::WebhookSettings;
use crate::db::Outcome;

/// The longest `Retry-After` that is honored, in seconds.
const MAX_RETRY_AFTER_SECS: i64 = 86_400;
/// The most bytes of a recorded error.
const MAX_ERROR_BYTES: usize = 200;

/// The answer of an endpoint, or the reason that there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// The HTTP status; `None` if there was no answer.
    pub(super) status: Option<u16>,
    /// Why the attempt failed; `None` if it succeeded.
    pub(super) error: Option<String>,
    retry_after: Option<String>,
}

impl Answer {
    /// An answer with this status. Only a 2xx is a success; redirects are not followed.
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

    /// No answer, because of this error.
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

/// The outcome of an attempt that followed `attempts` others. `random` determines the jitter.
pub(super) fn outcome(
    settings: &WebhookSettings,
    answer: &Answer,
    attempts: u32,
    now: DateTime<Utc>,
    random: u32,
) -> Outcome {
    if answer.error.is_none() {
        return Outcome::Delivered;
    }
    if answer.status == Some(410) {
        return Outcome::Gone;
    }
    let Some(&pause_secs) = settings.schedule_secs.get(attempts as usize + 1) else {
        return Outcome::Dead;
    };
    let pause_ms = i64::from(pause_secs) * 1_000;
    let jitter_ms = pause_ms * i64::from(settings.jitter_percent) / 100 * i64::from(random)
        / i64::from(u32::MAX);
    let retry_after = answer.retry_after.as_deref();
    let retry_after = retry_after.and_then(|it| parse_retry_after(it, now));
    // A `Retry-After` only makes the pause longer: a receiver that always answers "1" would otherwise be called in a loop.
    let pause = TimeDelta::milliseconds(pause_ms + jitter_ms);
    let pause = pause.max(retry_after.unwrap_or_default());
    Outcome::Retry(now + pause)
}

/// A `Retry-After` in seconds or as a date, cut to [`MAX_RETRY_AFTER_SECS`].
fn parse_retry_after(text: &str, now: DateTime<Utc>) -> Option<TimeDelta> {
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
