//! What the bucket's own listing says is to go, whatever the rows say: what was staged and what was begun too long ago.

use futures::future::join_all;

use crate::broker::cleanup::Removal;
use crate::broker::{Broker, BrokerError};
use crate::storage::{StoreError, Unfinished};

use super::{SweepReport, SweepWalk};

impl Broker {
    /// One page of the staging prefix. The age is above every field's deadline, which the configuration's check holds, so no
    /// signature that could still write here is alive.
    pub(super) async fn sweep_staging(
        &self,
        walk: &mut SweepWalk,
    ) -> Result<SweepReport, BrokerError> {
        let options = &self.0.options;
        let store = &self.0.store;
        let page = store
            .list_staged(walk.cursor.staged.as_deref(), walk.limit)
            .await
            .map_err(|error| walk.not_listed(error))?;
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
            let removing = chunk.iter().map(|key| store.remove_staging(key));
            let answers: Vec<Removal> = join_all(removing).await.into_iter().map(noted).collect();
            report.counts.removed += walk.take_in(&mut report, &answers);
            if walk.failure_budget.is_over() {
                walk.cursor.staged = chunk.last().map(|key| key.as_str().to_owned());
                return Ok(report);
            }
        }
        walk.cursor.staged = page.next;
        Ok(report)
    }

    /// One page of multipart uploads below one of our prefixes.
    pub(super) async fn sweep_multipart(
        &self,
        walk: &mut SweepWalk,
    ) -> Result<SweepReport, BrokerError> {
        let prefixes = self.managed_prefixes();
        let Some(prefix) = prefixes.get(walk.cursor.prefix) else {
            return Ok(SweepReport::default());
        };
        let (store, max_age_secs) = (&self.0.store, self.0.options.sweep.staging_max_age_secs);
        let page = store
            .list_unfinished(prefix, &walk.cursor.unfinished, walk.limit)
            .await
            .map_err(|error| walk.not_listed(error))?;
        let is_old = |it: &&Unfinished| it.age_secs >= i64::from(max_age_secs);
        let old: Vec<&Unfinished> = page.uploads.iter().filter(is_old).collect();
        let mut report = SweepReport::of(old.len(), walk.limit);
        report.counts.foreign = page.foreign;
        report.more = page.next.is_some() || walk.cursor.prefix + 1 < prefixes.len();
        if walk.dry_run {
            let line = |it: &&Unfinished| format!("abort {} of {}", it.upload_id, it.key);
            report.would = old.iter().map(line).collect();
            walk.behind(page.next);
            return Ok(report);
        }
        // What is left of a page that was cut is found behind as many as were tried in vain.
        let untried = old.get(walk.cursor.tried..).unwrap_or_default();
        for chunk in untried.chunks(self.sweeps_at_once()) {
            let aborting = chunk.iter().map(|upload| store.abort_unfinished(upload));
            let answers: Vec<Removal> = join_all(aborting).await.into_iter().map(noted).collect();
            let aborted = walk.take_in(&mut report, &answers);
            report.counts.aborted += aborted;
            walk.cursor.tried += answers.len() - aborted as usize;
            if !walk.failure_budget.is_over() {
                continue;
            }
            if walk.manual {
                // There is no later round, and the next prefix may be another's to refuse.
                report.cut = true;
                report.more = walk.cursor.prefix + 1 < prefixes.len();
                walk.behind(None);
                walk.failure_budget.renew();
            }
            return Ok(report);
        }
        // Always by the store's own marker, because not every store lists by key.
        walk.behind(page.next);
        Ok(report)
    }

    /// Staging and the location; where the location is the whole bucket, only the prefixes of fields, because there others may have
    /// theirs.
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

fn noted(answer: Result<(), StoreError>) -> Removal {
    if let Err(error) = &answer {
        tracing::warn!(operation = error.operation, code = %error.code, "something is still to be removed");
    }
    Removal::of(&answer)
}
