//! The database: uploads, seal attempts and events, on SQLite or Postgres with one schema and one set of queries.
//!
//! Called by `broker`. It guarantees that a status changes in one function, with exactly one event ([`transition`]); that a confirm
//! records the key of an open attempt ([`confirm`]); that every answer comes after the commit; and that an unknown outcome is reported
//! as one ([`DbError::Unknown`]). Writes go through one thread ([`writer`]), reads through a pool ([`reader`]). No transaction waits for
//! the network.
//!
//! Each folder uses only those before it: `engine` (connections, schema, rows), `writer` (the queue, counters and locks of every change),
//! `events` and `requests`, `uploads`, `ops`.
//!
//! [`transition`]: uploads::transition
//! [`confirm`]: uploads::confirm
//! [`reader`]: engine::reader

mod engine;
mod events;
mod ops;
mod requests;
mod uploads;
mod writer;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

pub use engine::error::{DbError, DbSetupError};
pub use events::deliveries::{Attempt, DeliveryFilter, DeliveryRow, EndpointTotals, Outcome};
pub use events::delivery_claims::{ClaimRequest, DeliveryClaim};
pub use events::endpoints::EndpointState;
pub use events::outbox::{DeliveryState, Subscription};
pub use events::replay::Replay;
pub use events::upload_log::{Note, NoteKind};
pub use ops::counter_check::{Counter, CounterCheck, CounterDifference};
pub use ops::leases::Lease;
pub use ops::overview::{
    AtLeast, CohortCount, ConfirmTimes, Outcomes, Overview, PendingNow, Rejections, Window,
};
pub use ops::timeline::TimelineEntry;
pub use requests::grants::{Minted, NewGrant};
pub use requests::idempotency::IdempotencyClaim;
pub use uploads::attachments::{Attach, AttachTo, Attached, Detach};
pub use uploads::attempts::SealAttempt;
pub use uploads::confirm::{Confirm, Confirmed};
pub use uploads::create::{Created, NewUpload, NotCreated};
pub use uploads::issued::{Committed, Issued};
pub use uploads::list::Filter;
pub use uploads::recorded_keys::KeyOwner;
pub use uploads::stats::{Total, Totals};
pub use uploads::sweep_queries::{Copied, DueUpload};
pub use uploads::transition::{Change, StatusStep, Transition};
pub use writer::counter_deltas::{OverQuota, PendingQuota};

use engine::connection::{Connector, Role};
use engine::location::Location;
use engine::migrate;
use engine::reader::Readers;
use events::outbox::Outbox;
use writer::Writer;
use writer::queue::{Queue, WriterState};

use crate::config::Database;
use crate::telemetry::metrics::Metrics;

/// The handle of the database. Clones share everything; the writer thread ends with the last of them.
#[derive(Clone)]
pub struct Db {
    queue: Queue,
    readers: Readers,
    migrator: Connector,
    outbox: Arc<Outbox>,
}

impl Db {
    /// Connects and starts the writer. `subscriptions` are the endpoints that events are written for. Blocks while it connects; runs no
    /// migrations.
    pub fn open(
        options: &Database,
        subscriptions: Vec<Subscription>,
        quota: PendingQuota,
        metrics: Metrics,
    ) -> Result<Db, DbSetupError> {
        let location = Location::parse(&options.url)?;
        let connector = |role, limit_ms| Connector {
            location: location.clone(),
            role,
            statement_limit: Duration::from_millis(limit_ms),
        };
        let writer = connector(Role::Writer, options.write_wait_ms);
        // First, so that a wrong URL is one clear error here; it also creates the SQLite file that the readers open.
        let conn = writer.connect()?;
        let state = Arc::new(WriterState::new());
        let (sender, receiver) = mpsc::channel(options.queue_len.max(1));
        let outbox = Arc::new(Outbox::new(subscriptions));
        let committed = outbox.clone();
        let writer = Writer {
            connector: writer,
            receiver,
            state: state.clone(),
            batch_max: options.batch_max.max(1),
            conn: Some(conn),
            on_commit: Box::new(move || committed.announce()),
            quota,
            metrics,
        };
        writer.start()?;
        let reader = connector(Role::Reader, options.read_wait_ms);
        Ok(Db {
            queue: Queue {
                sender,
                wait: Duration::from_millis(options.write_wait_ms),
                state,
            },
            readers: Readers::new(
                reader,
                options.pool_size,
                Duration::from_millis(options.read_wait_ms),
            ),
            migrator: connector(Role::Migrator, options.write_wait_ms),
            outbox,
        })
    }

    /// The same for offline commands, which must neither create a database nor change its schema: a SQLite file that does not exist and
    /// a schema that lacks migrations are errors, and nothing is written. Blocks.
    pub fn open_existing(
        options: &Database,
        subscriptions: Vec<Subscription>,
        quota: PendingQuota,
        metrics: Metrics,
    ) -> Result<Db, DbSetupError> {
        let location = Location::parse(&options.url)?;
        location.must_exist()?;
        let reader = Connector {
            location,
            role: Role::Reader,
            statement_limit: Duration::from_millis(options.read_wait_ms),
        };
        match migrate::pending(&reader)? {
            0 => Db::open(options, subscriptions, quota, metrics),
            pending => Err(DbSetupError::Behind(pending)),
        }
    }

    /// Applies pending migrations and returns their number. Blocks. Brokers that start at the same time do it one after the other.
    pub fn migrate(&self) -> Result<usize, DbSetupError> {
        migrate::run(&self.migrator)
    }

    /// The number of migrations that are not applied yet. Blocks.
    pub fn pending_migrations(&self) -> Result<usize, DbSetupError> {
        migrate::pending(&self.migrator)
    }

    /// Checks that the writer has a connection that answers, and that a read is answered in time.
    pub async fn ping(&self) -> Result<(), DbError> {
        use diesel::connection::SimpleConnection as _;
        if !self.queue.is_served() {
            return Err(DbError::Unavailable);
        }
        self.readers
            .read(|conn| Ok(conn.batch_execute("SELECT 1")?))
            .await
    }

    /// The number of transactions that the writer has committed.
    #[cfg(test)]
    fn commits(&self) -> u64 {
        use std::sync::atomic::Ordering;
        self.queue.state.commits.load(Ordering::Relaxed)
    }
}
