//! Sweeps that find their work in the bucket's listing: staged objects and unfinished multipart uploads that are too old, whatever
//! their rows say.

use futures::future::join_all;

use crate::broker::removal::RemovalOutcome;
use crate::broker::{Broker, BrokerError};
use crate::storage::{StoreError, Unfinished};

use super::{SweepReport, SweepWalk};

impl Broker {
    /// Removes old objects on one page of the staging prefix. The configuration demands an age above every field's deadline, so no
    /// presigned request for these keys is still valid.
    pub(super) async fn sweep_staging(
        &self,
        walk: &mut SweepWalk,
    ) -> Result<SweepReport, BrokerError> {
        let options = &self.0.options;
        let storage = &self.0.storage;
        let page = storage
            .list_staged(walk.cursor.staged.as_deref(), walk.limit)
            .await
            .map_err(|error| walk.listing_failed(error))?;
        let is_old = |age_secs: i64| age_secs >= i64::from(options.sweep.staging_max_age_secs);
        let old = page.objects.iter().filter(|it| is_old(it.age_secs));
        let keys: Vec<_> = old.map(|it| options.layout.staging_key(it.id)).collect();
        let mut report = SweepReport::of(keys.len(), walk.limit);
        report.counts.foreign = page.foreign;
        report.more = page.next.is_some();
        if walk.dry_run {
            report.would = keys
                .iter()
                .map(|key| format!("remove {}", key.as_str()))
                .collect();
            walk.cursor.staged = page.next;
            return Ok(report);
        }
        for chunk in keys.chunks(self.sweeps_at_once()) {
            let removing = chunk.iter().map(|key| storage.remove_staging(key));
            let outcomes: Vec<RemovalOutcome> =
                join_all(removing).await.into_iter().map(logged).collect();
            report.counts.removed += walk.record(&mut report, &outcomes);
            if walk.failure_budget.is_spent() {
                walk.cursor.staged = chunk.last().map(|key| key.as_str().to_owned());
                return Ok(report);
            }
        }
        walk.cursor.staged = page.next;
        Ok(report)
    }

    /// Aborts old multipart uploads on one page of one managed prefix.
    pub(super) async fn sweep_multipart(
        &self,
        walk: &mut SweepWalk,
    ) -> Result<SweepReport, BrokerError> {
        let prefixes = self.managed_prefixes();
        let Some(prefix) = prefixes.get(walk.cursor.prefix) else {
            return Ok(SweepReport::default());
        };
        let (storage, max_age_secs) = (&self.0.storage, self.0.options.sweep.staging_max_age_secs);
        let page = storage
            .list_unfinished(prefix, &walk.cursor.unfinished, walk.limit)
            .await
            .map_err(|error| walk.listing_failed(error))?;
        let is_old = |it: &&Unfinished| it.age_secs >= i64::from(max_age_secs);
        let old: Vec<&Unfinished> = page.uploads.iter().filter(is_old).collect();
        let mut report = SweepReport::of(old.len(), walk.limit);
        report.counts.foreign = page.foreign;
        report.more = page.next.is_some() || walk.cursor.prefix + 1 < prefixes.len();
        if walk.dry_run {
            let line = |it: &&Unfinished| format!("abort {} of {}", it.upload_id, it.key);
            report.would = old.iter().map(line).collect();
            walk.advance(page.next);
            return Ok(report);
        }
        // On a page that an earlier round left early, the first `tried` entries are those that it failed to abort.
        let untried = old.get(walk.cursor.tried..).unwrap_or_default();
        for chunk in untried.chunks(self.sweeps_at_once()) {
            let aborting = chunk.iter().map(|upload| storage.abort_unfinished(upload));
            let outcomes: Vec<RemovalOutcome> =
                join_all(aborting).await.into_iter().map(logged).collect();
            let aborted = walk.record(&mut report, &outcomes);
            report.counts.aborted += aborted;
            walk.cursor.tried += outcomes.len() - aborted as usize;
            if !walk.failure_budget.is_spent() {
                continue;
            }
            if walk.manual {
                // A manual sweep has no later round, and the bucket may allow aborts under the next prefix.
                report.cut = true;
                report.more = walk.cursor.prefix + 1 < prefixes.len();
                walk.advance(None);
                walk.failure_budget.renew();
            }
            return Ok(report);
        }
        // By the marker of the listing, because not every store lists in the order of keys.
        walk.advance(page.next);
        Ok(report)
    }

    /// The staging prefix and the location. Where the location is the whole bucket, the prefixes of the fields instead of it, because
    /// others may use the rest of the bucket.
    fn managed_prefixes(&self) -> Vec<String> {
        let options = &self.0.options;
        let layout = &options.layout;
        let mut prefixes = vec![layout.staging_prefix.clone()];
        if layout.location.is_empty() {
            prefixes.extend(options.fields.iter().map(|policy| policy.upload_to.clone()));
            prefixes.sort();
            prefixes.dedup();
        } else {
            prefixes.push(layout.location.clone());
        }
        prefixes
    }
}

fn logged(answer: Result<(), StoreError>) -> RemovalOutcome {
    if let Err(error) = &answer {
        tracing::warn!(operation = error.operation, code = %error.code, "staged object or multipart upload not removed");
    }
    RemovalOutcome::of(&answer)
}
