//! Periodic work: loops that call a use case and only decide when.
//!
//! `app` starts the loops with the server and stops them before it ends. A loop may be stopped, or its process killed, at any line:
//! the next round continues from the rows, in this broker or another. A round that panics doesn't end its loop.

mod deliverer;
mod sweeper;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tracing::Instrument as _;

use crate::broker::{Broker, RemovalWalk, SweepKind, SweepWalk};
use crate::config::{self, Sweeper};
use crate::telemetry::traces;
use crate::webhooks::Webhooks;

/// How long a stop may take to release leases.
const RELEASE_LIMIT: Duration = Duration::from_secs(2);
/// The most uploads that one removal batch removes.
const REMOVAL_BATCH: u32 = 100;
/// The most idempotency keys, and the most grants, that one batch deletes: other writes wait for no longer than that takes.
const PRUNE_BATCH: u32 = 200;

/// The running loops. Dropping them ends them at once.
pub struct Workers {
    stop: watch::Sender<bool>,
    loops: JoinSet<()>,
    /// Releases its leases at the end.
    broker: Option<Broker>,
}

/// When the next round follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// At once: there may be more to do.
    AtOnce,
    /// After the pause: there is nothing to do, or it can't be done now.
    AfterPause,
}

impl Workers {
    /// Starts every loop on the current runtime.
    pub fn start(
        broker: &Broker,
        webhooks: &Webhooks,
        intervals: &config::Workers,
        sweeper: &Sweeper,
    ) -> Workers {
        let (stop, _) = watch::channel(false);
        let mut workers = Workers {
            stop,
            loops: JoinSet::new(),
            broker: Some(broker.clone()),
        };
        let interval = Duration::from_secs(u64::from(intervals.removal_interval_secs));
        let removing = broker.clone();
        let walk = Arc::new(Mutex::new(RemovalWalk::default()));
        workers.repeat("removal", interval, move || {
            remove_detached(removing.clone(), walk.clone())
        });
        let interval = Duration::from_secs(u64::from(intervals.prune_interval_secs));
        let pruning = broker.clone();
        workers.repeat("pruner", interval, move || prune(pruning.clone()));
        for endpoint in webhooks.endpoints() {
            let (webhooks, endpoint) = (webhooks.clone(), endpoint.clone());
            let stopped = workers.stop.subscribe();
            workers
                .loops
                .spawn(deliverer::run(webhooks, endpoint, stopped));
        }
        if sweeper.enabled {
            workers.sweep(broker, sweeper);
        }
        workers
    }

    /// Stops every loop, and waits until all have ended. Deliveries in progress get a few seconds.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.loops.join_next().await.is_some() {}
        if let Some(broker) = self.broker {
            // If this fails, other brokers wait until the leases expire.
            let _ = tokio::time::timeout(RELEASE_LIMIT, broker.release_sweeps()).await;
        }
    }

    /// One loop a kind, so that a slow bucket doesn't delay sweeps over rows.
    fn sweep(&mut self, broker: &Broker, config: &Sweeper) {
        for kind in SweepKind::ALL {
            let (broker, config) = (broker.clone(), config.clone());
            let pause = u64::from(sweeper::pause_secs(kind, &config));
            let walk = Arc::new(Mutex::new(SweepWalk::new(kind, config.batch)));
            self.repeat(kind.as_str(), Duration::from_secs(pause), move || {
                sweeper::round(broker.clone(), kind, config.clone(), walk.clone())
            });
        }
    }

    /// Runs rounds until the workers stop, each followed by a pause if it says so.
    fn repeat<R>(
        &mut self,
        name: &'static str,
        pause: Duration,
        mut round: impl FnMut() -> R + Send + 'static,
    ) where
        R: Future<Output = Next> + Send + 'static,
    {
        let mut stopped = self.stop.subscribe();
        let rounds = async move {
            loop {
                let next = AssertUnwindSafe(round())
                    .catch_unwind()
                    .instrument(traces::round(name))
                    .await;
                if next.is_err() {
                    tracing::error!(worker = name, "worker round panicked");
                }
                if next.unwrap_or(Next::AfterPause) == Next::AfterPause {
                    tokio::time::sleep(pause).await;
                }
            }
        };
        self.loops.spawn(async move {
            tokio::select! {
                () = rounds => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
        });
    }
}

/// Removes one batch of detached uploads whose grace has ended. The next batch follows at once if this one was full and the bucket
/// allows removals; an object that the bucket refused to remove is left to the sweeper.
async fn remove_detached(broker: Broker, walk: Arc<Mutex<RemovalWalk>>) -> Next {
    let mut walk = walk.lock().await;
    match broker.remove_detached(&mut walk, REMOVAL_BATCH).await {
        Ok(true) => Next::AtOnce,
        Ok(false) => Next::AfterPause,
        Err(error) => {
            tracing::warn!(?error, "detached uploads not removed");
            Next::AfterPause
        }
    }
}

/// Deletes one batch of expired idempotency keys and grants.
async fn prune(broker: Broker) -> Next {
    match broker.prune(PRUNE_BATCH).await {
        Ok(deleted) if deleted >= PRUNE_BATCH as usize => Next::AtOnce,
        Ok(_) => Next::AfterPause,
        Err(error) => {
            tracing::warn!(?error, "expired idempotency keys and grants not deleted");
            Next::AfterPause
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    fn no_workers() -> Workers {
        let (stop, _) = watch::channel(false);
        Workers {
            stop,
            loops: JoinSet::new(),
            broker: None,
        }
    }

    #[tokio::test]
    async fn loop_pauses_as_rounds_say_and_continues_after_panic() {
        let (started, mut rounds) = mpsc::unbounded_channel();
        let mut workers = no_workers();
        let mut round = 0;
        let pause = Duration::from_millis(200);
        workers.repeat("test", pause, move || {
            round += 1;
            started
                .send(std::time::Instant::now())
                .expect("an open channel");
            let now = round;
            async move {
                match now {
                    1 => Next::AtOnce,
                    3 => panic!("the third round"),
                    _ => Next::AfterPause,
                }
            }
        });
        let mut times = Vec::new();
        for _ in 0..5 {
            times.push(rounds.recv().await.expect("a round"));
        }
        for (former, later) in [(1, 2), (2, 3), (3, 4)] {
            assert!(times[later] - times[former] >= pause, "{times:?}");
        }
        workers.stop().await;
        while rounds.recv().await.is_some() {}
    }

    #[tokio::test]
    async fn hanging_round_ends_when_workers_stop() {
        let mut workers = no_workers();
        workers.repeat("test", Duration::from_secs(1), std::future::pending::<Next>);
        let stopped = tokio::time::timeout(Duration::from_secs(20), workers.stop());
        stopped.await.expect("the workers stop");
    }
}
