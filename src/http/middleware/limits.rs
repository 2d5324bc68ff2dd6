//! Who asks too often is refused before its request costs much: an address before its token is looked at, an owner before its body
//! is parsed. Probes are never refused.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, web};

use crate::domain::principal::Principal;
use crate::http::address::Proxies;
use crate::http::extract::body::discard;
use crate::http::problem::{Code, Problem};
use crate::http::rate::{Limiter, Rate, Standing};

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

/// Whom an address belongs to, in general: with IPv6 everybody has at least 2^64 of them.
pub fn network_of(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_one_ipv6_network_are_one_and_ipv4_addresses_are_not() {
        let of = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("203.0.113.1"), of("203.0.113.2"));
        assert_eq!(of("203.0.113.1"), of("::ffff:203.0.113.1"));
    }
}
