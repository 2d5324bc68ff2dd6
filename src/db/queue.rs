//! The way to the writer: a bounded queue whose callers always learn whether their change may have happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tracing::Instrument as _;

use super::connection::AnyConnection;
use super::row::UploadRow;
use super::slots::Slot;
use super::trouble::{DbTrouble, Failure};
use crate::domain::ids::UploadId;
use crate::telemetry::traces;

/// One change of the database. It is idempotent: written again after a commit whose answer was lost, it finds its own traces
/// and answers as it would have the first time.
pub(super) trait Write: Send + 'static {
    /// What its caller learns.
    type Answer: Send + 'static;

    /// The upload it touches. Batches are sorted by it, so that two brokers lock rows in the same order.
    fn upload(&self) -> UploadId;

    /// What it locks before its upload, and others may want too: a grant, a request's key. Batches are sorted by this first.
    fn contends_for(&self) -> Option<String> {
        None
    }

    /// The slot that it takes or frees. On Postgres a batch locks all of its slots before anything else, in one order, so that
    /// two brokers that replace the same attachments at once don't wait for each other in a circle.
    fn slot(&self) -> Option<&Slot> {
        None
    }

    /// Writes it, inside a transaction that is rolled back on an error.
    fn write(&self, conn: &mut AnyConnection) -> Result<Self::Answer, Failure>;

    /// The row to insert, and the answer once it is: a batch inserts all such rows in one statement.
    fn new_row(&self) -> Option<(&UploadRow, Self::Answer)> {
        None
    }
}

/// A change in the queue, whatever its answer.
pub(super) trait Item: Send {
    /// See [`Write::upload`].
    fn upload(&self) -> UploadId;
    /// See [`Write::contends_for`].
    fn contends_for(&self) -> Option<String>;
    /// See [`Write::slot`].
    fn slot(&self) -> Option<&Slot>;
    /// See [`Write::new_row`].
    fn new_row(&self) -> Option<&UploadRow>;
    /// Takes it out of the queue; false when its caller has withdrawn it.
    fn take(&self) -> bool;
    /// Whether anyone still waits for the answer.
    fn is_awaited(&self) -> bool;
    /// Keeps the answer of a row that the batch's statement inserted.
    fn inserted(&mut self);
    /// Writes it and keeps the answer.
    fn write(&mut self, conn: &mut AnyConnection) -> Result<(), Failure>;
    /// Sends the kept answer: the transaction is committed.
    fn answer(self: Box<Self>);
    /// Sends trouble.
    fn fail(self: Box<Self>, trouble: DbTrouble);
}

const QUEUED: u8 = 0;
const TAKEN: u8 = 1;
const WITHDRAWN: u8 = 2;

/// Decides the race between a writer that takes an item and a caller that gives up on it.
#[derive(Clone)]
struct Ticket(Arc<AtomicU8>);

impl Ticket {
    fn change(&self, to: u8) -> bool {
        let won = self
            .0
            .compare_exchange(QUEUED, to, Ordering::AcqRel, Ordering::Acquire);
        won.is_ok()
    }
}

/// Withdraws an item whose caller was dropped, so that nobody's change is written.
struct Withdraw(Ticket);

impl Drop for Withdraw {
    fn drop(&mut self) {
        self.0.change(WITHDRAWN);
    }
}

struct Queued<C: Write> {
    change: C,
    kept: Option<C::Answer>,
    ticket: Ticket,
    reply: oneshot::Sender<Result<C::Answer, DbTrouble>>,
}

impl<C: Write> Item for Queued<C> {
    fn upload(&self) -> UploadId {
        self.change.upload()
    }

    fn contends_for(&self) -> Option<String> {
        self.change.contends_for()
    }

    fn slot(&self) -> Option<&Slot> {
        self.change.slot()
    }

    fn new_row(&self) -> Option<&UploadRow> {
        self.change.new_row().map(|(row, _)| row)
    }

    fn take(&self) -> bool {
        self.ticket.change(TAKEN)
    }

    fn is_awaited(&self) -> bool {
        !self.reply.is_closed()
    }

