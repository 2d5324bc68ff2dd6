//! The request rates of addresses and owners.

use std::net::SocketAddr;

use actix_web::http::header::HeaderMap;

use super::client_address::{Proxies, network_of};
use super::rate::{Limiter, Rate, RateStatus};
use crate::config::Limits;
use crate::domain::principal::Principal;
use crate::http::problem::{Code, Problem};

/// Counts the requests of addresses and owners.
pub struct RequestLimits {
    proxies: Proxies,
    by_address: Option<Limiter>,
    by_owner: Option<Limiter>,
}

impl RequestLimits {
    pub fn new(limits: &Limits, proxies: Proxies) -> RequestLimits {
        let address = Rate {
            per_sec: limits.requests_per_address_per_sec,
            burst: limits.requests_per_address_burst,
        };
        let owner = Rate {
            per_sec: limits.requests_per_owner_per_sec,
            burst: limits.requests_per_owner_burst,
        };
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
    pub fn reject_address(
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
