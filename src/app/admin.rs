//! The listener for metrics and probes, beside the broker's own.

use std::net::{SocketAddr, TcpListener};

use actix_web::dev::Server;
use tokio::task::JoinHandle;

use super::StartError;
use super::build::listen;
use crate::broker::Broker;
use crate::config::{Server as ServerConfig, reachable};
use crate::http;
use crate::telemetry::metrics::Metrics;

/// The bound listener and its server.
pub(super) struct Admin {
    address: SocketAddr,
    server: Server,
}

/// The running server. It stops when this is dropped.
pub(super) struct Running(JoinHandle<std::io::Result<()>>);

/// Binds the port, so that a used one is an error before anything else starts.
pub(super) fn bind(config: &ServerConfig) -> Result<Option<TcpListener>, StartError> {
    config.admin_listen.map(listen).transpose()
}

impl Admin {
    pub(super) fn new(
        listener: TcpListener,
        config: &ServerConfig,
        broker: &Broker,
        metrics: &Metrics,
    ) -> std::io::Result<Admin> {
        let address = listener.local_addr()?;
        let (broker, metrics) = (broker.clone(), metrics.clone());
        let server = http::serve_admin(listener, broker, metrics, config.header_timeout_ms)?;
        Ok(Admin { address, server })
    }

    /// The URL for Prometheus.
    pub(super) fn metrics_url(&self) -> String {
        format!("http://{}/metrics", reachable(self.address))
    }

    /// Serves until the returned value is dropped.
    pub(super) fn start(self) -> Running {
        Running(tokio::spawn(self.server))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}
