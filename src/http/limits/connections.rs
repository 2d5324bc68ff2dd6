//! How many connections an address may have: one that opens them without end must not take those of all others.
//!
//! Counted when a connection has been taken, and until it ends; one too many is shut there and then, before a byte of it is read.

use std::any::Any;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use socket2::SockRef;

use super::client_address::{Proxies, network_of};

/// The least time from one log line about refused connections to the next.
const BETWEEN_LINES: Duration = Duration::from_secs(60);

/// The open connections of each address. Clones share it.
#[derive(Clone)]
pub struct Connections(Arc<Inner>);

struct Inner {
    most: u32,
    proxies: Proxies,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    of: HashMap<u64, u32>,
    told_at: Option<Instant>,
}

/// One of an address's connections, for as long as it is there.
struct Counted {
    all: Connections,
    network: u64,
}

impl Connections {
    /// So many for each address but those of trusted proxies; `None` where there is no limit.
    pub fn new(most: u32, proxies: Proxies) -> Option<Connections> {
        let open = Mutex::default();
        let inner = Inner {
            most,
            proxies,
            open,
        };
        (most > 0).then(|| Connections(Arc::new(inner)))
    }

    /// What the server calls with each new connection: counts it, or shuts it.
    pub fn on_connect(&self, connection: &dyn Any, data: &mut Extensions) {
        let Some(stream) = connection.downcast_ref::<TcpStream>() else {
            return;
        };
        // Without a peer it has ended already.
        let Ok(peer) = stream.peer_addr() else {
            return;
        };
        match self.count(peer.ip()) {
            Ok(Some(counted)) => drop(data.insert(counted)),
            Ok(None) => {}
            // The server then reads the end of it, and lets go of it.
            Err(()) => drop(SockRef::from(stream).shutdown(std::net::Shutdown::Both)),
        }
    }

    /// A connection more of this address; `None` for one that isn't counted, an error where it is one too many.
    fn count(&self, address: IpAddr) -> Result<Option<Counted>, ()> {
        if self.0.proxies.trusts(address.to_canonical()) {
            return Ok(None);
        }
        let network = network_of(address);
        let mut open = self.open();
        let count = open.of.entry(network).or_default();
        if *count < self.0.most {
            *count += 1;
            let all = self.clone();
            return Ok(Some(Counted { all, network }));
        }
        if open.told_at.is_none_or(|at| at.elapsed() >= BETWEEN_LINES) {
            open.told_at = Some(Instant::now());
            let most = self.0.most;
            tracing::warn!(%address, most, "an address has all of its connections; more of them are closed");
        }
        Err(())
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.all.open();
        if let Some(count) = open.of.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                open.of.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Network;

    #[test]
    fn an_address_has_so_many_at_a_time_and_a_trusted_proxy_any_number() {
        let trusted = vec![Network::parse("10.0.0.0/8").unwrap()];
        let proxies = Proxies {
            trusted,
            ..Proxies::default()
        };
        let all = Connections::new(2, proxies.clone()).unwrap();
        let of = |address: &str| all.count(address.parse().unwrap());
        let first = of("203.0.113.1").ok().flatten();
        let second = of("::ffff:203.0.113.1").ok().flatten();
        assert!(first.is_some() && second.is_some());
        assert!(of("203.0.113.1").is_err());
        assert!(of("203.0.113.2").is_ok_and(|it| it.is_some()));
        for _ in 0..3 {
            assert!(of("10.1.2.3").is_ok_and(|it| it.is_none()));
        }
        drop(first);
        assert!(of("203.0.113.1").is_ok_and(|it| it.is_some()));
        drop(second);
        assert!(
            all.open().of.is_empty(),
            "nobody who has gone is remembered"
        );
        assert!(Connections::new(0, proxies).is_none());
    }
}
