//! Numbers of work that no caller waits for.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, Registry};

use super::{CONFIRM_BUCKETS, Metrics, counters, histograms};

/// What the bucket told of, and what came of it.
pub(super) struct BucketEvents {
    records: IntCounterVec,
    hints: IntCounterVec,
}

impl BucketEvents {
    pub(super) fn new(r: &Registry) -> BucketEvents {
        BucketEvents {
            records: counters(
                r,
                "bytepass_s3_events_total",
                "Events that the bucket sent, one for each record, by shape and by what became of them.",
                &["shape", "outcome"],
            ),
            hints: counters(
                r,
                "bytepass_s3_event_hints_total",
                "Uploads that an event pointed at, by how that ended.",
                &["outcome"],
            ),
        }
    }
}

/// What the sweeper does.
pub(super) struct Sweeps {
    results: IntCounterVec,
    took: HistogramVec,
}

impl Sweeps {
    pub(super) fn new(r: &Registry) -> Sweeps {
        Sweeps {
            results: counters(
                r,
                "bytepass_sweep_results_total",
                "What the sweeper found and what came of it, by kind of work.",
                &["kind", "result"],
            ),
            took: histograms(
                r,
                "bytepass_sweep_duration_seconds",
                "Time of one batch of the sweeper; outcome is ok or error.",
                CONFIRM_BUCKETS,
                &["kind", "outcome"],
            ),
        }
    }
}

impl Metrics {
    /// The bucket sent an event. Both labels are fixed words.
    pub fn s3_event(&self, shape: &'static str, outcome: &'static str) {
        self.0
            .bucket_events
            .records
            .with_label_values(&[shape, outcome])
            .inc();
    }

    /// What an event pointed at was looked at, well or not. The label is a fixed word.
    pub fn hint_ended(&self, outcome: &'static str) {
        self.0
            .bucket_events
            .hints
            .with_label_values(&[outcome])
            .inc();
    }

    /// A batch of the sweeper came to this `result` so often.
    pub fn swept(&self, kind: &str, result: &str, count: u64) {
        self.0
            .sweeps
            .results
            .with_label_values(&[kind, result])
            .inc_by(count);
    }

    /// A batch of the sweeper ended, well or not.
    pub fn sweep_took(&self, kind: &str, ok: bool, took: Duration) {
        let outcome = if ok { "ok" } else { "error" };
        self.0
            .sweeps
            .took
            .with_label_values(&[kind, outcome])
            .observe(took.as_secs_f64());
    }
}
