//! Sweeps: each kind at its own pace, one broker at a time where there are several.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::broker::{Broker, SweepKind, SweepReport, SweepWalk};

use super::{Next, SweeperOptions};

/// How often which kind comes round, in seconds.
pub(super) fn pause_secs(kind: SweepKind, options: &SweeperOptions) -> u32 {
    if kind.lists_the_bucket() {
        options.bucket_interval_secs
    } else {
        options.interval_secs
    }
}

/// All there is to do of a kind, batch by batch, while this broker has the kind's lease. It keeps the lease over the pause, so that
/// brokers don't do one after the other what one of them has just done; one that dies is followed when its lease ends. The walk is
/// that of all rounds, so that what the bucket refuses in one is not in the way of the next.
pub(super) async fn round(
    broker: Broker,
    kind: SweepKind,
    options: SweeperOptions,
    walk: Arc<Mutex<SweepWalk>>,
) -> Next {
    let name = kind.as_str();
    let lease_secs = pause_secs(kind, &options).saturating_add(options.lease_secs);
    let mut walk = walk.lock().await;
    loop {
        match broker.take_sweep(kind, lease_secs).await {
            Ok(true) => {}
            Ok(false) => return Next::AfterThePause,
            Err(error) => {
                tracing::warn!(
                    sweep = name,
                    ?error,
                    "nobody can be asked whose turn it is to sweep"
                );
                return Next::AfterThePause;
            }
        }
        match broker.sweep(&mut walk).await {
            Ok(report) => {
                if report.counts.found > 0 {
                    tell(name, &report);
                }
                if !report.more {
                    return Next::AfterThePause;
                }
            }
            Err(error) => {
                tracing::warn!(sweep = name, ?error, "a sweep is left to the next round");
                return Next::AfterThePause;
            }
        }
    }
}

/// One line with a field for each thing that happened.
fn tell(name: &str, report: &SweepReport) {
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
