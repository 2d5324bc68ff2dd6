//! Numbers of work that no caller waits for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use prometheus::{GaugeVec, HistogramVec, IntCounterVec, Registry};

use super::reading::values;
use super::{CONFIRM_BUCKETS, Metrics, counters, gauges, histograms};

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
    last_end: GaugeVec,
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
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.0
            .sweeps
            .last_end
            .with_label_values(&[kind])
            .set(now.unwrap_or_default().as_secs_f64());
    }

    /// What the sweeper did in this process, for each kind of work that it did.
    pub fn sweeps(&self) -> Vec<SweepNumbers> {
        let ends = values(&self.0.sweeps.last_end);
        let results = values(&self.0.sweeps.results);
        let failures = values(&self.0.sweeps.took);
        let of = |(labels, last_end): (Vec<String>, f64)| {
            let kind = labels.into_iter().next().unwrap_or_default();
            let own = |all: &[(Vec<String>, f64)], with: fn(&str) -> bool| {
                let fit = all.iter().filter(|(labels, _)| {
                    labels.first() == Some(&kind) && labels.get(1).is_some_and(|it| with(it))
                });
                fit.map(|(_, value)| *value).sum::<f64>() as u64
            };
            SweepNumbers {
                last_ended_at: DateTime::from_timestamp_millis((last_end * 1000.0) as i64),
                done: own(&results, |result| !NOT_DONE.contains(&result)),
                postponed: own(&results, |result| result == "postponed"),
                failed: own(&results, |result| result == "failed")
                    + own(&failures, |outcome| outcome == "error"),
                kind,
            }
        };
        ends.into_iter().map(of).collect()
    }
}

/// Results that say that nothing was done, or what it was of.
const NOT_DONE: [&str; 4] = ["found", "foreign", "postponed", "failed"];

/// What the sweeper did with one kind of work, in this process.
#[derive(Debug, Clone)]
pub struct SweepNumbers {
    /// The kind.
    pub kind: String,
    /// When its last batch ended, well or not.
    pub last_ended_at: Option<DateTime<Utc>>,
    /// How many things it settled or removed.
    pub done: u64,
    /// How often it put something off, because the bucket gave no clear answer or nobody here is configured for it.
    pub postponed: u64,
    /// How often it failed: batches, and single things.
    pub failed: u64,
}
