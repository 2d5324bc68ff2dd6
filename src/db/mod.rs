//! The database: uploads, seal attempts and events, on SQLite or Postgres with one schema and one set of queries.
//!
//! Called by `broker`. Its guarantees: a status changes in one function, with exactly one event ([`transition`]); what is recorded
//! is an open attempt's key ([`confirm`]); every answer comes after the commit; and an answer that isn't known says so
//! ([`DbError::Unknown`]) instead of guessing. Writes go through one thread ([`writer`]), reads through a pool ([`reader`]). No
//! transaction waits for the network.

mod engine;
mod events;
mod ops;
mod requests;
mod uploads;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::mpsc;

pub use engine::error::{DbError, DbSetupError};
pub use events::deliveries::{Attempt, Outcome};
pub use events::delivery_claims::{ClaimRequest, DeliveryClaim};
pub use events::delivery_list::{DeliveryFilter, DeliveryRow, EndpointTotals};
pub use events::endpoints::EndpointState;
pub use events::outbox::Subscription;
pub use events::replay::{DeliveryState, Replay};
pub use ops::leases::Lease;
pub use ops::overview::{
    AtLeast, ConfirmTimes, Fate, Outcomes, Overview, PendingNow, Rejections, Window,
};
pub use ops::timeline::{LogEntry, Note, NoteKind};
pub use requests::grants::{Minted, NewGrant};
pub use requests::idempotency::IdempotencyClaim;
pub use uploads::attachments::{Attach, AttachTo, Attached};
pub use uploads::attempts::SealAttempt;
pub use uploads::confirm::{Confirm, Confirmed};
pub use uploads::counter_deltas::{OverQuota, PendingQuota};
pub use uploads::create::NotCreated;
pub use uploads::detachments::Detach;
pub use uploads::find::NewUpload;
pub use uploads::issued::{Committed, Issued};
pub use uploads::list::Filter;
pub use uploads::owners::owner_shard;
pub use uploads::recorded_keys::KeyOwner;
pub use uploads::recount::{RECOUNT, Recounted};
pub use uploads::stats::{Total, Totals};
pub use uploads::sweep_queries::{Copied, DueUpload};
pub use uploads::transition::{Change, StatusStep, Transition};

use engine::connection::{Connector, Role};
use engine::location::Location;
use engine::migrate;
use engine::queue::{Queue, WriterState};
use engine::reader::Readers;
use engine::writer::Writer;
use events::outbox::Outbox;

use crate::telemetry::metrics::Metrics;

/// How the database is reached and what is bounded.
#[derive(Debug, Clone)]
pub struct DbOptions {
    /// `sqlite://./path`, `sqlite:///path` or `postgres://…`.
    pub url: SecretString,
    /// Connections for reads; the writer has one more.
    pub pool_size: u32,
    /// How long a read may take, waiting included, in milliseconds.
    pub read_wait_ms: u64,
    /// How long a change may take, waiting included, in milliseconds.
    pub write_wait_ms: u64,
    /// How many changes may wait.
    pub queue_len: usize,
    /// How many changes share a transaction at most.
    pub batch_max: usize,
    /// Who wants to be told of which events.
    pub subscriptions: Vec<Subscription>,
    /// How much an owner may have pending.
    pub quota: PendingQuota,
}

impl DbOptions {
    /// A URL with the default bounds.
    pub fn new(url: SecretString) -> DbOptions {
        DbOptions {
            url,
            pool_size: 8,
            read_wait_ms: 2_000,
            write_wait_ms: 4_000,
            queue_len: 4_096,
            batch_max: 256,
            subscriptions: Vec::new(),
            quota: PendingQuota::default(),
        }
    }
}

/// The database. Clones share everything; the writer's thread ends with the last of them.
#[derive(Clone)]
pub struct Db {
    queue: Queue,
    readers: Readers,
    migrator: Connector,
    outbox: Arc<Outbox>,
}

impl Db {
    /// Connects and starts the writer. Blocks while it connects; migrates nothing.
    pub fn open(options: DbOptions, metrics: Metrics) -> Result<Db, DbSetupError> {
        let location = Location::parse(&options.url)?;
        let connector = |role, limit_ms| Connector {
            location: location.clone(),
            role,
            statement_limit: Duration::from_millis(limit_ms),
        };
        let writer = connector(Role::Writer, options.write_wait_ms);
        // First, so that a wrong URL is one clear error here; it also makes the SQLite file that the readers open.
        let conn = writer.connect()?;
        let state = Arc::new(WriterState::new());
        let (sender, receiver) = mpsc::channel(options.queue_len.max(1));
        let outbox = Arc::new(Outbox::new(options.subscriptions));
        let writer = Writer {
            connector: writer,
            receiver,
            state: state.clone(),
            batch_max: options.batch_max.max(1),
            conn: Some(conn),
            outbox: outbox.clone(),
            quota: options.quota,
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

    /// The same for who may neither make a database nor change its schema: refuses, before anything is written, a SQLite file that
    /// isn't there and a schema that lacks migrations. Blocks.
    pub fn open_existing(options: DbOptions, metrics: Metrics) -> Result<Db, DbSetupError> {
        let location = Location::parse(&options.url)?;
        location.must_exist()?;
        let reader = Connector {
            location,
            role: Role::Reader,
            statement_limit: Duration::from_millis(options.read_wait_ms),
        };
        match migrate::pending(&reader)? {
            0 => Db::open(options, metrics),
            pending => Err(DbSetupError::Behind(pending)),
        }
    }

    /// Applies pending migrations and returns how many they were. Blocks. Brokers that start at once do it one after the other.
    pub fn migrate(&self) -> Result<usize, DbSetupError> {
        migrate::run(&self.migrator)
    }

    /// How many migrations are not applied yet. Blocks.
    pub fn pending_migrations(&self) -> Result<usize, DbSetupError> {
        migrate::pending(&self.migrator)
    }

    /// Whether the writer has a connection that answers, and a read is answered in time.
    pub async fn ping(&self) -> Result<(), DbError> {
        use diesel::connection::SimpleConnection as _;
        if !self.queue.is_served() {
            return Err(DbError::Unavailable);
        }
        self.readers
            .read(|conn| Ok(conn.batch_execute("SELECT 1")?))
            .await
    }

    /// How many transactions the writer has committed: far fewer than changes, under load.
    #[cfg(test)]
    fn commits(&self) -> u64 {
        use std::sync::atomic::Ordering;
        self.queue.state.commits.load(Ordering::Relaxed)
    }
}
