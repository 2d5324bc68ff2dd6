//! Removal of objects and uploads: first the row, then the object, then `object_removed_at`.
//!
//! A failed removal is only logged: the row keeps the deletion pending, and the sweeper repeats it. Some objects can never be
//! removed (a legal hold), so a walk skips objects that the bucket refuses to remove, and ends when the bucket does not answer.

use std::time::Duration;

use futures::future::join_all;
use tracing::Instrument as _;

use crate::db::{StatusStep, Transition};
use crate::domain::ids::UploadId;
use crate::domain::object_key::FinalKey;
use crate::domain::principal::{Principal, Scope};
use crate::domain::upload::{Status, Upload};
use crate::storage::StoreError;

use super::access::{self, Action};
use super::{Broker, BrokerError, now};

/// How long a request waits for the removal of its objects; the removal continues after that.
const REMOVAL_WAIT: Duration = Duration::from_secs(2);
/// The most copies of an upload that one removal removes.
const MAX_COPIES: u32 = 100;
/// How often a status change is repeated when another change comes first; no status has more changes than that.
const MAX_STATUS_CHANGES: usize = 4;
/// How many uploads whose grace has ended are removed at the same time.
const REMOVALS_AT_ONCE: usize = 8;
/// The refusals in a row that end a round of the removal worker.
const MAX_REFUSED: u64 = 128;

/// The result of a removal. The result for several objects is the greatest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RemovalOutcome {
    /// The object is gone.
    Gone,
    /// The bucket refused for a reason that concerns this object alone.
    Refused,
    /// The bucket did not answer, or answered with an error that concerns every object.
    Unclear,
}

impl RemovalOutcome {
    /// The outcome that an answer of the bucket means.
    pub(super) fn of(answer: &Result<(), StoreError>) -> RemovalOutcome {
        match answer {
            Ok(()) => RemovalOutcome::Gone,
            Err(error) if error.refused => RemovalOutcome::Refused,
            Err(_) => RemovalOutcome::Unclear,
        }
    }
}

/// How many failed removals end a round.
#[derive(Debug, Clone, Copy)]
pub(super) struct FailureBudget {
    max_refused: u64,
    /// Whether refusals stop counting after the first successful removal.
    is_until_first_success: bool,
    refused_in_a_row: u64,
    is_spent: bool,
}

impl FailureBudget {
    /// A budget that is spent after `max_refused` refusals in a row, or when the bucket answers none of the removals made at once.
    pub(super) fn of(max_refused: u64) -> FailureBudget {
        FailureBudget {
            max_refused,
            is_until_first_success: false,
            refused_in_a_row: 0,
            is_spent: false,
        }
    }

    /// The same, but after one successful removal refusals no longer count.
    pub(super) fn until_first_success(max_refused: u64) -> FailureBudget {
        FailureBudget {
            is_until_first_success: true,
            ..FailureBudget::of(max_refused)
        }
    }

    /// Counts the outcomes of removals that ran at the same time; returns how many objects are gone.
    pub(super) fn record(&mut self, outcomes: &[RemovalOutcome]) -> u64 {
        let count = |wanted| outcomes.iter().filter(|it| **it == wanted).count() as u64;
        let (gone, refused) = (count(RemovalOutcome::Gone), count(RemovalOutcome::Refused));
        match gone {
            0 => {
                let failed = outcomes.len() as u64;
                self.refused_in_a_row = self.refused_in_a_row.saturating_add(failed);
            }
            _ => {
                self.refused_in_a_row = 0;
                if self.is_until_first_success {
                    self.max_refused = u64::MAX;
                }
            }
        }
        let is_unanswered = !outcomes.is_empty() && gone + refused == 0;
        self.is_spent |= is_unanswered || self.refused_in_a_row >= self.max_refused;
        gone
    }

    /// Whether the round ends here. The next round continues from here.
    pub(super) fn is_spent(&self) -> bool {
        self.is_spent
    }

    /// Starts the next round.
    pub(super) fn renew(&mut self) {
        self.refused_in_a_row = 0;
        self.is_spent = false;
    }
}

/// A walk over detached uploads whose grace has ended, across rounds. It needs no cursor: a row that was processed has changed its
/// status and is not found again.
#[derive(Debug)]
pub struct RemovalWalk {
    failure_budget: FailureBudget,
}

