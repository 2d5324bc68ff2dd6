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
use crate::config::{self, Config};
use crate::telemetry::metrics::Metrics;

use super::extract::body::{BodyBytes, BodyLimits};
use super::extract::bucket_notification::UnverifiedBodies;
use super::extract::query::PageLimits;
use super::limits::client_address::Proxies;
use super::limits::connections::Connections;
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
    /// `[server]`, without its addresses: the socket is bound by the caller.
    pub server: config::Server,
    /// `[limits]`.
    pub limits: config::Limits,
    /// Origins that may call from a browser, `https://shop.example`; compared exactly.
    pub allowed_origins: Vec<String>,
    /// The page `/demo`, in development only.
    pub demo: Option<DemoOptions>,
}

impl HttpOptions {
    /// The settings of a server that clients reach at `public_url`.
    pub fn new(config: &Config, public_url: &str, demo: Option<DemoOptions>) -> HttpOptions {
        HttpOptions {
            public_url: public_url.to_owned(),
            server: config.server.clone(),
            limits: config.limits.clone(),
            allowed_origins: config.cors.allowed_origins.clone(),
            demo,
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
                max_bytes: options.server.body_limit_bytes,
                timeout: Duration::from_millis(options.server.body_timeout_ms),
            }),
            page_limits: web::Data::new(PageLimits {
                default: options.limits.page_default,
                max: options.limits.page_max,
            }),
            pages: web::Data::new(Pages::new(&openapi::openapi(), public_url.as_str())),
            public_url: web::Data::new(public_url),
            metrics: web::Data::new(metrics),
            authenticator: web::Data::from(authenticator),
            signer: web::Data::from(signer),
            requests: web::Data::new(RequestLimits::new(
                &options.limits,
                Proxies::new(&options.server),
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
    let workers = worker_threads(options.server.workers);
    // One address must leave connections for others.
    let half = u32::try_from(options.server.max_connections * workers / 2).unwrap_or(u32::MAX);
    let per_address = options.limits.connections_per_address.min(half.max(1));
    let connections = Connections::new(per_address, Proxies::new(&options.server));
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
    .max_connections(options.server.max_connections)
    .client_request_timeout(Duration::from_millis(options.server.header_timeout_ms))
    .client_disconnect_timeout(Duration::from_secs(DISCONNECT_SECS))
    .keep_alive(Duration::from_secs(KEEP_ALIVE_SECS))
    .shutdown_timeout(options.server.shutdown_timeout_secs)
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}
