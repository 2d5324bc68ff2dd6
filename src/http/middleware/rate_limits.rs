//! Rejects requests beyond a rate limit before they cost much: by address before the token is verified, by owner before the body is
//! parsed. Probes are never rejected.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, web};

use crate::domain::principal::Principal;
use crate::http::extract::body::discard;
use crate::http::limits::client_address::{Proxies, network_of};
use crate::http::limits::rate::{Limiter, Rate, RateStatus};
use crate::http::problem::{Code, Problem};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// Exempt, because a rejected probe looks like a broker that is down.
const PROBES: [&str; 2] = ["/livez", "/readyz"];
/// Delay of a rejection.
const REJECTION_DELAY: Duration = Duration::from_millis(50);

/// The request rates of addresses and owners.
pub struct RequestLimits {
    proxies: Proxies,
    by_address: Option<Limiter>,
    by_owner: Option<Limiter>,
}

impl RequestLimits {
    pub fn new(address: Rate, owner: Rate, proxies: Proxies) -> RequestLimits {
        RequestLimits {
            proxies,
            by_address: Limiter::new("address", address),
            by_owner: Limiter::new("owner", owner),
        }
    }

    /// Counts a request of its owner; the problem is there if the owner is beyond its limit. `None` if owners have no limit.
    pub fn count_owner(&self, caller: &Principal) -> Option<(RateStatus, Option<Problem>)> {
        let status = self.by_owner.as_ref()?.count(&caller.owner);
        let problem = rejection(&status, "the owner has reached its request limit");
        Some((status, problem))
    }

    /// The key of the client's address, or of its network with IPv6.
    pub fn client_key(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> u64 {
        let client = peer.map(|peer| self.proxies.client(peer.ip(), headers));
        client.map_or(0, network_of)
    }

    /// Counts a request of its address. `None` if it is allowed.
    fn reject_address(
        &self,
        peer: Option<SocketAddr>,
        headers: &HeaderMap,
    ) -> Option<(RateStatus, Problem)> {
        let limiter = self.by_address.as_ref()?;
        let client = self.proxies.client(peer?.ip(), headers);
        let status = limiter.count(network_of(client));
        let problem = rejection(&status, "this address has reached its request limit")?;
        Some((status, problem))
    }
}

fn rejection(status: &RateStatus, detail: &str) -> Option<Problem> {
    let secs = status.retry_after_secs?;
    Some(Problem::unavailable(Code::RateLimited, detail, secs))
}

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
