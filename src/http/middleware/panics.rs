//! A panic in a handler becomes a 500: actix would close the connection without a byte.

use std::panic::AssertUnwindSafe;

use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use futures::FutureExt as _;

use crate::http::problem::Problem;

/// Wraps a resource, not the app: a request that is held here can't be routed any more.
///
/// Nothing that a handler shares is left half-changed by a panic: the broker's own locks answer for themselves.
pub async fn catch_panics(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let held = req.request().clone();
    // The call itself is inside too: an extractor may panic before the first await.
    match AssertUnwindSafe(async move { next.call(req).await })
        .catch_unwind()
        .await
    {
        Ok(answer) => Ok(answer?.map_into_boxed_body()),
        Err(_) => {
            // Not the panic's text, which may hold what a client sent: the panic hook has written it with its place.
            let problem = Problem::internal("a handler panicked");
            Ok(ServiceResponse::from_err(problem, held).map_into_boxed_body())
        }
    }
}