impl Default for RemovalWalk {
    fn default() -> RemovalWalk {
        RemovalWalk {
            failure_budget: FailureBudget::of(MAX_REFUSED),
        }
    }
}

impl Broker {
    /// Cancels a pending upload, or deletes a confirmed or detached one. The object is removed after the row has changed; the
    /// sweeper repeats a removal that fails.
    pub async fn remove(&self, caller: &Principal, id: UploadId) -> Result<(), BrokerError> {
        access::check_scopes(caller, Action::Remove)?;
        let upload = self.find(id).await?;
        access::check_upload(caller, &upload, Action::Remove)?;
        let (broker, may_delete) = (self.clone(), access::check_delete(caller));
        // For owners and backends the status change says enough.
        if caller.has(Scope::Ops) {
            match upload.status {
                Status::Pending => self.note_operator(caller, id, "cancel").await,
                Status::Confirmed | Status::Detached if may_delete.is_ok() => {
                    self.note_operator(caller, id, "delete").await;
                }
                _ => {}
            }
        }
        // Spawned, so that a client that disconnects doesn't stop the removal after the row has changed.
        let work = self
            .0
            .runtime
            .spawn(async move { broker.cancel_or_delete(upload, may_delete).await });
        work.await
            .unwrap_or_else(|error| Err(BrokerError::aborted("removal", error.into())))
    }

    async fn cancel_or_delete(
        &self,
        mut upload: Upload,
        may_delete: Result<(), BrokerError>,
    ) -> Result<(), BrokerError> {
        for _ in 0..MAX_STATUS_CHANGES {
            let step = match upload.status {
                Status::Pending => StatusStep::Cancel,
                Status::Confirmed | Status::Detached => {
                    may_delete.clone()?;
                    StatusStep::Delete
                }
                Status::Attached => {
                    return Err(BrokerError::WrongStatus {
                        now: upload.status,
                        detail: "the upload is attached to a record; detach it first",
                    });
                }
                Status::Deleted | Status::Rejected if upload.object_removed_at.is_none() => {
                    // An earlier removal ended between the row and the object.
                    self.remove_objects_soon(upload).await;
                    return Ok(());
                }
                Status::Deleted | Status::Rejected | Status::Expired | Status::Canceled => {
                    return Ok(());
                }
            };
            match self.move_status(&upload, step).await? {
                Transition::Moved(moved) => {
                    self.remove_objects_soon(moved).await;
                    return Ok(());
                }
                Transition::Stale(current) => upload = current,
                Transition::Missing => return Err(BrokerError::UploadNotFound),
            }
        }
        Err(BrokerError::DatabaseUnavailable {
            retry_after_secs: 1,
            cause: "other changes of the upload's status came first each time",
        })
    }

    /// Removes detached uploads of this bucket whose grace has ended, longest overdue first, at most `limit`. Returns true if the
    /// next batch should follow at once; otherwise all are removed, or the failure budget is spent. A crash between row and object
    /// leaves a pending deletion to the sweeper. Two brokers at the same time do no harm: one changes the row, and removing an
    /// object twice succeeds.
    pub async fn remove_detached(
        &self,
        walk: &mut RemovalWalk,
        limit: u32,
    ) -> Result<bool, BrokerError> {
        let (bucket, db) = (&self.0.options.bucket, &self.0.db);
        let due = db.due_removals(bucket, now(), limit).await?;
        for chunk in due.chunks(REMOVALS_AT_ONCE) {
            let removals = chunk.iter().map(|upload| self.delete_detached(upload));
            let outcomes: Result<Vec<RemovalOutcome>, BrokerError> =
                join_all(removals).await.into_iter().collect();
            walk.failure_budget.record(&outcomes?);
            if walk.failure_budget.is_spent() {
                walk.failure_budget.renew();
                return Ok(false);
            }
        }
        Ok(due.len() >= limit as usize)
    }

    async fn delete_detached(&self, upload: &Upload) -> Result<RemovalOutcome, BrokerError> {
        match self.move_status(upload, StatusStep::Delete).await? {
            Transition::Moved(upload) | Transition::Stale(upload) => {
                Ok(self.remove_objects(&upload).await)
            }
            Transition::Missing => Ok(RemovalOutcome::Refused),
        }
    }

