//! What the broker does by itself: loops that call a verb, and know no more than how often.
//!
//! `app` starts them with the server and stops them before its end. A loop may be stopped, or its process killed, at any line: each
//! verb leaves rows from which the next round, here or in another broker, goes on. A round that panics ends alone.

mod deliverer;
mod pruner;
mod recounter;
mod remover;
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
use crate::telemetry::traces;
use crate::webhooks::Webhooks;

/// How long a stop tries to give turns back.
const RELEASE_LIMIT: Duration = Duration::from_secs(2);

/// How often what is done.
#[derive(Debug, Clone)]
pub struct WorkersOptions {
    /// How often objects whose grace has ended are looked for, in seconds.
    pub removal_interval_secs: u32,
    /// How often idempotency keys and grants that are out of date are looked for, in seconds.
    pub prune_interval_secs: u32,
    /// How often the counters are compared with the rows, by one of all brokers, in seconds.
    pub recount_interval_secs: u32,
    /// How this broker sweeps; `None`: it doesn't.
    pub sweeper: Option<SweeperOptions>,
}

/// How often and how much is swept.
#[derive(Debug, Clone, Copy)]
pub struct SweeperOptions {
    /// The pause between two rounds over the rows, in seconds.
    pub interval_secs: u32,
    /// The pause between two rounds over the bucket's listing, in seconds.
    pub bucket_interval_secs: u32,
    /// How many things a batch holds at most.
    pub batch: u32,
    /// How much longer than the pause a broker keeps its turn, in seconds.
    pub lease_secs: u32,
}

/// The running loops. Dropped, they end where they are.
pub struct Workers {
    stop: watch::Sender<bool>,
    loops: JoinSet<()>,
    /// Whose turns are given back at the end.
    broker: Option<Broker>,
}

/// What a round of a loop says about the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// There may be more to do.
    AtOnce,
    /// There is nothing to do now, or it can't be done.
    AfterThePause,
}

impl Workers {
    /// Starts every loop on the current runtime.
    pub fn start(broker: &Broker, webhooks: &Webhooks, options: &WorkersOptions) -> Workers {
        let (stop, _) = watch::channel(false);
        let mut workers = Workers {
            stop,
            loops: JoinSet::new(),
            broker: Some(broker.clone()),
        };
        let interval = Duration::from_secs(u64::from(options.removal_interval_secs));
        let removing = broker.clone();
        let walk = Arc::new(Mutex::new(RemovalWalk::default()));
        workers.repeat("remover", interval, move || {
            remover::round(removing.clone(), walk.clone())
        });
        let interval = Duration::from_secs(u64::from(options.prune_interval_secs));
        let pruning = broker.clone();
        workers.repeat("pruner", interval, move || pruner::round(pruning.clone()));
        let (secs, recounting) = (options.recount_interval_secs, broker.clone());
        // First at once: a broker of an older version may have ended a moment ago.
        let interval = Duration::from_secs(u64::from(secs));
        workers.repeat("recounter", interval, move || {
            recounter::round(recounting.clone(), secs)
        });
        for endpoint in webhooks.endpoints() {
            let (webhooks, endpoint) = (webhooks.clone(), endpoint.clone());
            let stopped = workers.stop.subscribe();
            workers
                .loops
                .spawn(deliverer::run(webhooks, endpoint, stopped));
        }
        if let Some(options) = options.sweeper {
            workers.sweep(broker, options);
        }
        workers
    }

    /// Ends every loop where it is, but for deliveries that are under way, which have a few seconds; waits until they have ended.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.loops.join_next().await.is_some() {}
        if let Some(broker) = self.broker {
            let released =
                async { tokio::join!(broker.release_sweeps(), broker.release_recount()) };
            // If it fails, the others wait for the leases' end.
            let _ = tokio::time::timeout(RELEASE_LIMIT, released).await;
        }
    }

    /// One loop a kind, so that a slow bucket doesn't hold up what the rows ask for.
    fn sweep(&mut self, broker: &Broker, options: SweeperOptions) {
        for kind in SweepKind::ALL {
            let broker = broker.clone();
            let pause = u64::from(sweeper::pause_secs(kind, &options));
            let walk = Arc::new(Mutex::new(SweepWalk::new(kind, options.batch)));
            self.repeat(kind.as_str(), Duration::from_secs(pause), move || {
                sweeper::round(broker.clone(), kind, options, walk.clone())
            });
        }
    }

    /// Runs rounds, with a pause after each that says so, until the workers stop.
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
                    tracing::error!(worker = name, "a round of a worker panicked");
                }
                if next.unwrap_or(Next::AfterThePause) == Next::AfterThePause {
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

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    fn none_yet() -> Workers {
        let (stop, _) = watch::channel(false);
        Workers {
            stop,
            loops: JoinSet::new(),
            broker: None,
        }
    }

    #[tokio::test]
    async fn a_loop_pauses_where_a_round_says_so_and_goes_on_after_a_panic() {
        let (begun, mut rounds) = mpsc::unbounded_channel();
        let mut workers = none_yet();
        let mut round = 0;
        let pause = Duration::from_millis(200);
        workers.repeat("test", pause, move || {
            round += 1;
            begun
                .send(std::time::Instant::now())
                .expect("somebody looks");
            let now = round;
            async move {
                match now {
                    1 => Next::AtOnce,
                    3 => panic!("the third round"),
                    _ => Next::AfterThePause,
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
    async fn a_round_that_hangs_is_cut_off_when_the_workers_stop() {
        let mut workers = none_yet();
        workers.repeat("test", Duration::from_secs(1), std::future::pending::<Next>);
        let stopped = tokio::time::timeout(Duration::from_secs(20), workers.stop());
        stopped.await.expect("it is stopped");
    }
}
