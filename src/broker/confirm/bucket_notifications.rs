//! Bucket notifications: an event of the bucket says that an object was created.
//!
//! A notification is trusted only as a reason to look. It starts the same confirm that a client requests, so notifications that are
//! repeated, late, out of order or lost lead to the same state. The work runs in the background behind a bounded queue; the
//! sweeper settles uploads whose notification was lost in a crash.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tracing::Instrument as _;

use crate::broker::{Broker, BrokerError};
use crate::db::NoteKind;
use crate::domain::ids::UploadId;
use crate::domain::upload::{ConfirmedBy, Status};

/// The pause before each try: enough for a short failure of the bucket or database, not for an outage.
const TRIES: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_secs(2),
    Duration::from_secs(10),
];
/// Notifications use at most a quarter of the concurrent confirms, so that a burst of events delays no caller.
const SHARE_OF_CONFIRMS: usize = 4;

/// Whether a notification was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotificationOutcome {
    /// Accepted: the upload is confirmed in the background.
    Taken,
    /// The object lies in another bucket.
    OtherBucket,
    /// The key is not an upload's staging key.
    OtherKey,
    /// The queue is full; the bucket should send the event again.
    Full,
}

/// The limits of notifications in progress.
pub(in crate::broker) struct BucketNotifications {
    queue: Arc<Semaphore>,
    permits: Arc<Semaphore>,
}

impl BucketNotifications {
    /// At most `queue_len` notifications wait or run, and they use a quarter of `confirms_in_flight`.
    pub(in crate::broker) fn new(
        queue_len: usize,
        confirms_in_flight: usize,
    ) -> BucketNotifications {
        let permits = (confirms_in_flight / SHARE_OF_CONFIRMS).max(1);
        BucketNotifications {
            queue: Arc::new(Semaphore::new(queue_len)),
            permits: Arc::new(Semaphore::new(permits)),
        }
    }
}

impl Broker {
    /// Queues the confirm of the upload whose object was created under this key; returns at once.
    pub fn notify_object(&self, bucket: &str, key: &str) -> NotificationOutcome {
        let options = &self.0.options;
        if bucket != options.bucket {
            return NotificationOutcome::OtherBucket;
        }
        // The broker's own copies cause events too, under the location.
        let Some(id) = options.layout.upload_of(key) else {
            return NotificationOutcome::OtherKey;
        };
        let Ok(queued) = self.0.notifications.queue.clone().try_acquire_owned() else {
            return NotificationOutcome::Full;
        };
        let broker = self.clone();
        let work = async move {
            let _queued = queued;
            let outcome = broker.confirm_with_retries(id).await;
            tracing::info!(upload = %id, outcome, "bucket notification processed");
            broker.0.metrics.notification_ended(outcome);
        };
        self.0.runtime.spawn(work.in_current_span());
        NotificationOutcome::Taken
    }

    /// Confirms the upload, with a few retries if there is no clear answer; returns the outcome's name in the metrics.
    async fn confirm_with_retries(&self, id: UploadId) -> &'static str {
        for pause in TRIES {
            tokio::time::sleep(pause).await;
            match self.confirm_notified(id).await {
                Ok(outcome) => return outcome,
                Err(
                    error @ (BrokerError::StoreUnavailable { .. }
                    | BrokerError::DatabaseUnavailable { .. }),
                ) => tracing::warn!(upload = %id, ?error, "bucket notification not processed yet"),
                Err(error) => {
                    tracing::error!(upload = %id, ?error, "bucket notification failed");
                    break;
                }
            }
        }
        "failed"
    }

    async fn confirm_notified(&self, id: UploadId) -> Result<&'static str, BrokerError> {
        let _permit = self.0.notifications.permits.acquire().await;
        let Some(upload) = self.0.db.find_upload(id).await? else {
            return Ok("unknown_upload");
        };
        if upload.status != Status::Pending {
            return Ok("already_settled");
        }
        if self.check_bucket(&upload).is_err() {
            return Ok("other_bucket");
        }
        let detail = "the bucket reported an object".to_owned();
        self.note(id, NoteKind::Event, detail).await;
        let upload = self.join_confirm(id, ConfirmedBy::Event).await?;
        Ok(match upload.status {
            Status::Confirmed | Status::Attached => "confirmed",
            Status::Rejected => "rejected",
            Status::Pending => "absent",
            Status::Expired | Status::Canceled | Status::Detached | Status::Deleted => {
                "already_settled"
            }
        })
    }
}
