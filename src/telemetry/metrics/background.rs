//! Metrics of background work.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus::{GaugeVec, HistogramVec, IntCounterVec, Registry};

use super::{CONFIRM_BUCKETS, Metrics, counters, gauges, histograms, lock};

/// The metrics of bucket notifications.
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
                "Records of bucket notifications, by format and outcome.",
                &["shape", "outcome"],
            ),
            notifications: counters(
                r,
                "bytepass_s3_event_hints_total",
                "Uploads that a bucket notification named, by outcome.",
                &["outcome"],
            ),
        }
    }
}

/// The metrics of the sweeper.
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
                "Entries that the sweeper found, and their results, by kind of work.",
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
    /// Counts a record of a bucket notification. Both labels are fixed words.
    pub fn s3_event(&self, shape: &'static str, outcome: &'static str) {
        self.0
            .bucket_events
            .records
            .with_label_values(&[shape, outcome])
            .inc();
    }

    /// Counts the result of a notified upload. The label is a fixed word.
    pub fn notification_ended(&self, outcome: &'static str) {
        self.0
            .bucket_events
            .notifications
            .with_label_values(&[outcome])
            .inc();
    }

    /// Counts results of a batch of the sweeper.
    pub fn swept(&self, kind: &str, result: &str, count: u64) {
        self.0
            .sweeps
            .results
            .with_label_values(&[kind, result])
            .inc_by(count);
        self.count_sweep(kind, |numbers| match result {
            // The size of a batch, and objects that are not the broker's.
            "found" | "foreign" => {}
            "postponed" => numbers.postponed += count,
            "failed" => numbers.failed += count,
            _ => numbers.done += count,
        });
    }

    /// Observes a batch of the sweeper.
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

    /// The sweeper's results in this process, for each kind of work of which a batch ended.
    pub fn sweeps(&self) -> Vec<(String, SweepNumbers)> {
        let all = lock(&self.0.sweeps.numbers);
        let ended = all.iter().filter(|(_, it)| it.last_ended_at.is_some());
        ended.map(|(kind, it)| (kind.clone(), *it)).collect()
    }
}

/// The sweeper's results of one kind of work, in this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct SweepNumbers {
    /// When its last batch ended, with or without an error.
    pub last_ended_at: Option<DateTime<Utc>>,
    /// Entries that were settled or removed.
    pub done: u64,
    /// Entries that were postponed, because the bucket's answer was unclear or the field is not configured here.
    pub postponed: u64,
    /// Batches and single entries that failed.
    pub failed: u64,
}
