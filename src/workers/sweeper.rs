//! The sweeper: each kind of sweep at its own interval, in one broker at a time.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::broker::{Broker, SweepKind, SweepReport, SweepWalk};
use crate::config::Sweeper;

use super::Next;

/// The pause between the rounds of a kind, in seconds.
pub(super) fn pause_secs(kind: SweepKind, config: &Sweeper) -> u32 {
    if kind.lists_the_bucket() {
        config.bucket_interval_secs
    } else {
        config.interval_secs
    }
}

/// One round of a kind, batch by batch, while this broker has the kind's lease. The lease lasts over the pause, so that brokers don't
/// repeat a round that another has just finished; if a broker dies, another takes over when the lease expires. All rounds share one
/// walk, so that objects which the bucket refuses to remove don't delay the next round.
pub(super) async fn round(
    broker: Broker,
    kind: SweepKind,
    config: Sweeper,
    walk: Arc<Mutex<SweepWalk>>,
) -> Next {
    let name = kind.as_str();
    let lease_secs = pause_secs(kind, &config).saturating_add(config.lease_secs);
    let mut walk = walk.lock().await;
    loop {
        match broker.acquire_sweep(kind, lease_secs).await {
            Ok(true) => {}
            Ok(false) => return Next::AfterPause,
            Err(error) => {
                tracing::warn!(sweep = name, ?error, "sweep lease not acquired");
                return Next::AfterPause;
            }
        }
        match broker.sweep(&mut walk).await {
            Ok(report) => {
                if report.counts.found > 0 {
                    log_report(name, &report);
                }
                if !report.more {
                    return Next::AfterPause;
                }
            }
            Err(error) => {
                tracing::warn!(sweep = name, ?error, "sweep failed");
                return Next::AfterPause;
            }
        }
    }
}

/// One line with a field for each count that isn't zero.
fn log_report(name: &str, report: &SweepReport) {
    let counts = &report.counts;
    let some = |count: u64| (count > 0).then_some(count);
    tracing::info!(
        sweep = name,
        found = counts.found,
        confirmed = some(counts.confirmed),
        rejected = some(counts.rejected),
        expired = some(counts.expired),
        settled = some(counts.settled),
        postponed = some(counts.postponed),
        abandoned = some(counts.abandoned),
        deleted = some(counts.deleted),
        removed = some(counts.removed),
        aborted = some(counts.aborted),
        foreign = some(counts.foreign),
        failed = some(counts.failed),
        cut = report.cut.then_some(true),
        "swept"
    );
}
