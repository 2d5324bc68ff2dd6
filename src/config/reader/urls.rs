//! URLs in a configuration.

use std::net::Ipv4Addr;

use url::{Host, Url};

/// The allowed schemes of a URL.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Http {
    /// https and http.
    Allowed,
    /// https, and http on loopback addresses.
    OnLoopback,
}

/// What may follow the host.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Path {
    /// A path, without query or fragment.
    Allowed,
    /// Nothing.
    None,
}

/// Parses an absolute http(s) URL without credentials, query and fragment.
pub(in crate::config) fn parse_url(text: &str, http: Http, path: Path) -> Result<Url, String> {
    let allowed = match (http, path) {
        (_, Path::None) => {
            "must be a URL such as https://host or https://host:port, without a path"
        }
        _ => "must be a URL such as https://host/path, without user, query and fragment",
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

/// The part of a database's URL between `://` and the path, which may have several hosts or none.
pub(in crate::config) struct Authority {
    /// Whether there is a host.
    pub has_host: bool,
    /// Whether the user and the password are percent-encoded, so that their end is unambiguous.
    pub is_encoded: bool,
}

impl Authority {
    /// `None` where parsers could disagree: no scheme, no host before a port, a port that is not a number, a fragment.
    pub fn of(text: &str) -> Option<Authority> {
        let (scheme, rest) = text.split_once("://")?;
        // A fragment can't be distinguished from a password that contains '#'.
        if rest.contains('#') {
            return None;
        }
        let end = |text: &str| text.find(['/', '?']).unwrap_or(text.len());
        let userinfo_end = rest.rfind('@').map_or(0, |at| at + 1);
        let hosts = &rest[userinfo_end..];
        let hosts = &hosts[..end(hosts)];
        // Postgres accepts several comma-separated hosts.
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

/// Whether the URL's host is this machine.
pub(in crate::config) fn is_loopback(url: &Url) -> bool {
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
