//! The way to the writer: a bounded queue whose callers always learn whether their change may have happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tracing::Instrument as _;

use super::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::uploads::attachment_locks::Slot;
use crate::db::uploads::counter_deltas::{CounterDeltas, OverQuota};
use crate::db::uploads::row::UploadRow;
use crate::domain::ids::UploadId;
use crate::telemetry::traces;

/// One change of the database. It is idempotent: written again after a commit whose answer was lost, it finds its own traces
/// and answers as it would have the first time.
pub(in crate::db) trait Write: Send + 'static {
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

    /// Writes it, inside a transaction that is rolled back on an error, and notes what the counters have to learn of it.
    fn write(
        &self,
        conn: &mut AnyConnection,
        books: &mut CounterDeltas,
    ) -> Result<Self::Answer, Failure>;

    /// What makes an upload: a batch reserves for all of them together and inserts their rows in one statement, in place of
    /// writing each.
    fn making(&self) -> Option<&dyn BulkInsert<Answer = Self::Answer>> {
        None
    }
}

/// The steps of a change that makes an upload, for a batch that takes each of them for many at once.
pub(in crate::db) trait BulkInsert {
    /// See [`Write::Answer`].
    type Answer;

    /// The row to insert.
    fn row(&self) -> &UploadRow;

    /// Whatever may keep it from being made but for its owner's quota. `Some`: the answer, and no row.
    fn before(&self, conn: &mut AnyConnection) -> Result<Option<Self::Answer>, Failure>;

    /// The answer once the row is inserted.
    fn made(&self) -> Self::Answer;

    /// The answer for an owner who has too much; takes back what [`BulkInsert::before`] wrote.
    fn refuse(&self, conn: &mut AnyConnection, over: OverQuota) -> Result<Self::Answer, Failure>;
}

/// A change in the queue, whatever its answer.
pub(in crate::db) trait Item: Send {
    /// See [`Write::upload`].
    fn upload(&self) -> UploadId;
    /// See [`Write::contends_for`].
    fn contends_for(&self) -> Option<String>;
    /// See [`Write::slot`].
    fn slot(&self) -> Option<&Slot>;
    /// The row to insert, of what makes an upload.
    fn new_row(&self) -> Option<&UploadRow>;
    /// Takes it out of the queue; false when its caller has withdrawn it.
    fn take(&self) -> bool;
    /// Whether anyone still waits for the answer.
    fn is_awaited(&self) -> bool;
    /// See [`BulkInsert::before`]; keeps an answer. Whether its row is to be inserted.
    fn before(&mut self, conn: &mut AnyConnection) -> Result<bool, Failure>;
    /// Keeps the answer of a row that the batch's statement inserted.
    fn inserted(&mut self);
    /// See [`BulkInsert::refuse`]; keeps the answer.
    fn refuse(&mut self, conn: &mut AnyConnection, over: OverQuota) -> Result<(), Failure>;
    /// Writes it and keeps the answer.
    fn write(&mut self, conn: &mut AnyConnection, books: &mut CounterDeltas)
    -> Result<(), Failure>;
    /// Sends the kept answer: the transaction is committed.
    fn answer(self: Box<Self>);
    /// Sends trouble.
    fn fail(self: Box<Self>, error: DbError);
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
    reply: oneshot::Sender<Result<C::Answer, DbError>>,
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
        self.change.making().map(BulkInsert::row)
    }

    fn take(&self) -> bool {
        self.ticket.change(TAKEN)
    }

    fn is_awaited(&self) -> bool {
        !self.reply.is_closed()
    }

    fn before(&mut self, conn: &mut AnyConnection) -> Result<bool, Failure> {
        let Some(making) = self.change.making() else {
            return Ok(false);
        };
        self.kept = making.before(conn)?;
        Ok(self.kept.is_none())
    }

    fn inserted(&mut self) {
        self.kept = self.change.making().map(BulkInsert::made);
    }

    fn refuse(&mut self, conn: &mut AnyConnection, over: OverQuota) -> Result<(), Failure> {
        if let Some(making) = self.change.making() {
            self.kept = Some(making.refuse(conn, over)?);
        }
        Ok(())
    }

    fn write(
        &mut self,
        conn: &mut AnyConnection,
        books: &mut CounterDeltas,
    ) -> Result<(), Failure> {
        self.kept = Some(self.change.write(conn, books)?);
        Ok(())
    }

    fn answer(self: Box<Self>) {
        let answer = self.kept.ok_or(DbError::Unknown);
        // Who hung up doesn't want the answer.
        let _ = self.reply.send(answer);
    }

    fn fail(self: Box<Self>, error: DbError) {
        let _ = self.reply.send(Err(error));
    }
}

