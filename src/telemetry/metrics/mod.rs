//! Every metric of this process, declared once.

mod background;
pub mod system;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder as _, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, Opts,
    Registry, TextEncoder,
};

use self::background::{BucketEvents, Sweeps};

pub use self::background::SweepNumbers;

/// Histogram buckets of requests, in seconds.
const REQUEST_BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Histogram buckets of work that copies objects, in seconds.
const CONFIRM_BUCKETS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];
/// Histogram buckets of the time from create to confirm, in seconds.
const LIFE_BUCKETS: &[f64] = &[
    0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0, 172_800.0,
];
/// Histogram buckets of the rows in one commit: powers of two up to the largest batch.
const BATCH_BUCKETS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// The longest error code of a store that becomes a label, in bytes; longer ones are counted as `other`.
const MAX_CODE_BYTES: usize = 64;

/// All metrics, in a registry of their own. Clones share it.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    uploads_created: IntCounterVec,
    status_changes: IntCounterVec,
    http_requests: HistogramVec,
    s3_requests: HistogramVec,
    /// How many calls to the bucket there were, by operation and code: `/ops` shows them.
    s3_calls: Mutex<BTreeMap<(String, String), u64>>,
    confirms: Confirms,
    bucket_events: BucketEvents,
    clock_skew: Gauge,
    write_batch_rows: Histogram,
    webhook_attempts: IntCounterVec,
    sweeps: Sweeps,
}

/// The metrics of confirms.
struct Confirms {
    took: Histogram,
    create_to_confirm: HistogramVec,
    rejections: IntCounterVec,
}

