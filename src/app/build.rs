//! Builds the parts of a broker from the configuration.

use std::net::{SocketAddr, TcpListener};

use tokio::runtime::Handle;

use crate::auth::{Authenticator, Signer};
use crate::broker::{Broker, BrokerOptions, SweepOptions};
use crate::config::Config;
use crate::db::{Db, PendingQuota, Subscription};
use crate::outbound::Outbound;
use crate::storage::Store;
use crate::telemetry::metrics::Metrics;
use crate::webhooks::{self, Webhooks};

use super::StartError;

/// The client for outgoing calls. Building it reads the machine's certificates.
pub fn outbound() -> Result<Outbound, StartError> {
    Outbound::new().map_err(|error| StartError::Outbound(error.to_string()))
}

/// The webhook deliveries, for the server and for `bytepass webhooks`. Sends nothing yet.
pub fn webhooks(
    config: &Config,
    db: Db,
    outbound: Outbound,
    metrics: Metrics,
) -> Result<Webhooks, StartError> {
    Webhooks::new(&config.webhooks, db, outbound, metrics).map_err(StartError::Webhooks)
}

/// Reads the keys that sign receipts and grants, for a server that clients reach at `url`.
pub(super) fn signer(config: &Config, url: &str) -> Result<Signer, StartError> {
    Signer::new(&config.receipts, url).map_err(|error| StartError::Receipts(error.to_string()))
}

/// Prepares the issuers' keys, and the broker's own for grants. Key sets are fetched later.
pub(super) fn authenticator(
    config: &Config,
    signer: Option<&Signer>,
    outbound: Outbound,
) -> Result<Authenticator, StartError> {
    Authenticator::new(&config.auth, outbound)
        .and_then(|authenticator| match signer {
            Some(signer) => authenticator.with_grants_of(signer),
            None => Ok(authenticator),
        })
        .map_err(|error| StartError::Auth(error.to_string()))
}

/// The broker without a server, for commands: opens an existing database with the current schema, because a command on a new,
/// empty one would take every object for an unknown one, and resolves the bucket's credentials. Background work runs on the current
/// tokio runtime, which must have more than one thread.
pub async fn open_broker(config: &Config, metrics: &Metrics) -> Result<Broker, StartError> {
    let (database, metrics_of_db) = (config.database.clone(), metrics.clone());
    let (subscriptions, quota) = (subscriptions(config), quota(config));
    let open = move || {
        Ok(Db::open_existing(
            &database,
            subscriptions,
            quota,
            metrics_of_db,
        )?)
    };
    let db = blocking(open).await?;
    broker_over(config, db, metrics).await
}

pub(super) async fn broker_over(
    config: &Config,
    db: Db,
    metrics: &Metrics,
) -> Result<Broker, StartError> {
    let field_urls = config.fields().iter().map(|field| field.url_lifetime_secs);
    let longest_url_secs = field_urls
        .chain([config.limits.download_lifetime_secs])
        .max()
        .unwrap_or_default();
    let store = Store::connect(config.storage.clone(), longest_url_secs, metrics.clone())
        .await
        .map_err(|error| StartError::Store(error.to_string()))?;
    let (options, runtime) = (broker_options(config), Handle::current());
    Ok(Broker::new(options, db, store, metrics.clone(), runtime))
}

/// Opens the database. Migrates it if configured, otherwise refuses an older schema.
pub(super) async fn open_database(config: &Config, metrics: &Metrics) -> Result<Db, StartError> {
    let (database, metrics) = (config.database.clone(), metrics.clone());
    let (subscriptions, quota) = (subscriptions(config), quota(config));
    blocking(move || {
        let db = Db::open(&database, subscriptions, quota, metrics)?;
        if database.migrate_at_start {
            db.migrate()?;
        }
        match db.pending_migrations()? {
            0 => Ok(db),
            pending => Err(StartError::MigrationsPending(pending)),
        }
    })
    .await
}

/// The endpoints that events are written for.
fn subscriptions(config: &Config) -> Vec<Subscription> {
    webhooks::subscriptions(&config.webhooks)
}

async fn blocking(
    open: impl FnOnce() -> Result<Db, StartError> + Send + 'static,
) -> Result<Db, StartError> {
    let opened = tokio::task::spawn_blocking(open).await;
    opened.unwrap_or_else(|error| Err(StartError::Database(error.to_string())))
}

/// Binds the port, so that a used one is an error before anything else starts.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|cause| StartError::Listen { address, cause })
}

fn broker_options(config: &Config) -> BrokerOptions {
    BrokerOptions {
        fields: config.fields().clone(),
        layout: config.storage.layout.clone(),
        bucket: config.storage.bucket.clone(),
        proof: config.storage.checksum_proof(),
        confirms_in_flight: config.limits.confirms_in_flight,
        notification_queue_len: config.events.queue_len,
        download_lifetime_secs: config.limits.download_lifetime_secs,
        sweep: SweepOptions {
            retry_secs: config.sweeper.interval_secs,
            attempt_stale_secs: config.sweeper.attempt_stale_secs,
            staging_max_age_secs: config.sweeper.staging_max_age_secs,
        },
    }
}

fn quota(config: &Config) -> PendingQuota {
    PendingQuota {
        uploads: config.limits.pending_uploads_per_owner,
        bytes: config.limits.pending_bytes_per_owner,
    }
}
