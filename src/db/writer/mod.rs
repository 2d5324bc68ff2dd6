//! The single writer: it takes the waiting changes, writes them in one transaction, and answers after the commit.
//!
//! It is one thread, because a second writer gains nothing and one durable commit serves the whole batch. When a batch fails, each of
//! its changes is written again in a transaction of its own, so that a failed change does not fail the others. A commit without an
//! answer is read back in the same way, because every change is idempotent.

pub(in crate::db) mod attachment_locks;
pub(in crate::db) mod batch;
pub(in crate::db) mod counter_deltas;
pub(in crate::db) mod counters;
pub(in crate::db) mod insert;
pub(in crate::db) mod queue;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use self::batch::{write_all, write_one};
use self::counter_deltas::PendingQuota;
use self::queue::{Item, WriterState};
use crate::db::engine::connection::{AnyConnection, Connector, Undone, is_alive, transaction};
use crate::db::engine::error::{DbError, DbSetupError, Failure};
use crate::telemetry::metrics::Metrics;

/// How long a batch tries to replace a lost connection before its changes fail.
const RECOVERY: Duration = Duration::from_secs(1);
/// A batch that takes this long is slow: a fuller batch then gains more than its first change loses by waiting.
const SLOW: Duration = Duration::from_millis(1);
/// The longest wait for a fuller batch.
const LONGEST_LINGER: Duration = Duration::from_millis(1);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// The state of the writer thread.
pub(in crate::db) struct Writer {
    pub(in crate::db) connector: Connector,
    pub(in crate::db) receiver: mpsc::Receiver<Box<dyn Item>>,
    pub(in crate::db) state: Arc<WriterState>,
    pub(in crate::db) batch_max: usize,
    pub(in crate::db) conn: Option<AnyConnection>,
    /// Called after each commit.
    pub(in crate::db) on_commit: Box<dyn Fn() + Send>,
    pub(in crate::db) quota: PendingQuota,
    pub(in crate::db) metrics: Metrics,
}

type Batch = Vec<Box<dyn Item>>;

impl Writer {
    /// Starts the thread. It ends when every sender is dropped and the queue is empty.
    pub(in crate::db) fn start(self) -> Result<(), DbSetupError> {
        let thread = std::thread::Builder::new().name("bytepass-writer".to_owned());
        thread
            .spawn(move || self.run())
            .map(drop)
            .map_err(|error| DbSetupError::Connect(format!("no thread for the writer: {error}")))
    }

    fn run(mut self) {
        let mut took = Duration::ZERO;
        while let Some(first) = self.receiver.blocking_recv() {
            // Only if others wait: a single caller never waits for a fuller batch.
            if took >= SLOW && !self.receiver.is_empty() {
                std::thread::sleep((took / 4).min(LONGEST_LINGER));
            }
            let begun = Instant::now();
            let batch = self.gather(first);
            if batch.is_empty() {
                continue;
            }
            self.state.begin();
            // A panic drops the batch: its callers get `Unknown`, and the next batch gets a new connection.
            if catch_unwind(AssertUnwindSafe(|| self.write(batch))).is_err() {
                tracing::error!("the database writer panicked; it continues with a new connection");
                self.conn = None;
            }
            if self.conn.is_none() && !self.recover() {
                return;
            }
            self.state.end();
            took = begun.elapsed();
        }
    }

    fn gather(&mut self, first: Box<dyn Item>) -> Batch {
        let mut batch: Batch = Vec::with_capacity(self.batch_max.min(self.receiver.len() + 1));
        let mut next = Some(first);
        while let Some(item) = next {
            if item.take() {
                batch.push(item);
            }
            next = if batch.len() < self.batch_max {
                self.receiver.try_recv().ok()
            } else {
                None
            };
        }
        // Two brokers that lock the same rows lock them in the same order. The sort is stable, so the changes of an upload keep their
        // order.
        batch.sort_by_cached_key(|item| (item.contends_for(), item.upload()));
        batch
    }

    fn write(&mut self, mut batch: Batch) {
        let uncertain = match self.together(&mut batch, Instant::now() + RECOVERY) {
            Ok(()) => {
                self.metrics.batch_written(batch.len());
                return batch.into_iter().for_each(|item| item.answer());
            }
            Err(Undone::NotBegun(error)) => {
                tracing::warn!(%error, "no transaction could begin");
                let error = match Failure::Sql(error).db_error() {
                    DbError::Busy => DbError::Busy,
                    _ => DbError::Unavailable,
                };
                return batch.into_iter().for_each(|item| item.fail(error.clone()));
            }
            Err(Undone::RolledBack(_)) => false,
            Err(Undone::CommitUnanswered(error)) => {
                tracing::warn!(%error, items = batch.len(), "a commit has no answer; reading it back");
                true
            }
        };
        // A new limit, because the commit that is read back may have waited long for its answer.
        let recovery_ends = Instant::now() + RECOVERY;
        for item in batch {
            self.alone(item, uncertain, recovery_ends);
        }
    }

