//! The HTTP client for all outgoing calls but those to the bucket: key sets, certificates, webhooks, traces.
//!
//! Guarantees: a connection goes only to an address that the caller's [`AddressRule`] allows (a name is resolved once, every address
//! is checked, and the connection is made to a checked address, so a second DNS answer can't replace it); https only, with plain
//! http to this machine or an allowed private network; no redirects; no proxy from the environment; one deadline for the whole
//! call; and a limit of the response that applies while it is read.

mod address;
mod post;
mod resolver;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use rustls_platform_verifier::BuilderVerifierExt;
use url::{Host, Url};

pub use address::AddressRule;
pub use post::{Post, Posted};
use resolver::{CheckedResolver, Refused, system_lookup};
pub use resolver::{Lookup, LookupAnswer};

/// The bounds of one call.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest response body, in bytes. A larger one is [`OutboundError::TooLarge`].
    pub max_bytes: usize,
    /// The time limit of the whole call: name, connection, TLS, answer, body.
    pub deadline: Duration,
}

/// An answer with any status. A redirect is an answer like any other.
#[derive(Debug)]
pub struct Fetched {
    /// The HTTP status.
    pub status: u16,
    /// The whole body, at most [`Limits::max_bytes`].
    pub body: Vec<u8>,
}

/// Why a call has no answer. No variant contains the URL or a part of the response.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The URL is never called; the text says what is allowed.
    #[error("{0}")]
    BadUrl(&'static str),
    /// The host is, or resolves to, an address that the rule refuses.
    #[error("the host has an address that may not be called ({0})")]
    AddressRefused(AddressRule),
    /// The deadline passed.
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The body is longer than the limit.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
    /// The name, the connection, TLS or HTTP failed; the text is the innermost cause.
    #[error("the call failed: {0}")]
    Unreachable(String),
    /// The client can't be built, which only a broken TLS setup causes.
    #[error("the HTTP client can't be built: {0}")]
    Setup(String),
}

/// The client. Cloning is cheap; clones share everything.
#[derive(Debug, Clone)]
pub struct Outbound {
    // The rule is part of the client's resolver, so there is a client per rule.
    clients: Arc<[(AddressRule, Client)]>,
}

impl Outbound {
    /// A client with the system's resolver. Without root certificates it logs a warning, and https calls fail.
    pub fn new() -> Result<Outbound, OutboundError> {
        Outbound::with_lookup(Arc::new(system_lookup))
    }

    /// The same with another resolver.
    pub fn with_lookup(lookup: Lookup) -> Result<Outbound, OutboundError> {
        let tls = tls_config()?;
        let client = |rule| {
            Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .dns_resolver(Arc::new(CheckedResolver::new(lookup.clone(), rule)))
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .no_proxy()
                // Each call resolves and checks again, and no connection outlives the runtime that opened it.
                .pool_max_idle_per_host(0)
                .user_agent(concat!("bytepass/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|error| OutboundError::Setup(innermost(&error)))
        };
        let of_rule = |rule| Ok((rule, client(rule)?));
        let clients: Result<Arc<[_]>, OutboundError> =
            AddressRule::ALL.into_iter().map(of_rule).collect();
        Ok(Outbound { clients: clients? })
    }

    fn client(&self, rule: AddressRule) -> Result<&Client, OutboundError> {
        let found = self.clients.iter().find(|(known, _)| *known == rule);
        found
            .map(|(_, client)| client)
            .ok_or(OutboundError::AddressRefused(rule))
    }

    /// Gets a URL at an address that `rule` allows. Plain http is limited to loopback.
    pub async fn get(
        &self,
        url: &str,
        rule: AddressRule,
        limits: Limits,
    ) -> Result<Fetched, OutboundError> {
        let (url, rule) = check_url(url, rule)?;
        let client = self.client(rule)?;
        tokio::time::timeout(limits.deadline, read(client, url, rule, limits.max_bytes))
            .await
            .map_err(|_| OutboundError::TimedOut(limits.deadline))?
    }
}

/// Checks a URL's scheme, host and literal address without calling it. Returns the parsed URL and the rule that applies to it.
pub fn check_url(url: &str, rule: AddressRule) -> Result<(Url, AddressRule), OutboundError> {
    let url = Url::parse(url).map_err(|_| OutboundError::BadUrl("the URL must be absolute"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(OutboundError::BadUrl(
            "the URL must not contain a user or password",
        ));
    }
    // `Url` has parsed every notation of an IPv4 address (0x7f.1, 2130706433).
    let literal = match url.host() {
        Some(Host::Ipv4(address)) => Some(address.into()),
        Some(Host::Ipv6(address)) => Some(address.into()),
        Some(Host::Domain(_)) => None,
        None => return Err(OutboundError::BadUrl("the URL must have a host")),
    };
    let rule = match url.scheme() {
        "https" => rule,
        "http" if rule == AddressRule::PrivateOnly => rule,
        "http" if rule != AddressRule::PublicOnly && is_loopback_host(&url) => {
            AddressRule::LoopbackOnly
        }
        _ if rule == AddressRule::PublicOnly => {
            return Err(OutboundError::BadUrl("the URL must be https"));
        }
        _ => {
            return Err(OutboundError::BadUrl(
                "the URL must be https, or http on localhost, 127.0.0.0/8 or [::1]",
            ));
        }
    };
    // Ports below 1024 are those of other protocols, some of which an HTTP request can be crafted for.
    if rule == AddressRule::PublicOnly && !matches!(url.port(), None | Some(443 | 1024..)) {
        return Err(OutboundError::BadUrl(
            "the URL's port must be 443, or 1024 and above",
        ));
    }
    // Literal addresses never reach the resolver, so they are checked here.
    match literal {
        Some(address) if !rule.permits(address) => Err(OutboundError::AddressRefused(rule)),
        _ => Ok((url, rule)),
    }
}

fn is_loopback_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => AddressRule::LoopbackOnly.permits(address.into()),
        Some(Host::Ipv6(address)) => AddressRule::LoopbackOnly.permits(address.into()),
        None => false,
    }
}

async fn read(
    client: &Client,
    url: Url,
    rule: AddressRule,
    max_bytes: usize,
) -> Result<Fetched, OutboundError> {
    let failed = |error: reqwest::Error| match find_refusal(&error) {
        true => OutboundError::AddressRefused(rule),
        false => OutboundError::Unreachable(innermost(&error)),
    };
    let mut response = client.get(url).send().await.map_err(failed)?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > max_bytes {
            return Err(OutboundError::TooLarge(max_bytes));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Fetched { status, body })
}

/// TLS on ring with the platform's root certificates. Passed to the client explicitly, because a process-wide default is shared by
/// all brokers of the process.
fn tls_config() -> Result<rustls::ClientConfig, OutboundError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = || {
        rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| OutboundError::Setup(error.to_string()))
    };
    match builder()?.with_platform_verifier() {
        Ok(config) => Ok(config.with_no_client_auth()),
        Err(error) => {
            // Not an error: a broker whose issuers have local keys needs no roots.
            tracing::warn!(%error, "no root certificates found, https calls fail");
            Ok(builder()?
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth())
        }
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let current = next?;
        next = current.source();
        Some(current)
    })
}

fn find_refusal(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|cause| cause.is::<Refused>())
}

/// The innermost cause. The outer errors of the client contain the URL.
fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}
