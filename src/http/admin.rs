//! The admin listener: metrics and probes on a separate address, for monitoring only.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::header::ContentType;
use actix_web::{App, HttpResponse, HttpServer, web};

use crate::broker::Broker;
use crate::telemetry::metrics::Metrics;

use super::ops::probes::{livez, readyz};
use super::problem::Problem;
use super::routes::{at, get, not_found};

/// Monitoring sends a request every few seconds, so few connections suffice.
const MAX_CONNECTIONS: usize = 64;

/// Serves `/metrics`, `/livez` and `/readyz` until the returned server is stopped. Fails only if the socket does.
pub fn serve_admin(
    listener: TcpListener,
    broker: Broker,
    metrics: Metrics,
    header_timeout_ms: u64,
) -> std::io::Result<Server> {
    let (broker, metrics) = (web::Data::new(broker), web::Data::new(metrics));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(broker.clone())
            .app_data(metrics.clone())
            .service(at("/metrics", "GET, HEAD", |r| r.route(get().to(scrape))))
            .service(at("/livez", "GET, HEAD", |r| r.route(get().to(livez))))
            .service(at("/readyz", "GET, HEAD", |r| r.route(get().to(readyz))))
            .default_service(web::to(not_found))
    })
    .workers(1)
    .max_connections(MAX_CONNECTIONS)
    .client_request_timeout(Duration::from_millis(header_timeout_ms))
    .shutdown_timeout(1)
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}

/// Metrics in Prometheus' text format. Without the database, only those of this process, which are needed most then.
async fn scrape(
    broker: web::Data<Broker>,
    metrics: web::Data<Metrics>,
) -> Result<HttpResponse, Problem> {
    let mut text = metrics.render();
    match broker.system_state().await {
        Ok(state) => text.push_str(&state.render()),
        Err(error) => tracing::warn!(?error, "metrics without database gauges"),
    }
    Ok(HttpResponse::Ok()
        .content_type(ContentType::plaintext())
        .body(text))
}
