//! The gauges of the whole system, over all brokers. They show no single upload, so they need no caller.

use chrono::{DateTime, Utc};

use crate::broker::{Broker, BrokerError, now};
use crate::telemetry::metrics::system::{PendingState, SystemState};

impl Broker {
    /// The pending uploads, seal attempts and deliveries, and the sweeper's lag.
    pub async fn system_state(&self) -> Result<SystemState, BrokerError> {
        let gauges = self.0.db.gauges().await?;
        let now = now();
        // Another broker's clock may be a little ahead.
        let secs_since =
            |at: DateTime<Utc>| ((now - at).num_milliseconds() as f64 / 1000.0).max(0.0);
        let pending = gauges.pending.into_iter().map(|pending| PendingState {
            field: pending.field.to_string(),
            count: pending.count,
            bytes: pending.bytes,
            oldest_secs: secs_since(pending.oldest),
        });
        let deliveries = gauges.deliveries.into_iter();
        Ok(SystemState {
            pending: pending.collect(),
            open_attempts: gauges.open_attempts,
            abandoned_copies: gauges.abandoned_copies,
            deliveries: deliveries.map(|d| (d.endpoint, d.state, d.count)).collect(),
            sweeper_lag_secs: gauges.due_since.map_or(0.0, secs_since),
        })
    }
}
