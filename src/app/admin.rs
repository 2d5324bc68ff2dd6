//! The listener of those who watch: metrics and probes, beside the broker's own.

use std::net::{SocketAddr, TcpListener};

use actix_web::dev::Server;
use tokio::task::JoinHandle;

use super::{StartError, listen};
use crate::broker::Broker;
use crate::config::{Server as ServerConfig, reachable};
use crate::http;
use crate::telemetry::metrics::Metrics;

/// Bound, and with everything that it shows.
pub(super) struct Admin {
    address: SocketAddr,
    server: Server,
}

/// Ends with its owner.
pub(super) struct Running(JoinHandle<std::io::Result<()>>);

/// Binds at once, so that a taken port is an error before anything else begins.
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

    /// What to give to Prometheus.
    pub(super) fn metrics_url(&self) -> String {
        format!("http://{}/metrics", reachable(self.address))
    }

    /// Serves until what this returns is dropped.
    pub(super) fn start(self) -> Running {
        Running(tokio::spawn(self.server))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}
