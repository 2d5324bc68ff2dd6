//! The state of the whole system, for whoever watches it. Nobody's uploads are told apart, so it needs no caller.

use chrono::{DateTime, Utc};

use crate::telemetry::system::{PendingState, SystemState};

use super::{Broker, BrokerError, now};

impl Broker {
    /// What is pending and what is owed, over all brokers.
    pub async fn system_state(&self) -> Result<SystemState, BrokerError> {
        let found = self.0.db.gauges().await?;
        let now = now();
        // Another broker's clock may be a little ahead.
        let secs_since =
            |at: DateTime<Utc>| ((now - at).num_milliseconds() as f64 / 1000.0).max(0.0);
        let pending = found.pending.into_iter().map(|pending| PendingState {
            field: pending.field.to_string(),
            count: pending.count,
            bytes: pending.bytes,
            oldest_secs: secs_since(pending.oldest),
        });
        let deliveries = found.deliveries.into_iter();
        Ok(SystemState {
            pending: pending.collect(),
            open_attempts: found.open_attempts,
            abandoned_copies: found.abandoned_copies,
            deliveries: deliveries.map(|d| (d.endpoint, d.state, d.count)).collect(),
            sweeper_lag_secs: found.due_since.map_or(0.0, secs_since),
        })
    }
}
