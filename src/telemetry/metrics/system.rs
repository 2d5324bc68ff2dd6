//! Metrics of the whole system. They are read from the database at each scrape, so that all brokers report the same values.

use prometheus::{Encoder as _, GaugeVec, Opts, Registry, TextEncoder};

/// The values, by label.
#[derive(Debug, Clone, Default)]
pub struct SystemState {
    /// The pending uploads of each field.
    pub pending: Vec<PendingState>,
    /// Seal attempts whose copy may still run.
    pub open_attempts: u64,
    /// Abandoned seal attempts whose copy is not known to be removed.
    pub abandoned_copies: u64,
    /// Endpoint, `pending` or `dead`, and the number of deliveries.
    pub deliveries: Vec<(String, String, u64)>,
    /// How long ago the longest overdue upload expired, in seconds.
    pub sweeper_lag_secs: f64,
}

/// One field's pending uploads.
#[derive(Debug, Clone)]
pub struct PendingState {
    /// The field.
    pub field: String,
    /// The number of uploads.
    pub count: u64,
    /// The sum of their declared sizes, in bytes.
    pub bytes: u64,
    /// The age of the oldest, in seconds.
    pub oldest_secs: f64,
}

impl SystemState {
    /// In Prometheus' text format.
    pub fn render(&self) -> String {
        let registry = Registry::new();
        let count = gauges(
            &registry,
            "bytepass_uploads_pending",
            "Uploads that are pending now.",
            &["field"],
        );
        let bytes = gauges(
            &registry,
            "bytepass_uploads_pending_bytes",
            "Declared sizes of the uploads that are pending now.",
            &["field"],
        );
        let oldest = gauges(
            &registry,
            "bytepass_uploads_pending_oldest_seconds",
            "Age of the oldest pending upload.",
            &["field"],
        );
        for pending in &self.pending {
            let field = [pending.field.as_str()];
            count.with_label_values(&field).set(pending.count as f64);
            bytes.with_label_values(&field).set(pending.bytes as f64);
            oldest.with_label_values(&field).set(pending.oldest_secs);
        }
        let attempts = gauges(
            &registry,
            "bytepass_seal_attempts",
            "Seal attempts that are open, and abandoned ones whose copy was not seen to be removed.",
            &["state"],
        );
        for (state, number) in [
            ("open", self.open_attempts),
            ("abandoned", self.abandoned_copies),
        ] {
            attempts.with_label_values(&[state]).set(number as f64);
        }
        let deliveries = gauges(
            &registry,
            "bytepass_webhook_deliveries",
            "Deliveries that are pending or dead.",
            &["endpoint", "state"],
        );
        for (endpoint, state, number) in &self.deliveries {
            deliveries
                .with_label_values(&[endpoint, state])
                .set(*number as f64);
        }
        let lag = gauges(
            &registry,
            "bytepass_sweeper_lag_seconds",
            "For how long the longest overdue upload has been waiting for the sweeper; 0 if none is.",
            &[],
        );
        lag.with_label_values::<&str>(&[])
            .set(self.sweeper_lag_secs);
        let families = registry.gather();
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&families, &mut text)
            .expect("writing to memory does not fail, and gathered families have values");
        String::from_utf8(text).expect("labels and help texts are UTF-8")
    }
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    let made =
        GaugeVec::new(Opts::new(name, help), labels).expect("the names and labels above are valid");
    registry
        .register(Box::new(made.clone()))
        .expect("each name above is declared once");
    made
}
