//! Rejects requests beyond a rate limit before they cost much: by address before the token is verified, by owner before the body is
//! parsed. Probes are never rejected.

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, web};

use crate::http::extract::body::discard;
use crate::http::limits::rate::RateStatus;
use crate::http::limits::requests::RequestLimits;
use crate::http::problem::Problem;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// Exempt, because a rejected probe looks like a broker that is down.
const PROBES: [&str; 2] = ["/livez", "/readyz"];
/// Delay of a rejection.
const REJECTION_DELAY: Duration = Duration::from_millis(50);

/// Adds the `RateLimit` headers.
pub fn add_rate_headers(status: &RateStatus, headers: &mut HeaderMap) {
    headers.insert(POLICY, status.policy.clone());
    headers.insert(LIMIT, status.limit.clone());
}

/// The rejection as a response. It is delayed, so that a client that retries at once is slowed down, and it keeps the connection
/// open, because a new connection costs more than the rejection.
pub async fn reject(
    mut req: ServiceRequest,
    status: &RateStatus,
    problem: Problem,
) -> ServiceResponse<BoxBody> {
    let payload = req.take_payload();
    let delay = tokio::time::sleep(REJECTION_DELAY);
    discard(req.request(), payload).await;
    delay.await;
    let mut response = req.error_response(problem);
    add_rate_headers(status, response.headers_mut());
    response
}

/// Wraps the app inside of CORS, so that a page can read the rejection.
pub async fn limit_addresses(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let limits = req.app_data::<web::Data<RequestLimits>>();
    let rejected = limits
        .filter(|_| !PROBES.contains(&req.path()))
        .and_then(|limits| limits.reject_address(req.peer_addr(), req.headers()));
    match rejected {
        Some((status, problem)) => Ok(reject(req, &status, problem).await),
        None => Ok(next.call(req).await?.map_into_boxed_body()),
    }
}
