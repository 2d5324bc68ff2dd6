//! The admin listener: metrics and probes on an address of their own, which only those who watch can reach.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::header::ContentType;
use actix_web::{App, HttpResponse, HttpServer, web};

use crate::broker::Broker;
use crate::telemetry::metrics::Metrics;

use super::operations::{livez, readyz};
use super::problem::Problem;
use super::routes::{at, get, nothing_here};

/// Who watches comes by every few seconds: two threads' worth of connections is plenty.
const MAX_CONNECTIONS: usize = 64;

/// Serves `/metrics`, `/livez` and `/readyz` until the returned server is stopped. The error is the socket's.
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
            .default_service(web::to(nothing_here))
    })
    .workers(1)
    .max_connections(MAX_CONNECTIONS)
    .client_request_timeout(Duration::from_millis(header_timeout_ms))
    .shutdown_timeout(1)
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}

/// Prometheus' text format. Without the database the broker's own numbers are still there: then they are wanted most.
async fn scrape(
    broker: web::Data<Broker>,
    metrics: web::Data<Metrics>,
) -> Result<HttpResponse, Problem> {
    let mut text = metrics.render();
    match broker.system_state().await {
        Ok(state) => text.push_str(&state.render()),
        Err(error) => tracing::warn!(?error, "the metrics lack what the database knows"),
    }
    Ok(HttpResponse::Ok()
        .content_type(ContentType::plaintext())
        .body(text))
}
