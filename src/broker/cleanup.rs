//! Removing objects that a committed row gave up: first the row, then the object, then `object_removed_at`.
//!
//! A failure here is logged and no more: the rows still say what is to go, and the sweeper comes by.

use std::time::Duration;

use tracing::Instrument as _;

use crate::domain::ids::UploadId;
use crate::domain::object_key::FinalKey;
use crate::domain::upload::{Status, Upload};
use crate::store::StoreTrouble;

use super::{Broker, now};

/// How long a caller waits for the removal of objects that its request gave up; it goes on without the caller.
const REMOVAL_WAIT: Duration = Duration::from_secs(2);
/// How many copies one request removes at most.
const COPIES_AT_ONCE: u32 = 100;

impl Broker {
    /// Starts to remove everything that belongs to a rejected or deleted upload, and waits for a moment: the row has the last
    /// word, and a bucket that hangs must not hold up who asked.
    pub(super) async fn remove_objects_soon(&self, upload: Upload) {
        let broker = self.clone();
        let removal = async move { broker.remove_objects(&upload).await };
        let task = self.0.runtime.spawn(removal.in_current_span());
        let _ = tokio::time::timeout(REMOVAL_WAIT, task).await;
    }

    /// Removes everything that belongs to an upload whose committed status is `rejected` or `deleted`; true if all is gone.
    pub(super) async fn remove_objects(&self, upload: &Upload) -> bool {
        if !matches!(upload.status, Status::Rejected | Status::Deleted) {
            return false;
        }
        if let Err(error) = self.check_bucket(upload) {
            tracing::warn!(upload = %upload.id, ?error, "the objects are not removed");
            return false;
        }
        // What people can see goes first.
        let mut clean = true;
        if let Some(confirmation) = &upload.confirmation {
            let removed = self.0.store.remove_final(&confirmation.key).await;
            clean &= noted(upload.id, removed);
        }
        let staged = self.0.options.layout.staging_key(upload.id);
        clean &= noted(upload.id, self.0.store.remove_staging(&staged).await);
        clean &= self.remove_abandoned_copies(upload.id).await;
        if clean && let Err(trouble) = self.0.db.object_removed(upload.id, now()).await {
            tracing::warn!(upload = %upload.id, ?trouble, "the objects are removed, but that is not recorded");
        }
        clean
    }

    /// Removes the copies of an upload's abandoned attempts: no record can ever name their keys. True if all are gone.
    async fn remove_abandoned_copies(&self, id: UploadId) -> bool {
        let keys = match self.0.db.abandoned_copies(id, COPIES_AT_ONCE).await {
            Ok(keys) => keys,
            Err(trouble) => {
                tracing::warn!(upload = %id, ?trouble, "the upload's seal attempts can't be read");
                return false;
            }
        };
        // With so many there may be more.
        let mut clean = keys.len() < COPIES_AT_ONCE as usize;
        for key in keys {
            clean &= self.remove_copy(id, key).await;
        }
        clean
    }

    /// Removes the copy of one abandoned attempt and notes it; true if it is gone.
    pub(super) async fn remove_copy(&self, id: UploadId, key: FinalKey) -> bool {
        if !noted(id, self.0.store.remove_final(&key).await) {
            return false;
        }
        if let Err(trouble) = self.0.db.attempt_removed(id, key, now()).await {
            tracing::warn!(upload = %id, ?trouble, "a copy is removed, but that is not recorded");
        }
        true
    }
}

fn noted(id: UploadId, answer: Result<(), StoreTrouble>) -> bool {
    if let Err(trouble) = &answer {
        tracing::warn!(upload = %id, code = %trouble.code, "an object is still to be removed");
    }
    answer.is_ok()
}