impl Confirms {
    fn new(r: &Registry) -> Confirms {
        Confirms {
            took: histogram(
                r,
                "bytepass_confirm_duration_seconds",
                "Time of one confirm's work, however many callers waited for it.",
                CONFIRM_BUCKETS,
            ),
            create_to_confirm: histograms(
                r,
                "bytepass_create_to_confirm_seconds",
                "Time from the create of an upload to its confirm.",
                LIFE_BUCKETS,
                &["field"],
            ),
            rejections: counters(
                r,
                "bytepass_rejections_total",
                "Rejected uploads, by each declared member that differs from the object.",
                &["field", "reason"],
            ),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Metrics {
        let registry = Registry::new();
        let r = &registry;
        Metrics(Arc::new(Inner {
            uploads_created: counters(
                r,
                "bytepass_uploads_created_total",
                "Created uploads.",
                &["field"],
            ),
            status_changes: counters(
                r,
                "bytepass_upload_status_changes_total",
                "Committed changes of an upload's status.",
                &["field", "from", "to", "by"],
            ),
            http_requests: histograms(
                r,
                "bytepass_http_request_duration_seconds",
                "Time from a request's head to its answer, by route template.",
                REQUEST_BUCKETS,
                &["method", "route", "status"],
            ),
            s3_requests: histograms(
                r,
                "bytepass_s3_request_duration_seconds",
                "Time of one call to the bucket; code is ok, an S3 error code, timeout or dispatch.",
                REQUEST_BUCKETS,
                &["operation", "code"],
            ),
            s3_calls: Mutex::default(),
            confirms: Confirms::new(r),
            bucket_events: BucketEvents::new(r),
            clock_skew: gauge(
                r,
                "bytepass_s3_clock_skew_seconds",
                "The broker's clock minus the bucket's, at the last answer; presigned URLs fail if it is more than some minutes.",
            ),
            write_batch_rows: histogram(
                r,
                "bytepass_db_write_batch_rows",
                "Writes that shared one commit.",
                BATCH_BUCKETS,
            ),
            webhook_attempts: counters(
                r,
                "bytepass_webhook_attempts_total",
                "Attempts to deliver an event; outcome is delivered, failed, dead or gone.",
                &["endpoint", "outcome"],
            ),
            sweeps: Sweeps::new(r),
            registry,
        }))
    }

    /// Counts a created upload. `field` is a configured name, so the label is bounded.
    pub fn upload_created(&self, field: &str) {
        self.0.uploads_created.with_label_values(&[field]).inc();
    }

    /// Counts a committed status change; `by` is its cause, as in `confirmed_by`.
    pub fn transition(&self, field: &str, from: &str, to: &str, by: &str) {
        self.0
            .status_changes
            .with_label_values(&[field, from, to, by])
            .inc();
    }

    /// Observes the time from create to confirm.
    pub fn confirmed_after(&self, field: &str, took: Duration) {
        let histogram = self
            .0
            .confirms
            .create_to_confirm
            .with_label_values(&[field]);
        histogram.observe(took.as_secs_f64());
    }

    /// Counts a rejection for this member, `size` or `checksum`.
    pub fn rejected(&self, field: &str, reason: &str) {
        self.0
            .confirms
            .rejections
            .with_label_values(&[field, reason])
            .inc();
    }

    /// Sets how far the broker's clock is ahead of the bucket's, in seconds.
    pub fn clock_skew(&self, secs: f64) {
        self.0.clock_skew.set(secs);
    }

    /// Observes an answered request. `route` is the template (`/v1/uploads/{id}`), never the path.
    pub fn http_answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        self.0
            .http_requests
            .with_label_values(&[method, route, status.to_string().as_str()])
            .observe(took.as_secs_f64());
    }

    /// Observes a call to the bucket; `code` is its result.
    pub fn s3_call(&self, operation: &str, code: &str, took: Duration) {
        let known = code.len() <= MAX_CODE_BYTES
            && code
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        let code = if known { code } else { "other" };
        self.0
            .s3_requests
            .with_label_values(&[operation, code])
            .observe(took.as_secs_f64());
        let mut calls = lock(&self.0.s3_calls);
        *calls
            .entry((operation.to_owned(), code.to_owned()))
            .or_default() += 1;
    }

    /// The calls to the bucket that this process made: operation, code, how many.
    pub fn s3_calls(&self) -> Vec<(String, String, u64)> {
        let calls = lock(&self.0.s3_calls);
        let call = |((operation, code), count): (&(String, String), &u64)| {
            (operation.clone(), code.clone(), *count)
        };
        calls.iter().map(call).collect()
    }

    /// Observes the work of one confirm.
    pub fn confirm_took(&self, took: Duration) {
        self.0.confirms.took.observe(took.as_secs_f64());
    }

    /// Observes the number of writes in one commit.
    pub fn batch_written(&self, rows: usize) {
        self.0.write_batch_rows.observe(rows as f64);
    }

    /// Counts a delivery attempt; `endpoint` is a configured name, so the label is bounded.
    pub fn webhook_attempted(&self, endpoint: &str, outcome: &str) {
        self.0
            .webhook_attempts
            .with_label_values(&[endpoint, outcome])
            .inc();
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.0.registry.gather(), &mut text)
            .expect(
                "writing to memory does not fail, and no family here is empty or without a name",
            );
        String::from_utf8(text).expect("labels and help texts are UTF-8")
    }
}

/// Locks counts. Each change is a single step, so counts are consistent after a panic.
fn lock<T>(counted: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    counted.lock().unwrap_or_else(PoisonError::into_inner)
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    keep(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    buckets: &[f64],
    labels: &[&str],
) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    keep(registry, HistogramVec::new(options, labels))
}

fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> Histogram {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    keep(registry, Histogram::with_opts(options))
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Gauge {
    keep(registry, Gauge::with_opts(Opts::new(name, help)))
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    keep(registry, GaugeVec::new(Opts::new(name, help), labels))
}

fn keep<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    let metric = made.expect("the names and labels above are valid");
    registry
        .register(Box::new(metric.clone()))
        .expect("each name above is declared once");
    metric
}