    fn inserted(&mut self) {
        self.kept = self.change.new_row().map(|(_, answer)| answer);
    }

    fn write(&mut self, conn: &mut AnyConnection) -> Result<(), Failure> {
        self.kept = Some(self.change.write(conn)?);
        Ok(())
    }

    fn answer(self: Box<Self>) {
        let answer = self.kept.ok_or(DbTrouble::Unknown);
        // Who hung up doesn't want the answer.
        let _ = self.reply.send(answer);
    }

    fn fail(self: Box<Self>, trouble: DbTrouble) {
        let _ = self.reply.send(Err(trouble));
    }
}

/// What writer and callers know of each other.
pub(super) struct WriterState {
    /// False while there is no connection: callers fail at once.
    pub(super) connected: AtomicBool,
    /// What `busy_since` counts from.
    born: Instant,
    /// When the current batch began, in milliseconds; [`IDLE`] while there is none.
    busy_since: AtomicU64,
    /// How many transactions were committed.
    #[cfg(test)]
    pub(super) commits: AtomicU64,
    /// Makes one commit's answer look lost.
    #[cfg(test)]
    pub(super) lose_answer: AtomicBool,
}

const IDLE: u64 = u64::MAX;

impl WriterState {
    /// That of a writer with a connection and nothing to do.
    pub(super) fn new() -> WriterState {
        WriterState {
            connected: AtomicBool::new(true),
            born: Instant::now(),
            busy_since: AtomicU64::new(IDLE),
            #[cfg(test)]
            commits: AtomicU64::new(0),
            #[cfg(test)]
            lose_answer: AtomicBool::new(false),
        }
    }

    /// A batch begins.
    pub(super) fn begin(&self) {
        self.busy_since.store(self.now_ms(), Ordering::Release);
    }

    /// It has ended, and there is a connection for the next one.
    pub(super) fn end(&self) {
        self.busy_since.store(IDLE, Ordering::Release);
    }

    /// How long the current batch has been going on.
    fn busy_ms(&self) -> u64 {
        match self.busy_since.load(Ordering::Acquire) {
            IDLE => 0,
            since => self.now_ms().saturating_sub(since),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(IDLE - 1)
    }
}

/// The callers' end.
#[derive(Clone)]
pub(super) struct Queue {
    pub(super) sender: mpsc::Sender<Box<dyn Item>>,
    pub(super) wait: Duration,
    pub(super) state: Arc<WriterState>,
}

impl Queue {
    /// Whether the writer has a connection that answers. A batch that has lasted longer than any caller waits hangs on a
    /// database that is silent: who comes now would wait in vain.
    pub(super) fn is_served(&self) -> bool {
        self.state.connected.load(Ordering::Acquire)
            && u128::from(self.state.busy_ms()) <= self.wait.as_millis()
    }

    /// Hands a change to the writer and waits for its commit.
    pub(super) async fn submit<C: Write>(&self, change: C) -> Result<C::Answer, DbTrouble> {
        if !self.is_served() {
            return Err(DbTrouble::Unavailable);
        }
        let (reply, answer) = oneshot::channel();
        let ticket = Ticket(Arc::new(AtomicU8::new(QUEUED)));
        let queued = Queued {
            change,
            kept: None,
            ticket: ticket.clone(),
            reply,
        };
        self.sender
            .try_send(Box::new(queued))
            .map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => DbTrouble::Busy,
                mpsc::error::TrySendError::Closed(_) => DbTrouble::Unavailable,
            })?;
        let _withdraw = Withdraw(ticket.clone());
        let answer = answer.instrument(traces::database("write"));
        match tokio::time::timeout(self.wait, answer).await {
            Ok(Ok(answer)) => answer,
            // The writer panicked with the item in its hands.
            Ok(Err(_)) => Err(DbTrouble::Unknown),
            Err(_) if !ticket.change(WITHDRAWN) => Err(DbTrouble::Unknown),
            Err(_) if self.is_served() => Err(DbTrouble::Busy),
            Err(_) => Err(DbTrouble::Unavailable),
        }
    }
}
