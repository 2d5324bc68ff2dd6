//! A hint that an object arrived: the bucket's events come here.
//!
//! Nothing that a hint says is believed but where to look. It leads to the same confirm that a client asks for, so hints that
//! come twice, late, in any order or not at all end in the same state. The work goes on in the background, in a queue with an
//! end; a hint that is lost with its process is what the sweeper is for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tracing::Instrument as _;

use crate::db::NoteKind;
use crate::domain::ids::UploadId;
use crate::domain::upload::{ConfirmedBy, Status};

use super::{Broker, BrokerError};

/// How long to wait before each try: a bucket or database that is away for a moment is asked again, one that is down is not.
const TRIES: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_secs(2),
    Duration::from_secs(10),
];
/// BucketNotifications may use one in so many of the confirms that can be at work, so that a burst of events holds up no caller.
const SHARE_OF_CONFIRMS: usize = 4;

/// What became of a hint at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotificationOutcome {
    /// It is followed up in the background.
    Taken,
    /// It is about another bucket.
    OtherBucket,
    /// It is about a key that no upload is staged under.
    OtherKey,
    /// Too many hints wait already; its sender should come back.
    Full,
}

/// The bounds of what hints may do at once.
pub(super) struct BucketNotifications {
    waiting: Arc<Semaphore>,
    at_work: Arc<Semaphore>,
}

impl BucketNotifications {
    /// At most `waiting` hints are kept, and a share of the confirms in flight is theirs.
    pub(super) fn new(waiting: usize, confirms_in_flight: usize) -> BucketNotifications {
        let at_work = (confirms_in_flight / SHARE_OF_CONFIRMS).max(1);
        BucketNotifications {
            waiting: Arc::new(Semaphore::new(waiting)),
            at_work: Arc::new(Semaphore::new(at_work)),
        }
    }
}

impl Broker {
    /// Takes a hint that there is an object under this key, and answers at once.
    pub fn notify_object(&self, bucket: &str, key: &str) -> NotificationOutcome {
        let options = &self.0.options;
        if bucket != options.bucket {
            return NotificationOutcome::OtherBucket;
        }
        // Our own copies under the location cause events too.
        let Some(id) = options.layout.upload_of(key) else {
            return NotificationOutcome::OtherKey;
        };
        let Ok(place) = self.0.notifications.waiting.clone().try_acquire_owned() else {
            return NotificationOutcome::Full;
        };
        let broker = self.clone();
        let work = async move {
            let _place = place;
            let outcome = broker.follow_notification(id).await;
            tracing::info!(upload = %id, outcome, "an event was followed up");
            broker.0.metrics.notification_ended(outcome);
        };
        self.0.runtime.spawn(work.in_current_span());
        NotificationOutcome::Taken
    }

    /// Confirms what a hint points at, a few times if there is no clear answer; says in a word how it ended.
    async fn follow_notification(&self, id: UploadId) -> &'static str {
        for wait in TRIES {
            tokio::time::sleep(wait).await;
            match self.confirm_notified(id).await {
                Ok(outcome) => return outcome,
                Err(
                    error @ (BrokerError::StoreUnavailable { .. }
                    | BrokerError::DatabaseUnavailable { .. }),
                ) => tracing::warn!(upload = %id, ?error, "an event could not be followed up yet"),
                Err(error) => {
                    tracing::error!(upload = %id, ?error, "an event can't be followed up");
                    break;
                }
            }
        }
        "failed"
    }

    async fn confirm_notified(&self, id: UploadId) -> Result<&'static str, BrokerError> {
        let _turn = self.0.notifications.at_work.acquire().await;
        let Some(upload) = self.0.db.find_upload(id).await? else {
            return Ok("unknown_upload");
        };
        if upload.status != Status::Pending {
            return Ok("already_settled");
        }
        if self.check_bucket(&upload).is_err() {
            return Ok("other_bucket");
        }
        let told = "the bucket told of an object".to_owned();
        self.note(id, NoteKind::Event, told).await;
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
