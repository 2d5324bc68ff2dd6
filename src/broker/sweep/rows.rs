//! Sweeps that find their work in rows: pending uploads past their deadline, stale seal attempts, pending deletions, and confirmed
//! uploads that were never attached.

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;

use crate::broker::removal::RemovalOutcome;
use crate::broker::{Broker, BrokerError, now};
use crate::db::{Copied, DueUpload, Transition};
use crate::domain::field::FieldPolicy;
use crate::domain::upload::{ConfirmedBy, FieldError, Status, Upload};

use super::{SweepReport, SweepWalk, before};

/// The longest pause before a postponed upload is retried, in seconds.
pub(in crate::broker) const LONGEST_PAUSE_SECS: i64 = 3_600;
/// The most characters of a problem's text.
const MAX_PROBLEM_CHARS: usize = 200;

/// The result for one pending upload.
enum Outcome {
    Confirmed,
    Rejected,
    Expired,
    Settled,
    Postponed,
    /// Postponed, because the bucket did not answer.
    Unanswered,
}

impl Broker {
    /// Confirms, rejects or expires pending uploads past their deadline. Only an upload whose object the bucket reports as absent
    /// expires.
    pub(super) async fn sweep_pending(
        &self,
        walk: &mut SweepWalk,
    ) -> Result<SweepReport, BrokerError> {
        let now = self.sweep_time().await?;
        let due = self.0.db.due_uploads(now, walk.limit).await?;
        let mut report = SweepReport::of(due.len(), walk.limit);
        if walk.dry_run {
            let line = |due: &DueUpload| format!("confirm or expire {}", due.id);
            report.would = due.iter().map(line).collect();
            report.more = false;
            return Ok(report);
        }
        for chunk in due.chunks(self.sweeps_at_once()) {
            let settling = chunk.iter().map(|&due| self.settle_due(due, now));
            let mut answered = false;
            for outcome in join_all(settling).await {
                let outcome = outcome?;
                answered |= !matches!(outcome, Outcome::Unanswered);
                let counts = &mut report.counts;
                *match outcome {
                    Outcome::Confirmed => &mut counts.confirmed,
                    Outcome::Rejected => &mut counts.rejected,
                    Outcome::Expired => &mut counts.expired,
                    Outcome::Settled => &mut counts.settled,
                    Outcome::Postponed | Outcome::Unanswered => &mut counts.postponed,
                } += 1;
            }
            // A bucket that does not answer gets one request each round, not one for each upload. Any other problem concerns one
            // upload and delays no other.
            if !answered {
                report.more = false;
                report.cut = true;
                break;
            }
        }
        Ok(report)
    }

    async fn settle_due(&self, due: DueUpload, now: DateTime<Utc>) -> Result<Outcome, BrokerError> {
        let upload = match self.join_confirm(due.id, ConfirmedBy::Sweeper).await {
            Ok(upload) => upload,
            Err(error @ BrokerError::DatabaseUnavailable { .. }) => return Err(error),
            Err(error) => return self.settle_later(due, now, error).await,
        };
        let by = upload.confirmation.as_ref().map(|it| it.by);
        match upload.status {
            // This confirm began after the deadline, and the bucket reported the object as absent.
            Status::Pending => Ok(match self.expire_absent(&upload).await? {
                Transition::Moved(_) => Outcome::Expired,
                Transition::Stale(_) | Transition::Missing => Outcome::Settled,
            }),
            Status::Rejected => Ok(Outcome::Rejected),
            _ if by == Some(ConfirmedBy::Sweeper) => Ok(Outcome::Confirmed),
            _ => Ok(Outcome::Settled),
        }
    }

