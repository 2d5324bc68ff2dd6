//! `[server]` and `[cors]`: the listeners and their limits, and the origins of pages that may call the broker.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::Url;

use super::network::Network;
use super::reader::section::Section;
use super::reader::urls::{Http, Path, parse_url};
use super::reader::value::Show;

/// `[server]`.
#[derive(Debug, Clone)]
pub struct Server {
    /// The address to listen on; port 0 takes a free port.
    pub listen: SocketAddr,
    /// The address for metrics and probes, if they are served; port 0 takes a free port.
    pub admin_listen: Option<SocketAddr>,
    /// The URL that clients use, if configured. It may have a path.
    pub public_url: Option<Url>,
    /// Threads that serve requests; 0 means one per core.
    pub workers: usize,
    /// How long a stopping broker accepts requests while `/readyz` answers 503, in seconds.
    pub shutdown_delay_secs: u64,
    /// How long a stop then waits for requests in flight, in seconds.
    pub shutdown_timeout_secs: u64,
    /// The longest request body, in bytes.
    pub body_limit_bytes: usize,
    /// How long a client may take to send its headers, in milliseconds.
    pub header_timeout_ms: u64,
    /// How long a client may take to send its body, in milliseconds.
    pub body_timeout_ms: u64,
    /// The most open connections per worker.
    pub max_connections: usize,
    /// Proxies whose `forwarded_header` is trusted.
    pub trusted_proxies: Vec<Network>,
    /// The header in which they write the client's address.
    pub forwarded_header: ForwardedHeader,
}

/// The header with the client's address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded`, RFC 7239.
    Forwarded,
}

/// `[cors]`.
#[derive(Debug, Clone)]
pub struct Cors {
    /// Exact origins as browsers send them, `https://shop.example`.
    pub allowed_origins: Vec<String>,
}

impl Server {
    pub(super) fn read(section: &mut Section) -> Option<Server> {
        let listen = section.text("listen", Show::Plain, socket_address);
        let admin_listen = section.optional("admin_listen", Show::Plain, socket_address);
        let public_url = section.optional("public_url", Show::Url, |text| {
            parse_url(text, Http::Allowed, Path::Allowed)
        });
        let workers = section.integer("workers", 0..=1024);
        let shutdown_delay_secs = section.integer("shutdown_delay_secs", 0..=300);
        let shutdown_timeout_secs = section.integer("shutdown_timeout_secs", 1..=600);
        let body_limit_bytes = section.integer("body_limit_bytes", 1024..=1_048_576);
        let header_timeout_ms = section.integer("header_timeout_ms", 100..=60_000);
        let body_timeout_ms = section.integer("body_timeout_ms", 100..=60_000);
        let max_connections = section.integer("max_connections", 1..=100_000);
        let trusted_proxies = section.list("trusted_proxies", Network::parse);
        let headers = [
            ("x-forwarded-for", ForwardedHeader::XForwardedFor),
            ("forwarded", ForwardedHeader::Forwarded),
        ];
        let forwarded_header = section.choice("forwarded_header", &headers);
        Some(Server {
            listen: listen?,
            admin_listen: admin_listen?,
            public_url: public_url?,
            workers: workers?,
            shutdown_delay_secs: shutdown_delay_secs?,
            shutdown_timeout_secs: shutdown_timeout_secs?,
            body_limit_bytes: body_limit_bytes?,
            header_timeout_ms: header_timeout_ms?,
            body_timeout_ms: body_timeout_ms?,
            max_connections: max_connections?,
            trusted_proxies: trusted_proxies?,
            forwarded_header: forwarded_header?,
        })
    }

    /// The URL for links, without a slash at its end: the configured one, else that of the bound address.
    pub fn base_url(&self, bound: SocketAddr) -> String {
        match &self.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{}", reachable(bound)),
        }
    }

    /// Whether it listens on a loopback address.
    pub fn is_local(&self) -> bool {
        match self.listen.ip() {
            IpAddr::V4(address) => address.is_loopback(),
            IpAddr::V6(address) => address.is_loopback(),
        }
    }
}

fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let wrong =
        |_| "must be an address and a port, such as 127.0.0.1:8000 or [::1]:8000".to_owned();
    text.parse().map_err(wrong)
}

/// The address of a listener for clients on the same machine: loopback for an unspecified address.
pub fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(ip, bound.port())
}

impl Cors {
    pub(super) fn read(section: &mut Section) -> Option<Cors> {
        let allowed_origins = section.list("allowed_origins", origin);
        Some(Cors {
            allowed_origins: allowed_origins?,
        })
    }
}

/// An exact origin. A pattern, `*` and `null` would admit pages that are not listed.
fn origin(text: &str) -> Result<String, String> {
    let exact = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "https" | "http") && !text.contains('*'))
        .is_some_and(|url| url.origin().ascii_serialization() == text);
    exact.then(|| text.to_owned()).ok_or_else(|| {
        "must list exact origins as browsers send them, such as \"https://shop.example\" or \
         \"http://localhost:3000\": lower case, no path, no slash at the end, no \"*\", no \"null\""
            .to_owned()
    })
}
