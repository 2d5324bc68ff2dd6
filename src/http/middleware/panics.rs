//! Turns a panic in a handler into a 500; actix alone would close the connection without a response.

use std::panic::AssertUnwindSafe;

use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use futures::FutureExt as _;

use crate::http::problem::Problem;

/// Wraps a resource, not the app, because a request that is held here can no longer be routed.
///
/// `AssertUnwindSafe` holds because handlers share only the broker, whose locks recover from a panic.
pub async fn catch_panics(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let held = req.request().clone();
    // `next.call` is inside the future, because an extractor may panic before the first await.
    match AssertUnwindSafe(async move { next.call(req).await })
        .catch_unwind()
        .await
    {
        Ok(response) => Ok(response?.map_into_boxed_body()),
        Err(_) => {
            // Without the panic's message, which may contain client input; the panic hook has logged it with its location.
            let problem = Problem::internal("a handler panicked");
            Ok(ServiceResponse::from_err(problem, held).map_into_boxed_body())
        }
    }
}
