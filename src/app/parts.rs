//! The parts that a broker is put together from, each out of what the configuration says of it.

use std::net::{SocketAddr, TcpListener};

use tokio::runtime::Handle;

use crate::auth::{Authenticator, EventSenders, Signer};
use crate::broker::Broker;
use crate::config::Config;
use crate::db::{Db, DbOptions};
use crate::outbound::Outbound;
use crate::storage::Store;
use crate::telemetry::metrics::Metrics;
use crate::webhooks::{self, Webhooks};

use super::{StartError, options};

/// The one client for calls that leave the broker: making it reads the machine's certificates.
pub fn outbound() -> Result<Outbound, StartError> {
    Outbound::new().map_err(|error| StartError::Outbound(error.to_string()))
}

/// Deliveries, for the server and for `bytepass webhooks`. Calls nobody yet.
pub fn webhooks(
    config: &Config,
    db: Db,
    outbound: Outbound,
    metrics: Metrics,
) -> Result<Webhooks, StartError> {
    Webhooks::new(&config.webhooks, db, outbound, metrics).map_err(StartError::Webhooks)
}

/// Reads the keys that receipts and grants are signed with.
pub(super) fn signer(config: &Config, url: &str) -> Result<Signer, StartError> {
    Signer::new(options::signer(config, url))
        .map_err(|error| StartError::Receipts(error.to_string()))
}

/// Who may tell of objects that arrived.
pub(super) fn event_senders(config: &Config, outbound: Outbound) -> EventSenders {
    let events = &config.events;
    let secrets = [&events.secret, &events.previous_secret];
    let secrets = secrets.into_iter().flatten().cloned().collect();
    EventSenders::new(secrets, options::sns(events), outbound)
}

/// Prepares the issuers' keys, and the broker's own for its grants; key sets are fetched later.
pub(super) fn authenticator(
    config: &Config,
    signer: Option<&Signer>,
    outbound: Outbound,
) -> Result<Authenticator, StartError> {
    Authenticator::new(options::issuers(&config.auth), outbound)
        .and_then(|authenticator| match signer {
            Some(signer) => authenticator.with_grants_of(signer),
            None => Ok(authenticator),
        })
        .map_err(|error| StartError::Auth(error.to_string()))
}

/// The verbs without a server, for commands: opens the database, which must be there as this binary knows it, because a command on
/// a database that it had just made would take every object for nobody's; and resolves the bucket's credentials. What outlives its caller
/// runs on the current tokio runtime, which must have more than one thread.
pub async fn open_broker(config: &Config, metrics: &Metrics) -> Result<Broker, StartError> {
    let (options, metrics_of_db) = (database_options(config), metrics.clone());
    let db = blocking(move || Ok(Db::open_existing(options, metrics_of_db)?)).await?;
    broker_over(config, db, metrics).await
}

pub(super) async fn broker_over(
    config: &Config,
    db: Db,
    metrics: &Metrics,
) -> Result<Broker, StartError> {
    let store = Store::connect(options::store(config), metrics.clone())
        .await
        .map_err(|error| StartError::Store(error.to_string()))?;
    let (options, runtime) = (options::broker(config), Handle::current());
    Ok(Broker::new(options, db, store, metrics.clone(), runtime))
}

/// Brings the schema up to date where the configuration says so, and refuses an older one otherwise.
pub(super) async fn open_database(config: &Config, metrics: &Metrics) -> Result<Db, StartError> {
    let (options, metrics) = (database_options(config), metrics.clone());
    let migrate = config.database.migrate_at_start;
    blocking(move || {
        let db = Db::open(options, metrics)?;
        if migrate {
            db.migrate()?;
        }
        match db.pending_migrations()? {
            0 => Ok(db),
            pending => Err(StartError::MigrationsPending(pending)),
        }
    })
    .await
}

/// With the endpoints that events are written for.
fn database_options(config: &Config) -> DbOptions {
    DbOptions {
        subscriptions: webhooks::subscriptions(&config.webhooks),
        ..options::database(config)
    }
}

async fn blocking(
    open: impl FnOnce() -> Result<Db, StartError> + Send + 'static,
) -> Result<Db, StartError> {
    let opened = tokio::task::spawn_blocking(open).await;
    opened.unwrap_or_else(|error| Err(StartError::Database(error.to_string())))
}

/// Binds at once, so that a taken port is an error before anything else begins.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|cause| StartError::Listen { address, cause })
}
