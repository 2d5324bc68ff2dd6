//! Builds the app of each worker and runs the server on a bound socket.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{Server, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::{App, Error, HttpServer, web};

use crate::auth::{Authenticator, EventSenders, Signer};
use crate::broker::Broker;
use crate::telemetry::metrics::Metrics;

use super::extract::body::{BodyBytes, BodyLimits};
use super::extract::bucket_notification::UnverifiedBodies;
use super::extract::query::PageLimits;
use super::limits::client_address::Proxies;
use super::limits::connections::Connections;
use super::limits::rate::Rate;
use super::limits::requests::RequestLimits;
use super::middleware::cors::cors;
use super::middleware::finish_response;
use super::middleware::rate_limits::limit_addresses;
use super::pages::Pages;
use super::pages::demo::{self, DemoOptions};
use super::public_url::PublicUrl;
use super::{openapi, routes};

/// How long a closing connection may take to send its response, in seconds: time to read a 413.
const DISCONNECT_SECS: u64 = 5;
/// How long an idle connection is kept, in seconds. Longer than the minute of common proxies, so that they close first.
const KEEP_ALIVE_SECS: u64 = 75;

/// The settings of the server.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// The base of all links, `https://broker.example`.
    pub public_url: String,
    /// Origins that may call from a browser, `https://shop.example`; compared exactly.
    pub allowed_origins: Vec<String>,
    /// The longest request body, in bytes.
    pub body_max_bytes: usize,
    /// Time for a request's head to arrive, in milliseconds.
    pub header_timeout_ms: u64,
    /// Time for a request's body to arrive, in milliseconds.
    pub body_timeout_ms: u64,
    /// Open connections of each worker; further ones wait in the socket's backlog.
    pub max_connections: usize,
    /// Open connections of one address, and never more than half of those of all workers; 0: no limit.
    pub connections_per_address: u32,
    /// Worker threads; 0: one for each processor.
    pub workers: usize,
    /// How long requests may continue after a stop, in seconds.
    pub shutdown_timeout_secs: u64,
    /// Uploads on a page without `limit`.
    pub page_default: u32,
    /// The largest `limit`.
    pub page_max: u32,
    /// Request rate of each owner.
    pub owner_rate: Rate,
    /// Request rate of each address.
    pub address_rate: Rate,
    /// The proxies that are trusted to report the client's address.
    pub proxies: Proxies,
    /// The page `/demo`, in development only.
    pub demo: Option<DemoOptions>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        HttpOptions {
            public_url: "http://127.0.0.1:8000".to_owned(),
            allowed_origins: Vec::new(),
            body_max_bytes: 16 * 1024,
            header_timeout_ms: 5_000,
            body_timeout_ms: 10_000,
            max_connections: 10_000,
            connections_per_address: 0,
            workers: 0,
            shutdown_timeout_secs: 30,
            page_default: 50,
            page_max: 200,
            owner_rate: Rate::UNLIMITED,
            address_rate: Rate::UNLIMITED,
            proxies: Proxies::default(),
            demo: None,
        }
    }
}

/// The shared state from which each worker's app is built.
#[derive(Clone)]
pub(super) struct Parts {
    public_url: web::Data<PublicUrl>,
    metrics: web::Data<Metrics>,
    pages: web::Data<Pages>,
    body_limits: web::Data<BodyLimits>,
    page_limits: web::Data<PageLimits>,
    authenticator: web::Data<Authenticator>,
    signer: web::Data<Signer>,
    requests: web::Data<RequestLimits>,
    unverified: web::Data<UnverifiedBodies>,
    allowed_origins: Vec<String>,
    demo: Option<DemoOptions>,
    /// Shared by all workers.
    body_bytes: BodyBytes,
}

impl Parts {
    pub(super) fn new(
        authenticator: Arc<Authenticator>,
        signer: Arc<Signer>,
        metrics: Metrics,
        options: &HttpOptions,
    ) -> Parts {
        let public_url = PublicUrl::new(&options.public_url);
        Parts {
            body_limits: web::Data::new(BodyLimits {
                max_bytes: options.body_max_bytes,
                timeout: Duration::from_millis(options.body_timeout_ms),
            }),
            page_limits: web::Data::new(PageLimits {
                default: options.page_default,
                max: options.page_max,
            }),
            pages: web::Data::new(Pages::new(&openapi::openapi(), public_url.as_str())),
            public_url: web::Data::new(public_url),
            metrics: web::Data::new(metrics),
            authenticator: web::Data::from(authenticator),
            signer: web::Data::from(signer),
            requests: web::Data::new(RequestLimits::new(
                options.address_rate,
                options.owner_rate,
                options.proxies.clone(),
            )),
            unverified: web::Data::default(),
            allowed_origins: options.allowed_origins.clone(),
            demo: options.demo.clone(),
            body_bytes: BodyBytes::default(),
        }
    }
}

/// The app of one worker. `more` adds the broker in production, and extra routes in tests.
pub(super) fn app<F: FnOnce(&mut web::ServiceConfig)>(
    parts: &Parts,
    more: F,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = Error,
        InitError = (),
    > + use<F>,
> {
    App::new()
        .app_data(parts.public_url.clone())
        .app_data(parts.metrics.clone())
        .app_data(parts.pages.clone())
        .app_data(parts.body_limits.clone())
        .app_data(parts.page_limits.clone())
        .app_data(parts.authenticator.clone())
        .app_data(parts.signer.clone())
        .app_data(parts.requests.clone())
        .app_data(parts.unverified.clone())
        .configure(more)
        .configure(|config| {
            if let Some(demo) = &parts.demo {
                demo::configure(config, demo, &parts.body_bytes);
            }
        })
        .configure(routes::configure)
        .wrap(from_fn(limit_addresses))
        .wrap(cors(&parts.allowed_origins))
        // The last one is the outermost.
        .wrap(from_fn(finish_response))
}

/// The number of worker threads for this setting; 0: one for each processor.
pub fn worker_threads(configured: usize) -> usize {
    match configured {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    }
}

/// Serves on a bound socket until the returned server is stopped. The caller handles signals.
///
/// Must be called inside a tokio runtime. Fails only if the socket does.
pub fn serve(
    listener: TcpListener,
    broker: Broker,
    authenticator: Arc<Authenticator>,
    signer: Arc<Signer>,
    senders: EventSenders,
    metrics: Metrics,
    options: &HttpOptions,
) -> std::io::Result<Server> {
    let parts = Parts::new(authenticator, signer, metrics, options);
    let (broker, senders) = (web::Data::new(broker), web::Data::new(senders));
    let workers = worker_threads(options.workers);
    // One address must leave connections for others.
    let half = u32::try_from(options.max_connections * workers / 2).unwrap_or(u32::MAX);
    let per_address = options.connections_per_address.min(half.max(1));
    let connections = Connections::new(per_address, options.proxies.clone());
    let server = HttpServer::new(move || {
        let (broker, senders) = (broker.clone(), senders.clone());
        app(&parts, move |config| {
            config.app_data(broker).app_data(senders);
        })
    })
    .on_connect(move |connection, data| {
        if let Some(connections) = &connections {
            connections.on_connect(connection, data);
        }
    })
    .workers(workers)
    .max_connections(options.max_connections)
    .client_request_timeout(Duration::from_millis(options.header_timeout_ms))
    .client_disconnect_timeout(Duration::from_secs(DISCONNECT_SECS))
    .keep_alive(Duration::from_secs(KEEP_ALIVE_SECS))
    .shutdown_timeout(options.shutdown_timeout_secs)
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}
