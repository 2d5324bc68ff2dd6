//! The HTTP server around s3s: limits on connections and time, request checks, CORS and request ids.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use http::header::{EXPECT, ORIGIN};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use s3s::service::S3Service;
use s3s::{Body, S3Error, S3ErrorCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::blobs::random_name;
use super::request_body::RequestBody;
use super::{cors, request_checks};

/// The most connections at once; more wait in the backlog.
const MAX_CONNECTIONS: usize = 512;

/// The most form uploads at once: s3s keeps each in memory.
const MAX_FORMS: usize = 8;

/// The time limit for a request's headers, counted from the end of the previous request.
const HEADER_TIME: Duration = Duration::from_secs(30);

/// The time that requests in flight get when the server stops.
pub(super) const STOP_TIME: Duration = Duration::from_secs(5);

/// The pause after a failed accept: there are no file descriptors left, or the client has disconnected.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// The state that connections share.
pub(super) struct Server {
    /// s3s over the supported operations.
    pub service: S3Service,
    /// The region that signatures must be for.
    pub region: String,
    /// See [`MAX_FORMS`].
    pub forms: Semaphore,
}

impl Server {
    /// A server around this service.
    pub(super) fn new(service: S3Service, region: String) -> Server {
        Server {
            service,
            region,
            forms: Semaphore::new(MAX_FORMS),
        }
    }

    /// Serves until `stop` changes, then waits at most [`STOP_TIME`] for requests in flight.
    pub(super) async fn run(self, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let server = Arc::new(self);
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let accepted = async {
                let slot = Arc::clone(&slots).acquire_owned().await;
                (slot, listener.accept().await)
            };
            let (slot, stream) = tokio::select! {
                accepted = accepted => accepted,
                _ = stop.changed() => break,
            };
            let (Ok(slot), Ok((stream, _))) = (slot, stream) else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let (server, stop) = (Arc::clone(&server), stop.clone());
            tokio::spawn(async move {
                connection(server, stream, stop).await;
                drop(slot);
            });
        }
        drop(listener);
        let all = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX);
        // All slots are free once every connection is closed; connections that take longer are cut off.
        let _ = tokio::time::timeout(STOP_TIME, slots.acquire_many(all)).await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let from_page = request.headers().contains_key(ORIGIN);
        let expects = request.headers().contains_key(EXPECT);
        let (parts, incoming) = request.into_parts();
        let body = RequestBody::new(incoming);
        let answer = AssertUnwindSafe(self.handle(Request::from_parts(parts, body.clone())))
            .catch_unwind()
            .await;
        let result = answer.unwrap_or_else(|_| Err(S3ErrorCode::InternalError.into()));
        let mut response = result.unwrap_or_else(error_response);
        if response.status().is_client_error() || response.status().is_server_error() {
            body.drain(expects).await;
        }
        if response.status().is_server_error() {
            tracing::warn!(%method, path, status = %response.status(), "development bucket could not answer");
        }
        let headers = response.headers_mut();
        if from_page {
            cors::decorate(headers);
        }
        if let Ok(id) = HeaderValue::try_from(random_name()) {
            headers.insert("x-amz-request-id", id);
        }
        response
    }

    async fn handle(&self, request: Request<RequestBody>) -> Result<Response<Body>, S3Error> {
        let (mut parts, body) = request.into_parts();
        if parts.method == Method::OPTIONS {
            return cors::preflight(&parts.headers);
        }
        request_checks::check(&mut parts, &self.region)?;
        let _form = if request_checks::is_form(&parts) {
            Some(self.forms.acquire().await)
        } else {
            None
        };
        let request = Request::from_parts(parts, Body::http_body(body));
        self.service
            .call(request)
            .await
            .map_err(|_| S3ErrorCode::InternalError.into())
    }
}

fn error_response(error: S3Error) -> Response<Body> {
    error.to_http_response().unwrap_or_else(|_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

async fn connection(server: Arc<Server>, stream: TcpStream, mut stop: watch::Receiver<bool>) {
    // Small responses must not wait for more data. A socket that refuses the option is about to fail anyway.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(server.answer(request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_headers(128);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // An error of a connection can't be reported: its client is gone.
    tokio::select! {
        _ = connection.as_mut() => {}
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
