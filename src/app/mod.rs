//! Composition root: builds and runs a broker from a `Config`.
//!
//! Nothing is global: several brokers can run in one process, each with its own port, pools and metrics.

mod admin;
mod build;
mod trace_exporter;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::EventSenders;
use crate::broker::Broker;
use crate::config::{self, Config};
use crate::db::DbSetupError;
use crate::http;
use crate::telemetry::metrics::Metrics;
use crate::webhooks::{WebhookError, Webhooks};
use crate::workers::Workers;
use actix_web::dev::{Server, ServerHandle};

use self::admin::Admin;
use self::build::{authenticator, broker_over, listen, open_database, signer};

pub use self::build::{open_broker, outbound, webhooks};
pub use self::trace_exporter::traces;

/// Why a broker did not start. Each is one line without secrets.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is in use or not available.
    #[error("can't listen on {address}: {cause}")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// The system's error.
        cause: std::io::Error,
    },
    /// The database's URL is not supported.
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
    /// The bucket's client can't be built.
    #[error("the bucket can't be used: {0}")]
    Store(String),
    /// An issuer can't be used as configured.
    #[error("the callers' keys can't be used: {0}")]
    Auth(String),
    /// A key of the broker's own can't be used as configured.
    #[error("receipts can't be signed: {0}")]
    Receipts(String),
    /// The HTTP client can't be built.
    #[error("the callers' keys can't be fetched: {0}")]
    Outbound(String),
    /// The server's threads can't be started.
    #[error("the server can't start: {0}")]
    Server(std::io::Error),
    /// A webhook endpoint can't be used as configured.
    #[error("{0}")]
    Webhooks(WebhookError),
    /// The `OTEL_*` variables ask for an unsupported export of traces.
    #[error("traces can't be exported: {0}")]
    Traces(String),
}

impl StartError {
    /// Whether only a change of the configuration can make a start succeed.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            StartError::DatabaseUrl(_)
                | StartError::Auth(_)
                | StartError::Receipts(_)
                | StartError::Webhooks(_)
                | StartError::Traces(_)
        )
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

/// A broker that is bound to its port.
pub struct App {
    address: SocketAddr,
    url: String,
    server: Server,
    handle: ServerHandle,
    admin: Option<Admin>,
    metrics: Metrics,
    broker: Broker,
    intervals: config::Workers,
    sweeper: config::Sweeper,
    webhooks: Webhooks,
    shutdown_delay: Duration,
}

impl App {
    /// Opens the database, resolves credentials, prepares keys and binds the port. [`App::run_until_stopped`] answers requests. Must
    /// run inside a multi-thread tokio runtime.
    pub async fn build(config: Config) -> Result<App, StartError> {
        App::build_with(config, None).await
    }

    /// [`App::build`] with the demo page, which gives tokens to anyone: for development only.
    pub async fn build_with(
        config: Config,
        demo: Option<http::DemoOptions>,
    ) -> Result<App, StartError> {
        let listener = listen(config.server.listen)?;
        let address = listener.local_addr().map_err(StartError::Server)?;
        let admin_listener = admin::bind(&config.server)?;
        let url = config.server.base_url(address);

        let metrics = Metrics::new();
        let db = open_database(&config, &metrics).await?;
        let outbound = outbound()?;
        let webhooks = webhooks(&config, db.clone(), outbound.clone(), metrics.clone())?;
        let broker = broker_over(&config, db, &metrics).await?;
        let signer = Arc::new(signer(&config, &url)?);
        let authenticator = authenticator(&config, Some(&signer), outbound.clone())?;
        let senders = EventSenders::new(&config.events, outbound);

        let http_options = http::HttpOptions::new(&config, &url, demo);
        let server = http::serve(
            listener,
            broker.clone(),
            Arc::new(authenticator),
            signer,
            senders,
            metrics.clone(),
            &http_options,
        )
        .map_err(StartError::Server)?;
        let handle = server.handle();
        let admin = admin_listener
            .map(|listener| Admin::new(listener, &config.server, &broker, &metrics))
            .transpose()
            .map_err(StartError::Server)?;
        Ok(App {
            address,
            url,
            server,
            handle,
            admin,
            metrics,
            broker,
            intervals: config.workers.clone(),
            sweeper: config.sweeper.clone(),
            webhooks,
            shutdown_delay: Duration::from_secs(config.server.shutdown_delay_secs),
        })
    }

    /// Checks what a start would refuse, without opening anything: the webhooks' targets, the issuers' keys and the broker's keys.
    /// [`Config::require_for_serve`] checks that issuers and keys are configured.
    pub fn check(config: &Config) -> Result<(), StartError> {
        Webhooks::check(&config.webhooks).map_err(StartError::Webhooks)?;
        if config.receipts.keys.is_empty() {
            return authenticator(config, None, outbound()?).map(drop);
        }
        let url = config.server.base_url(config.server.listen);
        let signer = signer(config, &url)?;
        authenticator(config, Some(&signer), outbound()?).map(drop)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The URL that clients use, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL of its metrics, for Prometheus, if they are served.
    pub fn metrics_url(&self) -> Option<String> {
        self.admin.as_ref().map(Admin::metrics_url)
    }

    /// Its metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Serves and runs the workers until `stop` completes. Then the broker is no longer ready, and the workers end and release their
    /// leases. After the configured delay no new connection is accepted and requests in flight finish, within the configured time.
    pub async fn run_until_stopped(self, stop: impl Future<Output = ()>) -> std::io::Result<()> {
        let handle = self.handle;
        let workers = Workers::start(&self.broker, &self.webhooks, &self.intervals, &self.sweeper);
        let mut server = tokio::spawn(self.server);
        // Served until the end, so that metrics and probes show the stop.
        let _admin = self.admin.map(Admin::start);
        tokio::select! {
            ended = &mut server => {
                workers.stop().await;
                return ended.unwrap_or_else(|error| Err(std::io::Error::other(error)));
            }
            () = stop => {}
        }
        self.broker.stop_being_ready();
        tracing::info!(
            delay_secs = self.shutdown_delay.as_secs(),
            "stopping: no longer ready, requests in flight may finish; a second signal ends at once"
        );
        let drained = async {
            tokio::time::sleep(self.shutdown_delay).await;
            handle.stop(true).await;
        };
        tokio::join!(workers.stop(), drained);
        server
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_database_url_is_a_configuration_error_and_an_outage_is_not() {
        let of = |error| StartError::from(error).is_configuration();
        assert!(of(DbSetupError::Url("unknown scheme".into())));
        assert!(!of(DbSetupError::Connect("refused".into())));
        assert!(!of(DbSetupError::Migrate("locked".into())));
    }
}