    /// Postpones an upload that can't be settled now. An upload of a field or bucket that this broker isn't configured for is left
    /// to brokers with another configuration until its staged object is too old to be sealed; then it expires, because otherwise it
    /// would count against its owner's quota for ever.
    async fn settle_later(
        &self,
        due: DueUpload,
        now: DateTime<Utc>,
        error: BrokerError,
    ) -> Result<Outcome, BrokerError> {
        let options = &self.0.options;
        let upload = self.find(due.id).await?;
        let is_configured =
            upload.bucket == options.bucket && options.fields.get(&upload.field).is_some();
        let is_too_old =
            now - due.expires_at >= TimeDelta::seconds(options.sweep.staging_max_age_secs.into());
        if !is_configured && is_too_old {
            tracing::warn!(upload = %due.id, field = %upload.field, bucket = upload.bucket, "pending upload of an unconfigured field or bucket expires");
            return Ok(match self.expire_absent(&upload).await? {
                Transition::Moved(_) => Outcome::Expired,
                Transition::Stale(_) | Transition::Missing => Outcome::Settled,
            });
        }
        let is_unanswered = is_configured && matches!(error, BrokerError::StoreUnavailable { .. });
        self.postpone(due, now, problem_of(error)).await?;
        Ok(if is_unanswered {
            Outcome::Unanswered
        } else {
            Outcome::Postponed
        })
    }

    /// Retries the upload after half of the time that it is overdue, so that a short outage ends soon and a lasting problem costs
    /// little.
    async fn postpone(
        &self,
        due: DueUpload,
        now: DateTime<Utc>,
        problem: String,
    ) -> Result<(), BrokerError> {
        tracing::warn!(upload = %due.id, problem, "pending upload postponed");
        let shortest = i64::from(self.0.options.sweep.retry_secs).min(LONGEST_PAUSE_SECS);
        let overdue_secs = (now - due.expires_at).num_seconds();
        let pause = (overdue_secs / 2).clamp(shortest, LONGEST_PAUSE_SECS);
        let until = now + TimeDelta::seconds(pause);
        Ok(self.0.db.postpone(due.id, until, problem).await?)
    }

    /// Abandons stale seal attempts by compare-and-set, then removes the copies of abandoned ones. A confirm can only record the key
    /// of an open attempt, so no object removed here can belong to a confirmed upload.
    pub(super) async fn sweep_attempts(
        &self,
        walk: &mut SweepWalk,
    ) -> Result<SweepReport, BrokerError> {
        let options = &self.0.options;
        let stale_since = before(self.sweep_time().await?, options.sweep.attempt_stale_secs);
        let stale = self.0.db.stale_attempts(stale_since, walk.limit).await?;
        let mut report = SweepReport::of(stale.len(), walk.limit);
        if walk.dry_run {
            // No attempt changes, so every batch would list the same ones.
            let first = walk.cursor.copy.is_none();
            let line = |it: &Copied| format!("abandon the seal attempt {}", it.key.as_str());
            report.would = stale.iter().filter(|_| first).map(line).collect();
            report.counts.found = report.would.len() as u64;
            report.more = false;
        } else {
            let abandoning = stale
                .iter()
                .map(|it| self.0.db.abandon_attempt(it.upload, &it.key));
            for abandoned in join_all(abandoning).await {
                report.counts.abandoned += u64::from(abandoned?);
            }
        }
        let (bucket, after) = (&options.bucket, walk.cursor.copy.clone());
        let limit = walk.limit;
        let pending = self
            .0
            .db
            .copies_pending_deletion(bucket, stale_since, after, limit)
            .await?;
        report.counts.found += pending.len() as u64;
        report.more |= pending.len() >= limit as usize;
        if walk.dry_run {
            walk.cursor.copy = pending.last().cloned();
            let line = |it: &Copied| format!("remove {}", it.key.as_str());
            report.would.extend(pending.iter().map(line));
            return Ok(report);
        }
        for chunk in pending.chunks(self.sweeps_at_once()) {
            let removing = chunk
                .iter()
                .map(|it| self.remove_copy(it.upload, it.key.clone()));
            let outcomes = join_all(removing).await;
            report.counts.removed += walk.record(&mut report, &outcomes);
            walk.cursor.copy = chunk.last().cloned();
            if walk.failure_budget.is_spent() {
                break;
            }
        }
        Ok(report)
    }

