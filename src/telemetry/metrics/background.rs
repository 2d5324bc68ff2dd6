//! Numbers of work that no caller waits for.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus::{GaugeVec, HistogramVec, IntCounterVec, Registry};

use super::{CONFIRM_BUCKETS, Metrics, counters, gauges, histograms, lock};

/// What the bucket told of, and what came of it.
pub(super) struct BucketEvents {
    records: IntCounterVec,
    notifications: IntCounterVec,
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
            notifications: counters(
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
    last_end: GaugeVec,
    /// What `/ops` shows, by kind.
    numbers: Mutex<BTreeMap<String, SweepNumbers>>,
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
            last_end: gauges(
                r,
                "bytepass_sweep_last_end_timestamp_seconds",
                "When this broker's last batch of the sweeper ended, in seconds since 1970.",
                &["kind"],
            ),
            numbers: Mutex::default(),
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
    pub fn notification_ended(&self, outcome: &'static str) {
        self.0
            .bucket_events
            .notifications
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
        self.count_sweep(kind, |numbers| match result {
            // What a batch had to do, and objects that it may not touch.
            "found" | "foreign" => {}
            "postponed" => numbers.postponed += count,
            "failed" => numbers.failed += count,
            _ => numbers.done += count,
        });
    }

    /// A batch of the sweeper ended, well or not.
    pub fn sweep_took(&self, kind: &str, ok: bool, took: Duration) {
        let outcome = if ok { "ok" } else { "error" };
        self.0
            .sweeps
            .took
            .with_label_values(&[kind, outcome])
            .observe(took.as_secs_f64());
        let now = Utc::now();
        self.0
            .sweeps
            .last_end
            .with_label_values(&[kind])
            .set(now.timestamp_micros() as f64 / 1_000_000.0);
        self.count_sweep(kind, |numbers| {
            numbers.last_ended_at = Some(now);
            numbers.failed += u64::from(!ok);
        });
    }

    fn count_sweep(&self, kind: &str, count: impl FnOnce(&mut SweepNumbers)) {
        let mut all = lock(&self.0.sweeps.numbers);
        let numbers = all.entry(kind.to_owned()).or_default();
        count(numbers);
    }

    /// What the sweeper did in this process, for each kind of work of which a batch ended.
    pub fn sweeps(&self) -> Vec<(String, SweepNumbers)> {
        let all = lock(&self.0.sweeps.numbers);
        let ended = all.iter().filter(|(_, it)| it.last_ended_at.is_some());
        ended.map(|(kind, it)| (kind.clone(), *it)).collect()
    }
}

/// What the sweeper did with one kind of work, in this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct SweepNumbers {
    /// When its last batch ended, well or not.
    pub last_ended_at: Option<DateTime<Utc>>,
    /// How many things it settled or removed.
    pub done: u64,
    /// How often it put something off, because the bucket gave no clear answer or nobody here is configured for it.
    pub postponed: u64,
    /// How often it failed: batches, and single things.
    pub failed: u64,
}
