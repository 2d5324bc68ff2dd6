//! What addresses are allowed, for every section that takes one.

use std::net::Ipv4Addr;

use url::{Host, Url};

/// Which schemes a URL may have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Http {
    /// https anywhere, http too.
    Allowed,
    /// https anywhere, http on the machine itself only.
    OnLoopback,
}

/// What may follow the host.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    /// A path, without query or fragment.
    Allowed,
    /// Nothing.
    None,
}

/// Parses an absolute http(s) URL without credentials, query and fragment.
pub(super) fn parse_url(text: &str, http: Http, path: Path) -> Result<Url, String> {
    let allowed = match (http, path) {
        (_, Path::None) => "must be a URL like https://host or https://host:port, and nothing more",
        _ => "must be a URL like https://host/path, without user, query and fragment",
    };
    let url = Url::parse(text).map_err(|error| format!("{allowed} ({error})"))?;
    let bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !matches!(url.scheme(), "https" | "http") || !bare {
        return Err(allowed.to_owned());
    }
    if path == Path::None && url.path() != "/" {
        return Err(allowed.to_owned());
    }
    if http == Http::OnLoopback && url.scheme() == "http" && !is_loopback(&url) {
        return Err("must be https (http only on a loopback address)".to_owned());
    }
    Ok(url)
}

/// What stands between `://` and the path, for URLs of databases, which may name several hosts or none.
pub(super) struct Authority {
    /// Whether there is a host.
    pub has_host: bool,
    /// Whether the user and the password are percent-encoded, so that it is certain where they end.
    pub is_encoded: bool,
}

impl Authority {
    /// `None` where parsers could disagree on it: no scheme, no host before a port, a port that is no number, a fragment.
    pub fn of(text: &str) -> Option<Authority> {
        let (scheme, rest) = text.split_once("://")?;
        // Nothing before a fragment can be told from a password with a '#' in it.
        if rest.contains('#') {
            return None;
        }
        let end = |text: &str| text.find(['/', '?']).unwrap_or(text.len());
        let userinfo_end = rest.rfind('@').map_or(0, |at| at + 1);
        let hosts = &rest[userinfo_end..];
        let hosts = &hosts[..end(hosts)];
        // Postgres takes several hosts with a comma between them.
        let good =
            |host: &str| Url::parse(&format!("{scheme}://{host}")).is_ok_and(|url| url.has_host());
        if !hosts
            .split(',')
            .all(|host| good(host) || hosts.is_empty() && scheme.starts_with("postgres"))
        {
            return None;
        }
        let userinfo = &rest[..userinfo_end];
        Some(Authority {
            has_host: !hosts.is_empty(),
            is_encoded: userinfo.matches('@').count() <= 1 && end(userinfo) == userinfo.len(),
        })
    }
}

/// Whether the URL's host is the machine itself.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => {
            address.is_loopback()
                || address
                    .to_ipv4_mapped()
                    .is_some_and(|mapped: Ipv4Addr| mapped.is_loopback())
        }
        None => false,
    }
}
