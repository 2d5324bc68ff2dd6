//! Limits the open connections of each address, so that one client cannot take those of all others.
//!
//! A connection counts from its accept until it ends. A connection beyond the limit is closed before a byte of it is read.

use std::any::Any;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use socket2::SockRef;

use super::client_address::{Proxies, network_of};

/// Minimum time between two log lines about closed connections.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The open connections of each address. Clones share it.
#[derive(Clone)]
pub struct Connections(Arc<Inner>);

struct Inner {
    max: u32,
    proxies: Proxies,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    by_network: HashMap<u64, u32>,
    logged_at: Option<Instant>,
}

/// One counted connection; stored with the connection and dropped when it ends.
struct Counted {
    all: Connections,
    network: u64,
}

impl Connections {
    /// At most `max` connections for each address; trusted proxies are exempt. `None` if `max` is 0: no limit.
    pub fn new(max: u32, proxies: Proxies) -> Option<Connections> {
        let open = Mutex::default();
        let inner = Inner { max, proxies, open };
        (max > 0).then(|| Connections(Arc::new(inner)))
    }

    /// The server's `on_connect` callback: counts the connection, or closes it.
    pub fn on_connect(&self, connection: &dyn Any, data: &mut Extensions) {
        let Some(stream) = connection.downcast_ref::<TcpStream>() else {
            return;
        };
        // A connection without a peer has ended already.
        let Ok(peer) = stream.peer_addr() else {
            return;
        };
        match self.count(peer.ip()) {
            Ok(Some(counted)) => drop(data.insert(counted)),
            Ok(None) => {}
            // The server then reads the end of the stream and drops the connection.
            Err(()) => drop(SockRef::from(stream).shutdown(std::net::Shutdown::Both)),
        }
    }

    /// Counts one more connection of this address. `None` for a trusted proxy; an error beyond the limit.
    fn count(&self, address: IpAddr) -> Result<Option<Counted>, ()> {
        if self.0.proxies.trusts(address.to_canonical()) {
            return Ok(None);
        }
        let network = network_of(address);
        let mut open = self.open();
        let count = open.by_network.entry(network).or_default();
        if *count < self.0.max {
            *count += 1;
            let all = self.clone();
            return Ok(Some(Counted { all, network }));
        }
        if open.logged_at.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
            open.logged_at = Some(Instant::now());
            let max = self.0.max;
            tracing::warn!(%address, max, "connection closed: address has reached its connection limit");
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
        if let Some(count) = open.by_network.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                open.by_network.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Network;

    #[test]
    fn address_is_limited_and_trusted_proxy_is_exempt() {
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
            all.open().by_network.is_empty(),
            "closed connections are forgotten"
        );
        assert!(Connections::new(0, proxies).is_none());
    }
}
