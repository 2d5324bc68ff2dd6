//! The bounded queue in front of the writer. Each caller gets an answer that says whether its change may be committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tracing::Instrument as _;

use super::attachment_locks::AttachmentLock;
use super::counter_deltas::{CounterDeltas, OverQuota};
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::row::UploadRow;
use crate::domain::ids::UploadId;
use crate::telemetry::traces;

/// One change of the database. It is idempotent: written again after a commit whose answer was lost, it finds the rows of the first
/// time and gives the same answer.
pub(in crate::db) trait Write: Send + 'static {
    /// The answer for its caller.
    type Answer: Send + 'static;

    /// The upload that it changes. Batches are sorted by it, so that two brokers lock rows in the same order.
    fn upload(&self) -> UploadId;

    /// A shared row that it locks before its upload: a grant, an idempotency key. Batches are sorted by it first.
    fn contends_for(&self) -> Option<String> {
        None
    }

    /// The attachment lock that it takes. On Postgres a batch takes all of them before anything else, in one order, so that two brokers
    /// that replace the same attachments do not deadlock.
    fn attachment_lock(&self) -> Option<&AttachmentLock> {
        None
    }

    /// Writes it inside a transaction, which is rolled back on an error, and adds its counter deltas.
    fn write(
        &self,
        conn: &mut AnyConnection,
        deltas: &mut CounterDeltas,
    ) -> Result<Self::Answer, Failure>;

    /// The steps of a change that creates an upload. A batch runs them in place of [`Write::write`]: it reserves the quotas of all new
    /// uploads together, and inserts their rows in one statement.
    fn bulk_insert(&self) -> Option<&dyn BulkInsert<Answer = Self::Answer>> {
        None
    }
}

/// The steps of a change that creates an upload, each of which a batch takes for many changes at once.
pub(in crate::db) trait BulkInsert {
    /// See [`Write::Answer`].
    type Answer;

    /// The row to insert.
    fn row(&self) -> &UploadRow;

    /// Checks everything that may refuse the upload except the quota of its owner. `Some`: the answer, and no row is inserted.
    fn before(&self, conn: &mut AnyConnection) -> Result<Option<Self::Answer>, Failure>;

    /// The answer once the row is inserted.
    fn inserted(&self) -> Self::Answer;

    /// The answer for an owner that is over quota. Undoes what [`BulkInsert::before`] wrote.
    fn refuse(&self, conn: &mut AnyConnection, over: OverQuota) -> Result<Self::Answer, Failure>;
}

/// A change in the queue, without the type of its answer.
pub(in crate::db) trait Item: Send {
    /// See [`Write::upload`].
    fn upload(&self) -> UploadId;
    /// See [`Write::contends_for`].
    fn contends_for(&self) -> Option<String>;
    /// See [`Write::attachment_lock`].
    fn attachment_lock(&self) -> Option<&AttachmentLock>;
    /// The row to insert, if the change creates an upload.
    fn new_row(&self) -> Option<&UploadRow>;
    /// Takes it out of the queue; false if its caller has withdrawn it.
    fn take(&self) -> bool;
    /// Whether its caller still waits for the answer.
    fn is_awaited(&self) -> bool;
    /// See [`BulkInsert::before`]; keeps the answer. True if the row is to be inserted.
    fn before(&mut self, conn: &mut AnyConnection) -> Result<bool, Failure>;
    /// Keeps the answer of a row that the batch's statement inserted.
    fn inserted(&mut self);
    /// See [`BulkInsert::refuse`]; keeps the answer.
    fn refuse(&mut self, conn: &mut AnyConnection, over: OverQuota) -> Result<(), Failure>;
    /// Writes it and keeps the answer.
    fn write(
        &mut self,
        conn: &mut AnyConnection,
        deltas: &mut CounterDeltas,
    ) -> Result<(), Failure>;
    /// Sends the kept answer: the transaction is committed.
    fn answer(self: Box<Self>);
    /// Sends an error.
    fn fail(self: Box<Self>, error: DbError);
}

const QUEUED: u8 = 0;
const TAKEN: u8 = 1;
const WITHDRAWN: u8 = 2;

/// Decides the race between a writer that takes an item and a caller that withdraws it.
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

/// Withdraws a change whose caller was dropped, so that it is not written.
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

    fn attachment_lock(&self) -> Option<&AttachmentLock> {
        self.change.attachment_lock()
    }

    fn new_row(&self) -> Option<&UploadRow> {
        self.change.bulk_insert().map(BulkInsert::row)
    }

    fn take(&self) -> bool {
        self.ticket.change(TAKEN)
    }

    fn is_awaited(&self) -> bool {
        !self.reply.is_closed()
    }

    fn before(&mut self, conn: &mut AnyConnection) -> Result<bool, Failure> {
        let Some(insert) = self.change.bulk_insert() else {
            return Ok(false);
        };
        self.kept = insert.before(conn)?;
        Ok(self.kept.is_none())
    }

    fn inserted(&mut self) {
        self.kept = self.change.bulk_insert().map(BulkInsert::inserted);
    }

    fn refuse(&mut self, conn: &mut AnyConnection, over: OverQuota) -> Result<(), Failure> {
        if let Some(insert) = self.change.bulk_insert() {
            self.kept = Some(insert.refuse(conn, over)?);
        }
        Ok(())
    }

    fn write(
        &mut self,
        conn: &mut AnyConnection,
        deltas: &mut CounterDeltas,
    ) -> Result<(), Failure> {
        self.kept = Some(self.change.write(conn, deltas)?);
        Ok(())
    }

    fn answer(self: Box<Self>) {
        let answer = self.kept.ok_or(DbError::Unknown);
        // A caller that was dropped needs no answer.
        let _ = self.reply.send(answer);
    }

    fn fail(self: Box<Self>, error: DbError) {
        let _ = self.reply.send(Err(error));
    }
}

/// The state that the writer shares with its callers.
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
    /// The state of an idle writer with a connection.
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

    /// How long the current batch has lasted, in milliseconds.
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

/// The callers' side of the queue.
#[derive(Clone)]
pub(in crate::db) struct Queue {
    pub(in crate::db) sender: mpsc::Sender<Box<dyn Item>>,
    pub(in crate::db) wait: Duration,
    pub(in crate::db) state: Arc<WriterState>,
}

impl Queue {
    /// Whether the writer has a connection that answers. A batch that lasts longer than any caller waits hangs on a silent database, so
    /// that a new change would time out as well.
    pub(in crate::db) fn is_served(&self) -> bool {
        self.state.connected.load(Ordering::Acquire)
            && u128::from(self.state.busy_ms()) <= self.wait.as_millis()
    }

    /// Queues a change at once; the future waits for its commit. It is not an async function, whose future would contain the change.
    pub(in crate::db) fn submit<C: Write>(&self, change: C) -> impl Future<Output = Answer<C>> {
        let queued = self.enqueue(change);
        async move {
            let (answer, withdraw) = queued?;
            let answer = answer.instrument(traces::database("write"));
            match tokio::time::timeout(self.wait, answer).await {
                Ok(Ok(answer)) => answer,
                // The writer panicked while it wrote the change.
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
/// The receiver of the answer, and the guard that withdraws the change if its caller is dropped.
type Enqueued<C> = (oneshot::Receiver<Answer<C>>, Withdraw);
