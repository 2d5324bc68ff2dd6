//! Measures the skew between the broker's clock and the store's: URLs signed with a skew of minutes don't work.

use std::fmt;

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use chrono::{DateTime, Utc};

use crate::telemetry::metrics::Metrics;

/// Reads the `Date` of every answer, including errors.
pub(super) struct StoreClock(pub(super) Metrics);

impl fmt::Debug for StoreClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreClock")
    }
}

impl Intercept for StoreClock {
    fn name(&self) -> &'static str {
        "StoreClock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        if let Some(skew_secs) = date.and_then(|date| skew_secs(date, Utc::now())) {
            self.0.clock_skew(skew_secs);
        }
        Ok(())
    }
}

/// The broker's time minus the store's. A `Date` has whole seconds, so half a second is added to it.
fn skew_secs(date: &str, now: DateTime<Utc>) -> Option<f64> {
    let theirs = DateTime::parse_from_rfc2822(date).ok()?.to_utc();
    Some((now - theirs).num_milliseconds() as f64 / 1000.0 - 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skew_is_positive_if_the_broker_is_ahead_and_none_without_a_date() {
        let now = DateTime::parse_from_rfc3339("2026-11-23T20:00:30.500Z").unwrap();
        let skew = |date| skew_secs(date, now.to_utc());
        assert_eq!(skew("Mon, 23 Nov 2026 20:00:30 GMT"), Some(0.0));
        assert_eq!(skew("Mon, 23 Nov 2026 19:00:30 GMT"), Some(3600.0));
        assert_eq!(skew("Mon, 23 Nov 2026 20:15:30 GMT"), Some(-900.0));
        assert_eq!(skew("yesterday"), None);
    }
}