/// What writer and callers know of each other.
pub(in crate::db) struct WriterState {
    /// False while there is no connection: callers fail at once.
    pub(in crate::db) connected: AtomicBool,
    /// What `busy_since` counts from.
    born: Instant,
    /// When the current batch began, in milliseconds; [`IDLE`] while there is none.
    busy_since: AtomicU64,
    /// How many transactions were committed.
    #[cfg(test)]
    pub(in crate::db) commits: AtomicU64,
    /// Makes one commit's answer look lost.
    #[cfg(test)]
    pub(in crate::db) lose_answer: AtomicBool,
}

const IDLE: u64 = u64::MAX;

impl WriterState {
    /// That of a writer with a connection and nothing to do.
    pub(in crate::db) fn new() -> WriterState {
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
    pub(in crate::db) fn begin(&self) {
        self.busy_since.store(self.now_ms(), Ordering::Release);
    }

    /// It has ended, and there is a connection for the next one.
    pub(in crate::db) fn end(&self) {
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
pub(in crate::db) struct Queue {
    pub(in crate::db) sender: mpsc::Sender<Box<dyn Item>>,
    pub(in crate::db) wait: Duration,
    pub(in crate::db) state: Arc<WriterState>,
}

impl Queue {
    /// Whether the writer has a connection that answers. A batch that has lasted longer than any caller waits hangs on a
    /// database that is silent: who comes now would wait in vain.
    pub(in crate::db) fn is_served(&self) -> bool {
        self.state.connected.load(Ordering::Acquire)
            && u128::from(self.state.busy_ms()) <= self.wait.as_millis()
    }

    /// Hands a change to the writer at once; what comes back waits for its commit. Not an async function, whose future would hold it.
    pub(in crate::db) fn submit<C: Write>(&self, change: C) -> impl Future<Output = Answer<C>> {
        let queued = self.enqueue(change);
        async move {
            let (answer, withdraw) = queued?;
            let answer = answer.instrument(traces::database("write"));
            match tokio::time::timeout(self.wait, answer).await {
                Ok(Ok(answer)) => answer,
                // The writer panicked with the item in its hands.
                Ok(Err(_)) => Err(DbError::Unknown),
                Err(_) if !withdraw.0.change(WITHDRAWN) => Err(DbError::Unknown),
                Err(_) if self.is_served() => Err(DbError::Busy),
                Err(_) => Err(DbError::Unavailable),
            }
        }
    }

    fn enqueue<C: Write>(&self, change: C) -> Result<Enqueued<C>, DbError> {
        if !self.is_served() {
            return Err(DbError::Unavailable);
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
                mpsc::error::TrySendError::Full(_) => DbError::Busy,
                mpsc::error::TrySendError::Closed(_) => DbError::Unavailable,
            })?;
        Ok((answer, Withdraw(ticket)))
    }
}

type Answer<C> = Result<<C as Write>::Answer, DbError>;
/// Where the answer comes from, and what withdraws the change if nobody waits for it.
type Enqueued<C> = (oneshot::Receiver<Answer<C>>, Withdraw);
