//! Removing what was replaced or detached, once its grace has ended: never in a request.

use futures::StreamExt as _;
use futures::stream;

use crate::db::{StatusStep, Transition};
use crate::domain::upload::{Status, Upload};

use super::{Broker, BrokerError, now};

/// How many uploads are removed at the same time.
const REMOVALS_AT_ONCE: usize = 8;

impl Broker {
    /// Removes detached uploads of this bucket whose grace has ended, longest due first, at most `limit`; gives back how many are
    /// gone. First the row moves to `deleted`, then the object goes: who is killed in between, or finds the bucket gone, leaves a
    /// row that is due again. Two brokers at once: one moves the row, and removing an object twice does no harm.
    pub async fn remove_detached(&self, limit: u32) -> Result<usize, BrokerError> {
        let bucket = &self.0.options.bucket;
        let due = self.0.db.due_removals(bucket, now(), limit).await?;
        let mut removals = stream::iter(due)
            .map(|upload| self.remove_due(upload))
            .buffer_unordered(REMOVALS_AT_ONCE);
        let mut gone = 0;
        while let Some(removed) = removals.next().await {
            gone += usize::from(removed?);
        }
        Ok(gone)
    }

    /// True if the upload is deleted and its objects are gone.
    async fn remove_due(&self, upload: Upload) -> Result<bool, BrokerError> {
        let upload = match upload.status {
            Status::Deleted => upload,
            _ => match self.move_status(&upload, StatusStep::Delete).await? {
                Transition::Moved(upload) | Transition::Stale(upload) => upload,
                Transition::Missing => return Ok(false),
            },
        };
        Ok(self.remove_objects(&upload).await)
    }
}
