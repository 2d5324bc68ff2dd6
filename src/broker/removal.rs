//! Removing what was replaced or detached, once its grace has ended: never in a request.

use chrono::{DateTime, Utc};
use futures::future::join_all;

use crate::db::{StatusStep, Transition};
use crate::domain::ids::UploadId;
use crate::domain::upload::{Status, Upload};

use super::cleanup::{Patience, Removal};
use super::{Broker, BrokerError, now};

/// How many uploads are removed at the same time.
const REMOVALS_AT_ONCE: usize = 8;
/// After how many refusals in a row a round ends.
const MOST_REFUSED: u64 = 128;

/// A walk over what is due, round after round: what the bucket refuses is not in the way of the rest.
#[derive(Debug)]
pub struct RemovalWalk {
    after: Option<(DateTime<Utc>, UploadId)>,
    patience: Patience,
}

impl Default for RemovalWalk {
    fn default() -> RemovalWalk {
        RemovalWalk {
            after: None,
            patience: Patience::of(MOST_REFUSED),
        }
    }
}

impl Broker {
    /// Removes detached uploads of this bucket whose grace has ended, longest due first, at most `limit`. True if another batch
    /// should follow at once; if not, a later one begins with the longest due, or behind what the bucket refuses. First the row
    /// moves to `deleted`, then the object goes: who is killed in between, or finds the bucket gone, leaves a row that is due again.
    /// Two brokers at once: one moves the row, and removing an object twice does no harm.
    pub async fn remove_detached(
        &self,
        walk: &mut RemovalWalk,
        limit: u32,
    ) -> Result<bool, BrokerError> {
        let (bucket, db) = (&self.0.options.bucket, &self.0.db);
        let due = db.due_removals(bucket, now(), walk.after, limit).await?;
        for chunk in due.chunks(REMOVALS_AT_ONCE) {
            let removals = chunk.iter().map(|upload| self.remove_due(upload));
            let answers: Result<Vec<Removal>, BrokerError> =
                join_all(removals).await.into_iter().collect();
            walk.patience.take_in(&answers?);
            let last = chunk.last();
            walk.after = last.and_then(|it| Some((it.remove_after?, it.id)));
            if walk.patience.is_over() {
                walk.patience.renew();
                return Ok(false);
            }
        }
        let more = due.len() >= limit as usize;
        if !more {
            *walk = RemovalWalk::default();
        }
        Ok(more)
    }

    async fn remove_due(&self, upload: &Upload) -> Result<Removal, BrokerError> {
        if upload.status == Status::Deleted {
            return Ok(self.remove_objects(upload).await);
        }
        match self.move_status(upload, StatusStep::Delete).await? {
            Transition::Moved(upload) | Transition::Stale(upload) => {
                Ok(self.remove_objects(&upload).await)
            }
            Transition::Missing => Ok(Removal::Refused),
        }
    }
}