    /// Writes the whole batch in one transaction. A failed begin is tried again once: an idle connection may be dead.
    fn together(&mut self, batch: &mut Batch, recovery_ends: Instant) -> Result<(), Undone> {
        let quota = self.quota;
        for last_try in [false, true] {
            let Some(conn) = self.connection(recovery_ends) else {
                break;
            };
            let result = transaction(conn, |conn| write_all(conn, batch, quota));
            match self.seen(result) {
                Err(Undone::NotBegun(_)) if self.conn.is_none() && !last_try => {}
                result => return result,
            }
        }
        Err(Undone::NotBegun(
            diesel::result::Error::BrokenTransactionManager,
        ))
    }

    /// Writes one change in a transaction of its own. `uncertain`: an earlier commit that contained it has no answer. A change whose
    /// caller has gone is dropped.
    fn alone(&mut self, mut item: Box<dyn Item>, mut uncertain: bool, recovery_ends: Instant) {
        let (mut busy, quota) = (false, self.quota);
        for _ in 0..3 {
            if !item.is_awaited() {
                return;
            }
            let Some(conn) = self.connection(recovery_ends) else {
                break;
            };
            let result = transaction(conn, |conn| write_one(conn, &mut *item, quota));
            match self.seen(result) {
                Ok(()) => {
                    self.metrics.batch_written(1);
                    return item.answer();
                }
                Err(Undone::NotBegun(_)) => {}
                Err(Undone::CommitUnanswered(_)) => uncertain = true,
                Err(Undone::RolledBack(failure)) => match failure.db_error() {
                    DbError::Unavailable if self.conn.is_none() => {}
                    // A batch of another broker holds the attachment lock for longer than the lock timeout, and will release it.
                    DbError::Busy if item.attachment_lock().is_some() => busy = true,
                    DbError::Internal(why) => return item.fail(DbError::Internal(why)),
                    error if !uncertain => return item.fail(error),
                    _ => return item.fail(DbError::Unknown),
                },
            }
        }
        item.fail(if uncertain {
            DbError::Unknown
        } else if busy {
            DbError::Busy
        } else {
            DbError::Unavailable
        });
    }

    /// Drops the connection after a failure that may outlast the transaction, and reports a commit.
    fn seen<T>(&mut self, result: Result<T, Undone>) -> Result<T, Undone> {
        #[cfg(test)]
        let result =
            result.and_then(
                |value| match self.state.lose_answer.swap(false, Ordering::AcqRel) {
                    true => Err(Undone::CommitUnanswered(
                        diesel::result::Error::BrokenTransactionManager,
                    )),
                    false => Ok(value),
                },
            );
        match &result {
            Ok(_) => {
                (self.on_commit)();
                #[cfg(test)]
                self.state.commits.fetch_add(1, Ordering::Relaxed);
            }
            Err(Undone::CommitUnanswered(_)) => self.conn = None,
            Err(Undone::RolledBack(failure)) if failure.db_error() == DbError::Unavailable => {
                self.conn = None
            }
            Err(Undone::RolledBack(_) | Undone::NotBegun(_)) => self.keep_if_alive(),
        }
        result
    }

    fn keep_if_alive(&mut self) {
        self.conn = self
            .conn
            .take()
            .and_then(|mut conn| is_alive(&mut conn).then_some(conn));
    }

    /// The connection; a lost one is replaced until `recovery_ends`. A batch waits for one slow connect at most.
    fn connection(&mut self, recovery_ends: Instant) -> Option<&mut AnyConnection> {
        let mut pause = FIRST_PAUSE;
        while self.conn.is_none() {
            if Instant::now() >= recovery_ends {
                return None;
            }
            match self.connector.connect() {
                Ok(conn) => self.conn = Some(conn),
                Err(_) if Instant::now() + pause >= recovery_ends => return None,
                Err(_) => std::thread::sleep(pause),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.conn.as_mut()
    }

    /// Connects again until it succeeds, and meanwhile fails the changes that arrive. False once every sender is dropped.
    fn recover(&mut self) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.connector.connect() {
                Ok(conn) => {
                    self.conn = Some(conn);
                    if !self.state.connected.swap(true, Ordering::AcqRel) {
                        tracing::info!("the database is back");
                    }
                    return true;
                }
                Err(error) => {
                    if self.state.connected.swap(false, Ordering::AcqRel) {
                        tracing::error!(%error, "the database is gone");
                    }
                }
            }
            loop {
                match self.receiver.try_recv() {
                    Ok(item) if item.take() => item.fail(DbError::Unavailable),
                    Ok(_) => {}
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return false,
                }
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
