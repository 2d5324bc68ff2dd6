//! The client's address: the connection's peer or, behind trusted proxies, the address that they report.
//!
//! Only the configured header is read, from its end, up to the first address that is not a trusted proxy. Entries that a client
//! wrote itself stand before that one and are never used.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::{FORWARDED, HeaderMap, HeaderName};

use crate::config::{ForwardedHeader, Network, Server};

/// Entries of the header that are read at most.
const MAX_HOPS: usize = 16;

/// The trusted proxies, and the header in which they report the client.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// Addresses of trusted proxies.
    pub trusted: Vec<Network>,
    /// The header that they set.
    pub header: ForwardedHeader,
}

impl Proxies {
    /// The proxies of the configuration.
    pub fn new(server: &Server) -> Proxies {
        Proxies {
            trusted: server.trusted_proxies.clone(),
            header: server.forwarded_header,
        }
    }

    /// The client's address. If a trusted proxy reports nothing readable, the proxy's own address.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let name = match self.header {
            ForwardedHeader::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            ForwardedHeader::Forwarded => FORWARDED,
        };
        let lines: Vec<&str> = headers
            .get_all(name)
            .map(|value| value.to_str().unwrap_or_default())
            .collect();
        let hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
        for hop in hops.take(MAX_HOPS) {
            let Some(address) = self.address_of(hop.trim()) else {
                break;
            };
            client = address.to_canonical();
            if !self.trusts(client) {
                break;
            }
        }
        client
    }

    /// Whether a trusted proxy has this address.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    fn address_of(&self, hop: &str) -> Option<IpAddr> {
        match self.header {
            ForwardedHeader::XForwardedFor => address(hop),
            ForwardedHeader::Forwarded => {
                let mut members = hop.split(';').filter_map(|member| member.split_once('='));
                let (_, value) =
                    members.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
                address(value.trim().trim_matches('"'))
            }
        }
    }
}

/// Parses an address with or without a port, `[2001:db8::1]:443`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let parsed = bare.unwrap_or(text).parse::<IpAddr>().ok();
    parsed.or_else(|| text.parse::<SocketAddr>().ok().map(|it| it.ip()))
}

/// The key that limits are counted by: an IPv4 address, or the /64 network of an IPv6 address, because a client usually has a whole one.
pub fn network_of(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn client(header: ForwardedHeader, peer: &str, lines: &[(&'static str, &str)]) -> String {
        let trusted = ["10.0.0.0/8", "::1"].map(|it| Network::parse(it).unwrap());
        let proxies = Proxies {
            trusted: trusted.to_vec(),
            header,
        };
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let value = HeaderValue::from_str(value).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn entries_of_untrusted_senders_are_ignored() {
        let read = |peer: &str, lines: &[(&'static str, &str)]| {
            client(ForwardedHeader::XForwardedFor, peer, lines)
        };
        let x = "x-forwarded-for";
        assert_eq!(
            read("203.0.113.9", &[(x, "1.1.1.1")]),
            "203.0.113.9",
            "no proxy"
        );
        assert_eq!(read("10.0.0.1", &[(x, "203.0.113.9")]), "203.0.113.9");
        assert_eq!(
            read("10.0.0.1", &[(x, "1.1.1.1, 203.0.113.9")]),
            "203.0.113.9"
        );
        assert_eq!(
            read("10.0.0.1", &[(x, "1.1.1.1"), (x, "203.0.113.9, 10.0.0.2")]),
            "203.0.113.9"
        );
        assert_eq!(read("10.0.0.1", &[(x, "1.1.1.1, nonsense")]), "10.0.0.1");
        assert_eq!(
            read("10.0.0.1", &[("forwarded", "for=1.1.1.1")]),
            "10.0.0.1",
            "another header"
        );
        assert_eq!(read("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(read("::1", &[(x, "[2001:db8::7]:4711")]), "2001:db8::7");
        assert_eq!(
            read("::ffff:10.0.0.1", &[(x, "203.0.113.9:80")]),
            "203.0.113.9"
        );
        let endless = vec!["10.0.0.3"; 100].join(",");
        assert_eq!(
            read("10.0.0.1", &[(x, &format!("1.1.1.1,{endless}"))]),
            "10.0.0.3"
        );
    }

    #[test]
    fn forwarded_header_is_read_like_x_forwarded_for() {
        let read = |line: &str| {
            client(
                ForwardedHeader::Forwarded,
                "10.0.0.1",
                &[("forwarded", line)],
            )
        };
        assert_eq!(
            read("for=1.1.1.1, for=203.0.113.9;proto=https"),
            "203.0.113.9"
        );
        assert_eq!(
            read("proto=https; For=\"[2001:db8::7]:4711\""),
            "2001:db8::7"
        );
        assert_eq!(read("for=_hidden"), "10.0.0.1");
        assert_eq!(read("by=10.0.0.1"), "10.0.0.1");
    }

    #[test]
    fn ipv6_addresses_share_a_network_and_ipv4_addresses_do_not() {
        let of = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("203.0.113.1"), of("203.0.113.2"));
        assert_eq!(of("203.0.113.1"), of("::ffff:203.0.113.1"));
    }
}
