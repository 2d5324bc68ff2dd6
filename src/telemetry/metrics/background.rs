//! Numbers of work that no caller waits for.

use prometheus::{IntCounterVec, Registry};

use super::{Metrics, counters};

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
}