    /// Starts to remove all objects of a rejected or deleted upload, and waits at most [`REMOVAL_WAIT`]: the row has changed
    /// already, so a bucket that hangs need not delay the request.
    pub(super) async fn remove_objects_soon(&self, upload: Upload) {
        let broker = self.clone();
        let removal = async move { broker.remove_objects(&upload).await };
        let task = self.0.runtime.spawn(removal.in_current_span());
        let _ = tokio::time::timeout(REMOVAL_WAIT, task).await;
    }

    /// Removes all objects of an upload whose committed status is `rejected` or `deleted`.
    pub(super) async fn remove_objects(&self, upload: &Upload) -> RemovalOutcome {
        if !matches!(upload.status, Status::Rejected | Status::Deleted) {
            return RemovalOutcome::Refused;
        }
        if let Err(error) = self.check_bucket(upload) {
            tracing::warn!(upload = %upload.id, ?error, "objects not removed");
            return RemovalOutcome::Refused;
        }
        // The object that people can see goes first.
        let mut worst = RemovalOutcome::Gone;
        if let Some(confirmation) = &upload.confirmation {
            let removed = self.0.storage.remove_final(&confirmation.key).await;
            worst = worst.max(logged(upload.id, removed));
        }
        let staged = self.0.options.layout.staging_key(upload.id);
        worst = worst.max(logged(
            upload.id,
            self.0.storage.remove_staging(&staged).await,
        ));
        worst = worst.max(self.remove_abandoned_copies(upload.id).await);
        if worst == RemovalOutcome::Gone
            && let Err(error) = self.0.db.object_removed(upload.id, now()).await
        {
            tracing::warn!(upload = %upload.id, ?error, "objects removed, but the removal is not recorded");
        }
        worst
    }

    /// Removes the copies of an upload's abandoned seal attempts: no confirm can record their keys any more.
    async fn remove_abandoned_copies(&self, id: UploadId) -> RemovalOutcome {
        let keys = match self.0.db.abandoned_copies(id, MAX_COPIES).await {
            Ok(keys) => keys,
            Err(error) => {
                tracing::warn!(upload = %id, ?error, "seal attempts not read");
                return RemovalOutcome::Unclear;
            }
        };
        // At the limit there may be more copies.
        let mut worst = match keys.len() < MAX_COPIES as usize {
            true => RemovalOutcome::Gone,
            false => RemovalOutcome::Refused,
        };
        for key in keys {
            worst = worst.max(self.remove_copy(id, key).await);
        }
        worst
    }

    /// Removes the copy of one abandoned seal attempt, and records that.
    pub(super) async fn remove_copy(&self, id: UploadId, key: FinalKey) -> RemovalOutcome {
        let outcome = logged(id, self.0.storage.remove_final(&key).await);
        if outcome != RemovalOutcome::Gone {
            return outcome;
        }
        if let Err(error) = self.0.db.attempt_removed(id, key, now()).await {
            tracing::warn!(upload = %id, ?error, "copy removed, but the removal is not recorded");
        }
        RemovalOutcome::Gone
    }
}

fn logged(id: UploadId, answer: Result<(), StoreError>) -> RemovalOutcome {
    if let Err(error) = &answer {
        tracing::warn!(upload = %id, code = %error.code, "object not removed");
    }
    RemovalOutcome::of(&answer)
}

#[cfg(test)]
mod tests {
    use super::{FailureBudget, RemovalOutcome};

    const REFUSED: [RemovalOutcome; 16] = [RemovalOutcome::Refused; 16];

    #[test]
    fn budget_until_first_success_ends_on_refusals_only_before_a_removal() {
        let mut none_gone = FailureBudget::until_first_success(64);
        for answered in 1..=4 {
            assert!(!none_gone.is_spent());
            none_gone.record(&REFUSED);
            assert_eq!(none_gone.is_spent(), answered == 4);
        }
        let mut one_gone = FailureBudget::until_first_success(64);
        one_gone.record(&[RemovalOutcome::Refused, RemovalOutcome::Gone]);
        for _ in 0..1_000 {
            one_gone.record(&REFUSED);
        }
        assert!(!one_gone.is_spent());
        one_gone.record(&[RemovalOutcome::Unclear; 16]);
        assert!(one_gone.is_spent());
    }
}
