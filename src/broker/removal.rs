//! Removing what was replaced or detached, once its grace has ended: never in a request.

use futures::future::join_all;

use crate::db::{StatusStep, Transition};
use crate::domain::upload::Upload;

use super::cleanup::{FailureBudget, Removal};
use super::{Broker, BrokerError, now};

/// How many uploads are removed at the same time.
const REMOVALS_AT_ONCE: usize = 8;
/// After how many refusals in a row a round ends.
const MOST_REFUSED: u64 = 128;

/// A walk over what is due, round after round. It needs no place: a row that was looked at has moved, and is due no more.
#[derive(Debug)]
pub struct RemovalWalk {
    failure_budget: FailureBudget,
}

impl Default for RemovalWalk {
    fn default() -> RemovalWalk {
        RemovalWalk {
            failure_budget: FailureBudget::of(MOST_REFUSED),
        }
    }
}

impl Broker {
    /// Removes detached uploads of this bucket whose grace has ended, longest due first, at most `limit`. True if another batch
    /// should follow at once; if not, all are removed, or the bucket refuses or doesn't answer. First the row moves to `deleted`,
    /// then the object goes: who is killed in between, or finds the bucket gone, leaves an object that is owed, and the sweeper's.
    /// Two brokers at once: one moves the row, and removing an object twice does no harm.
    pub async fn remove_detached(
        &self,
        walk: &mut RemovalWalk,
        limit: u32,
    ) -> Result<bool, BrokerError> {
        let (bucket, db) = (&self.0.options.bucket, &self.0.db);
        let due = db.due_removals(bucket, now(), limit).await?;
        for chunk in due.chunks(REMOVALS_AT_ONCE) {
            let removals = chunk.iter().map(|upload| self.remove_due(upload));
            let answers: Result<Vec<Removal>, BrokerError> =
                join_all(removals).await.into_iter().collect();
            walk.failure_budget.take_in(&answers?);
            if walk.failure_budget.is_over() {
                walk.failure_budget.renew();
                return Ok(false);
            }
        }
        Ok(due.len() >= limit as usize)
    }

    async fn remove_due(&self, upload: &Upload) -> Result<Removal, BrokerError> {
        match self.move_status(upload, StatusStep::Delete).await? {
            Transition::Moved(upload) | Transition::Stale(upload) => {
                Ok(self.remove_objects(&upload).await)
            }
            Transition::Missing => Ok(Removal::Refused),
        }
    }
}
