//! Who asks too often is refused before its request costs much: an address before its token is looked at, an owner before its body
//! is parsed. Probes are never refused.

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
use crate::http::limits::rate::{Limiter, Rate, Standing};
use crate::http::problem::{Code, Problem};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// What is asked by machines that would take a refusal for a broker that is down.
const PROBES: [&str; 2] = ["/livez", "/readyz"];
/// After how long a refusal is answered.
const REFUSAL_DELAY: Duration = Duration::from_millis(50);

/// How often who may ask.
pub struct RequestLimits {
    proxies: Proxies,
    by_address: Option<Limiter>,
    by_owner: Option<Limiter>,
}

impl RequestLimits {
    /// Limits for each address and for each owner.
    pub fn new(address: Rate, owner: Rate, proxies: Proxies) -> RequestLimits {
        RequestLimits {
            proxies,
            by_address: Limiter::new("address", address),
            by_owner: Limiter::new("owner", owner),
        }
    }

    /// Counts a request for its caller: what to tell, and the refusal where it was one too many. `None`: owners have no limit.
    pub fn of_owner(&self, caller: &Principal) -> Option<(Standing, Option<Problem>)> {
        let standing = self.by_owner.as_ref()?.count(&caller.owner);
        let refusal = refusal(&standing, "the owner sends more requests than it may");
        Some((standing, refusal))
    }

    /// A number that the client's address, or with IPv6 its network, has for itself.
    pub fn sender(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> u64 {
        let client = peer.map(|peer| self.proxies.client(peer.ip(), headers));
        client.map_or(0, network_of)
    }

    /// Counts a request for its address; what to tell where it was one too many.
    fn of_address(
        &self,
        peer: Option<SocketAddr>,
        headers: &HeaderMap,
    ) -> Option<(Standing, Problem)> {
        let limiter = self.by_address.as_ref()?;
        let client = self.proxies.client(peer?.ip(), headers);
        let standing = limiter.count(network_of(client));
        let refusal = refusal(&standing, "this address sends more requests than it may")?;
        Some((standing, refusal))
    }
}

fn refusal(standing: &Standing, detail: &str) -> Option<Problem> {
    let secs = standing.retry_after_secs?;
    Some(Problem::unavailable(Code::RateLimited, detail, secs))
}

/// Tells a caller where it stands.
pub fn tell(standing: &Standing, headers: &mut HeaderMap) {
    headers.insert(POLICY, standing.policy.clone());
    headers.insert(LIMIT, standing.limit.clone());
}

/// The refusal as an answer: late, so that who asks again at once can't take the others' share of the processor for being refused,
/// and on a connection that stays, because a new one for every refusal would cost more than the refusal does.
pub async fn refused_by(
    mut req: ServiceRequest,
    standing: &Standing,
    problem: Problem,
) -> ServiceResponse<BoxBody> {
    let payload = req.take_payload();
    let late = tokio::time::sleep(REFUSAL_DELAY);
    discard(req.request(), payload).await;
    late.await;
    let mut response = req.error_response(problem);
    tell(standing, response.headers_mut());
    response
}

/// Wraps the app, inside of CORS, so that a page can read the refusal.
pub async fn limit_addresses(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let limits = req.app_data::<web::Data<RequestLimits>>();
    let refused = limits
        .filter(|_| !PROBES.contains(&req.path()))
        .and_then(|limits| limits.of_address(req.peer_addr(), req.headers()));
    match refused {
        Some((standing, problem)) => Ok(refused_by(req, &standing, problem).await),
        None => Ok(next.call(req).await?.map_into_boxed_body()),
    }
}
