//! The one guarded HTTP client for calls that leave the broker. `auth` fetches key sets with it, `webhooks` sends.
//!
//! It exists so that the rules for calling others are in one place: https only (plain http to this machine, or a private
//! network where that is allowed), no redirects,
//! no proxy from the environment, one deadline for the whole call, and a cap on the response that holds while it is read.
//! It guarantees that a connection goes only to an address that the caller's [`AddressRule`] allows: names are resolved
//! once, every answer is checked, and the connection is made to the checked address, so a second DNS answer can't slip in.

mod address;
mod post;
#[cfg(test)]
mod public_tests;
mod resolver;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;

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
    /// The most response body that is read, in bytes; one byte more is [`OutboundError::TooLarge`].
    pub max_bytes: usize,
    /// The time for all of it: name, connection, TLS, answer, body.
    pub deadline: Duration,
}

/// An answer: whatever its status, the caller judges it. A redirect is an answer like any other.
#[derive(Debug)]
pub struct Fetched {
    /// The HTTP status.
    pub status: u16,
    /// The whole body, at most [`Limits::max_bytes`].
    pub body: Vec<u8>,
}

/// Why a call gave no answer. No variant carries the URL or any part of the response.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The URL is one that this client never calls; the text says what is allowed.
    #[error("{0}")]
    BadUrl(&'static str),
    /// The host is, or resolves to, an address that the rule refuses.
    #[error("the host has an address that may not be called ({0})")]
    AddressRefused(AddressRule),
    /// The deadline passed.
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The body is longer than the caller wants.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
    /// The name, the connection, TLS or HTTP failed; the text is the innermost cause.
    #[error("the call failed: {0}")]
    Unreachable(String),
    /// The client could not be made, which only a broken TLS set-up can cause.
    #[error("the HTTP client could not be set up: {0}")]
    Setup(String),
}

/// The client. Cloning is cheap; clones share everything.
#[derive(Debug, Clone)]
pub struct Outbound {
    // The rule sits in a client's resolver, so there is one client a rule.
    clients: Arc<[(AddressRule, Client)]>,
}

impl Outbound {
    /// A client that asks the system's resolver. Errors only when the client itself can't be made; a machine without root
    /// certificates gets a warning and a client whose https calls fail.
    pub fn new() -> Result<Outbound, OutboundError> {
        Outbound::with_lookup(Arc::new(system_lookup))
    }

    /// The same with another source of addresses.
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
                // Every call resolves and checks anew, and no connection outlives the runtime that opened it.
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

    /// Gets a URL. `rule` says which addresses may be called; plain http is narrowed to loopback whatever it says.
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

/// Checks a URL without calling it, for configuration: scheme, host, literal addresses. The answer is the parsed URL and
/// the rule that applies to it.
pub fn check_url(url: &str, rule: AddressRule) -> Result<(Url, AddressRule), OutboundError> {
    let url = Url::parse(url).map_err(|_| OutboundError::BadUrl("this is not an absolute URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(OutboundError::BadUrl(
            "the URL may not carry a user or password",
        ));
    }
    // `Url` has turned every way of writing an IPv4 address (0x7f.1, 2130706433) into the address itself.
    let literal = match url.host() {
        Some(Host::Ipv4(address)) => Some(address.into()),
        Some(Host::Ipv6(address)) => Some(address.into()),
        Some(Host::Domain(_)) => None,
        None => return Err(OutboundError::BadUrl("the URL has no host")),
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
    // Below 1024 other protocols live, which an HTTP request could be made to speak to.
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

/// TLS on ring with the platform's root certificates, given to the client explicitly: a process-wide default would be
/// shared by every server in the process.
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
            // A broker whose issuers all have local keys needs no roots, so this is no reason not to start.
            tracing::warn!(%error, "no root certificates found: every https call will fail");
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

/// The innermost cause: the outer layers of the client's errors print the URL.
fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}