    /// Removes the objects of rejected and deleted uploads whose removal is not recorded.
    pub(super) async fn sweep_pending_deletion(
        &self,
        walk: &mut SweepWalk,
    ) -> Result<SweepReport, BrokerError> {
        let (bucket, after) = (&self.0.options.bucket, walk.cursor.upload);
        let pending = self
            .0
            .db
            .uploads_pending_deletion(bucket, after, walk.limit)
            .await?;
        let mut report = SweepReport::of(pending.len(), walk.limit);
        if walk.dry_run {
            walk.cursor.upload = pending.last().map_or(walk.cursor.upload, |it| it.id);
            let line = |it: &Upload| format!("remove the objects of {} ({})", it.id, it.status);
            report.would = pending.iter().map(line).collect();
            return Ok(report);
        }
        for chunk in pending.chunks(self.sweeps_at_once()) {
            let removing = chunk.iter().map(|upload| self.remove_objects(upload));
            let outcomes = join_all(removing).await;
            report.counts.removed += walk.record(&mut report, &outcomes);
            walk.cursor.upload = chunk.last().map_or(walk.cursor.upload, |it| it.id);
            if walk.failure_budget.is_spent() {
                break;
            }
        }
        Ok(report)
    }

    /// Deletes confirmed uploads that were not attached within their field's `unattached_lifetime_secs`. A field without it keeps them
    /// for ever.
    pub(super) async fn sweep_unattached(
        &self,
        walk: &mut SweepWalk,
    ) -> Result<SweepReport, BrokerError> {
        let now = self.sweep_time().await?;
        let mut report = SweepReport::default();
        for policy in self.0.options.fields.iter() {
            if let Some(secs) = policy.unattached_lifetime_secs {
                let since = before(now, secs);
                self.sweep_unattached_of(policy, since, walk, &mut report)
                    .await?;
            }
            if walk.failure_budget.is_spent() {
                break;
            }
        }
        Ok(report)
    }

    async fn sweep_unattached_of(
        &self,
        policy: &FieldPolicy,
        since: chrono::DateTime<chrono::Utc>,
        walk: &mut SweepWalk,
        report: &mut SweepReport,
    ) -> Result<(), BrokerError> {
        let (bucket, field) = (&self.0.options.bucket, policy.name.clone());
        let db = &self.0.db;
        let found = db
            .unattached_uploads(bucket, field, since, walk.limit)
            .await?;
        report.counts.found += found.len() as u64;
        if walk.dry_run {
            let line = |it: &Upload| format!("delete {}, which was never attached", it.id);
            report.would.extend(found.iter().map(line));
            return Ok(());
        }
        report.more |= found.len() >= walk.limit as usize;
        for chunk in found.chunks(self.sweeps_at_once()) {
            let deleting = chunk.iter().map(|upload| self.delete_unattached(upload));
            let mut outcomes = Vec::new();
            for deleted in join_all(deleting).await {
                let Some(outcome) = deleted? else { continue };
                report.counts.deleted += 1;
                outcomes.push(outcome);
            }
            // The rows are deleted whatever the bucket answers; an object that it still has stays pending deletion.
            report.counts.removed += walk.record(report, &outcomes);
            if walk.failure_budget.is_spent() {
                break;
            }
        }
        Ok(())
    }

    /// `None` if the upload's status had changed; otherwise the outcome of removing its objects.
    async fn delete_unattached(
        &self,
        upload: &Upload,
    ) -> Result<Option<RemovalOutcome>, BrokerError> {
        match self.0.db.delete_unattached(upload.id, now()).await? {
            Transition::Moved(deleted) => {
                self.count(&deleted, Status::Confirmed, "sweeper");
                Ok(Some(self.remove_objects(&deleted).await))
            }
            Transition::Stale(_) | Transition::Missing => Ok(None),
        }
    }
}

/// The text of the upload's last problem, for operators.
fn problem_of(error: BrokerError) -> String {
    let text = match error {
        BrokerError::StoreUnavailable { cause, .. } => cause,
        BrokerError::Refused(refusal) => FieldError::summary(&refusal.errors),
        BrokerError::Internal(cause) => {
            tracing::error!(
                cause,
                "pending upload not settled because of an internal error"
            );
            "an internal error, see the log".to_owned()
        }
        other => format!("{other:?}"),
    };
    text.chars().take(MAX_PROBLEM_CHARS).collect()
}
