//! Numbers: every metric that Bytepass has is declared here, once.

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry,
    TextEncoder,
};

/// Buckets of a request that a person waits for, in seconds.
const REQUEST_BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Buckets of work that copies up to the largest object, in seconds.
const CONFIRM_BUCKETS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];
/// Buckets of the rows in one commit: powers of two up to the largest batch.
const BATCH_BUCKETS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// The most bytes of a code that a store made up; longer ones are counted as `other`.
const MAX_CODE_BYTES: usize = 64;

/// Every metric, in a registry of its own. Clones share it.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    uploads_created: IntCounterVec,
    status_changes: IntCounterVec,
    http_requests: HistogramVec,
    s3_requests: HistogramVec,
    confirms: Histogram,
    s3_events: IntCounterVec,
    s3_event_hints: IntCounterVec,
    write_batch_rows: Histogram,
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
                "Uploads that were asked for and admitted.",
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
            confirms: histogram(
                r,
                "bytepass_confirm_duration_seconds",
                "Time of one confirm's work, however many callers waited for it.",
                CONFIRM_BUCKETS,
            ),
            s3_events: counters(
                r,
                "bytepass_s3_events_total",
                "Events that the bucket sent, one for each record, by shape and by what became of them.",
                &["shape", "outcome"],
            ),
            s3_event_hints: counters(
                r,
                "bytepass_s3_event_hints_total",
                "Uploads that an event pointed at, by how that ended.",
                &["outcome"],
            ),
            write_batch_rows: histogram(
                r,
                "bytepass_db_write_batch_rows",
                "Writes that shared one commit.",
                BATCH_BUCKETS,
            ),
            registry,
        }))
    }

    /// An upload was admitted and its row committed. `field` is a configured name, so the label is bounded.
    pub fn upload_created(&self, field: &str) {
        self.0.uploads_created.with_label_values(&[field]).inc();
    }

    /// A status change was committed; `by` says at whose request, as in `confirmed_by`.
    pub fn transition(&self, field: &str, from: &str, to: &str, by: &str) {
        self.0
            .status_changes
            .with_label_values(&[field, from, to, by])
            .inc();
    }

    /// A request was answered. `route` is the template (`/v1/uploads/{id}`), never the path.
    pub fn http_answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        self.0
            .http_requests
            .with_label_values(&[method, route, status.to_string().as_str()])
            .observe(took.as_secs_f64());
    }

    /// The bucket answered one call, or didn't: `code` says which.
    pub fn s3_call(&self, operation: &str, code: &str, took: Duration) {
        let known = code.len() <= MAX_CODE_BYTES
            && code
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        self.0
            .s3_requests
            .with_label_values(&[operation, if known { code } else { "other" }])
            .observe(took.as_secs_f64());
    }

    /// One confirm's work ended, well or not.
    pub fn confirm_took(&self, took: Duration) {
        self.0.confirms.observe(took.as_secs_f64());
    }

    /// The bucket sent an event. Both labels are fixed words.
    pub fn s3_event(&self, shape: &'static str, outcome: &'static str) {
        self.0.s3_events.with_label_values(&[shape, outcome]).inc();
    }

    /// What an event pointed at was looked at, well or not. The label is a fixed word.
    pub fn hint_ended(&self, outcome: &'static str) {
        self.0.s3_event_hints.with_label_values(&[outcome]).inc();
    }

    /// So many writes shared one commit.
    pub fn batch_written(&self, rows: usize) {
        self.0.write_batch_rows.observe(rows as f64);
    }

    /// Everything in Prometheus' text format.
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

fn keep<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    let metric = made.expect("the names and labels above are valid");
    registry
        .register(Box::new(metric.clone()))
        .expect("each name above is declared once");
    metric
}
