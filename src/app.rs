//! Composition root: a `Config` becomes a running broker. `main` and the tests both start here.
//!
//! Nothing is global: any number of brokers run side by side in one process, each with its own port, pools and metrics.

mod options;

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::{Server, ServerHandle};
use tokio::runtime::Handle;

use crate::auth::{Authenticator, EventSenders};
use crate::broker::Broker;
use crate::config::Config;
use crate::db::{Db, DbSetupError};
use crate::http;
use crate::outbound::Outbound;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

pub use self::options::database as database_options;

/// Why a broker did not start; each is one clear line, without secrets.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, or not ours.
    #[error("can't listen on {address}: {cause}")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// The system's word.
        cause: std::io::Error,
    },
    /// The database's URL is none that is served.
    #[error("the database can't be used: {0}")]
    DatabaseUrl(String),
    /// The database can't be used.
    #[error("the database can't be used: {0}")]
    Database(String),
    /// The schema is older than this binary.
    #[error(
        "the database lacks {0} migration(s): run `bytepass migrate`, or set database.migrate_at_start = true"
    )]
    MigrationsPending(usize),
    /// The bucket's client can't be made.
    #[error("the bucket can't be used: {0}")]
    Store(String),
    /// An issuer can't be used as configured.
    #[error("the callers' keys can't be used: {0}")]
    Auth(String),
    /// The client that fetches callers' keys can't be made.
    #[error("the callers' keys can't be fetched: {0}")]
    Outbound(String),
    /// The server's threads can't be made.
    #[error("the server can't start: {0}")]
    Server(std::io::Error),
}

impl StartError {
    /// Whether the configuration has to be changed, so that another start as it is can't go better.
    pub fn is_configuration(&self) -> bool {
        matches!(self, StartError::DatabaseUrl(_) | StartError::Auth(_))
    }
}

impl From<DbSetupError> for StartError {
    fn from(error: DbSetupError) -> StartError {
        match error {
            DbSetupError::Url(_) => StartError::DatabaseUrl(error.to_string()),
            _ => StartError::Database(error.to_string()),
        }
    }
}

/// A broker that listens.
pub struct App {
    address: SocketAddr,
    url: String,
    server: Server,
    handle: ServerHandle,
    metrics: Metrics,
}

impl App {
    /// Opens the database, resolves credentials, prepares keys, binds the port: afterwards requests are answered as soon as
    /// [`App::run_until_stopped`] is polled. Must run inside a multi-thread tokio runtime.
    pub async fn build(config: Config) -> Result<App, StartError> {
        let listener = listen(config.server.listen)?;
        let address = listener.local_addr().map_err(StartError::Server)?;
        let url = config.server.base_url(address);

        let metrics = Metrics::new();
        let db = open_database(&config, &metrics).await?;
        let store = Store::connect(options::store(&config), metrics.clone())
            .await
            .map_err(|error| StartError::Store(error.to_string()))?;
        let outbound = outbound()?;
        let authenticator = authenticator(&config, outbound.clone())?;
        let senders = event_senders(&config, outbound);

        let runtime = Handle::current();
        let broker = Broker::new(
            options::broker(&config),
            db,
            store,
            metrics.clone(),
            runtime,
        );
        let http_options = options::http(&config, &url);
        let server = http::serve(
            listener,
            broker,
            Arc::new(authenticator),
            senders,
            metrics.clone(),
            &http_options,
        )
        .map_err(StartError::Server)?;
        let handle = server.handle();
        Ok(App {
            address,
            url,
            server,
            handle,
            metrics,
        })
    }

    /// Holds what a start would find wrong with a configuration without opening anything: the issuers' keys.
    pub fn check(config: &Config) -> Result<(), StartError> {
        authenticator(config, outbound()?).map(drop)
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Where clients reach it, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Serves until `stop` is done, then lets the requests in flight finish, at most for the configured time.
    pub async fn run_until_stopped(self, stop: impl Future<Output = ()>) -> std::io::Result<()> {
        let handle = self.handle;
        let mut server = tokio::spawn(self.server);
        tokio::select! {
            ended = &mut server => return ended.unwrap_or_else(|error| Err(std::io::Error::other(error))),
            () = stop => {}
        }
        tracing::info!("stopping: requests in flight may finish");
        handle.stop(true).await;
        server
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
    }
}

/// The one client for calls that leave the broker.
fn outbound() -> Result<Outbound, StartError> {
    Outbound::new().map_err(|error| StartError::Outbound(error.to_string()))
}

/// Who may tell of objects that arrived.
fn event_senders(config: &Config, outbound: Outbound) -> EventSenders {
    let events = &config.events;
    let secrets = [&events.secret, &events.previous_secret];
    let secrets = secrets.into_iter().flatten().cloned().collect();
    EventSenders::new(secrets, options::sns(events), outbound)
}

/// Prepares the issuers' keys; key sets are fetched later.
fn authenticator(config: &Config, outbound: Outbound) -> Result<Authenticator, StartError> {
    Authenticator::new(options::issuers(&config.auth), outbound)
        .map_err(|error| StartError::Auth(error.to_string()))
}

/// Brings the schema up to date where the configuration says so, and refuses an older one otherwise.
async fn open_database(config: &Config, metrics: &Metrics) -> Result<Db, StartError> {
    let (options, metrics) = (options::database(&config.database), metrics.clone());
    let migrate = config.database.migrate_at_start;
    let opened = tokio::task::spawn_blocking(move || {
        let db = Db::open(options, metrics)?;
        if migrate {
            db.migrate()?;
        }
        match db.pending_migrations()? {
            0 => Ok(db),
            pending => Err(StartError::MigrationsPending(pending)),
        }
    });
    opened
        .await
        .unwrap_or_else(|error| Err(StartError::Database(error.to_string())))
}

/// Binds at once, so that a taken port is an error before anything else begins.
fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|cause| StartError::Listen { address, cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_is_none_is_the_configurations_fault_and_a_database_that_is_down_is_not() {
        let of = |error| StartError::from(error).is_configuration();
        assert!(of(DbSetupError::Url("unknown scheme".into())));
        assert!(!of(DbSetupError::Connect("refused".into())));
        assert!(!of(DbSetupError::Migrate("locked".into())));
    }
}
