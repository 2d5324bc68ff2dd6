//! What rows say is to go: attempts that nobody finishes, objects that were given up, uploads that no record claimed.

use futures::future::join_all;

use crate::broker::cleanup::Removal;
use crate::broker::{Broker, BrokerError, now};
use crate::db::{Copied, Transition};
use crate::domain::field::FieldPolicy;
use crate::domain::upload::{Status, Upload};

use super::{SweepReport, SweepWalk, before};

impl Broker {
    /// First gives up what is stale, by compare-and-set, then removes what given-up attempts may have copied: a record demands that
    /// its attempt is still open, so no object that goes here can ever be an upload's.
    pub(super) async fn sweep_attempts(
        &self,
        walk: &mut SweepWalk,
    ) -> Result<SweepReport, BrokerError> {
        let options = &self.0.options;
        let stale_since = before(self.sweep_time().await?, options.sweep.attempt_stale_secs);
        let stale = self.0.db.stale_attempts(stale_since, walk.limit).await?;
        let mut report = SweepReport::of(stale.len(), walk.limit);
        if walk.dry_run {
            // Nothing moves, so every batch would begin with the same ones.
            let first = walk.cursor.copy.is_none();
            let line = |it: &Copied| format!("give up the seal attempt {}", it.key.as_str());
            report.would = stale.iter().filter(|_| first).map(line).collect();
            report.counts.found = report.would.len() as u64;
            report.more = false;
        } else {
            let giving_up = stale
                .iter()
                .map(|it| self.0.db.abandon_attempt(it.upload, &it.key));
            for abandoned in join_all(giving_up).await {
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
            let answers = join_all(removing).await;
            report.counts.removed += walk.take_in(&mut report, &answers);
            walk.cursor.copy = chunk.last().cloned();
            if walk.failure_budget.is_over() {
                break;
            }
        }
        Ok(report)
    }

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
            let answers = join_all(removing).await;
            report.counts.removed += walk.take_in(&mut report, &answers);
            walk.cursor.upload = chunk.last().map_or(walk.cursor.upload, |it| it.id);
            if walk.failure_budget.is_over() {
                break;
            }
        }
        Ok(report)
    }

    /// Field by field; one that says nothing keeps its uploads for ever.
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
            if walk.failure_budget.is_over() {
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
            let line = |it: &Upload| format!("delete {}, which no record claimed", it.id);
            report.would.extend(found.iter().map(line));
            return Ok(());
        }
        report.more |= found.len() >= walk.limit as usize;
        for chunk in found.chunks(self.sweeps_at_once()) {
            let deleting = chunk.iter().map(|upload| self.delete_unattached(upload));
            let mut answers = Vec::new();
            for deleted in join_all(deleting).await {
                let Some(gone) = deleted? else { continue };
                report.counts.deleted += 1;
                answers.push(gone);
            }
            // The rows have moved whatever the bucket says; what it still has is pending deletion.
            report.counts.removed += walk.take_in(report, &answers);
            if walk.failure_budget.is_over() {
                break;
            }
        }
        Ok(())
    }

    /// `None` where somebody was first; otherwise what came of its objects.
    async fn delete_unattached(&self, upload: &Upload) -> Result<Option<Removal>, BrokerError> {
        match self.0.db.delete_unattached(upload.id, now()).await? {
            Transition::Moved(deleted) => {
                self.count(&deleted, Status::Confirmed, "sweeper");
                Ok(Some(self.remove_objects(&deleted).await))
            }
            Transition::Stale(_) | Transition::Missing => Ok(None),
        }
    }
}
