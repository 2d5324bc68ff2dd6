//! The parsed database URL. No error message shows its password.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use crate::db::engine::error::DbSetupError;

/// A parsed database URL.
#[derive(Clone)]
pub(in crate::db) enum Location {
    /// The path of a file.
    Sqlite(PathBuf),
    /// A libpq URL with defaults added.
    Postgres(SecretString),
}

/// Parameters of a Postgres connection that the URL does not set. With them a vanished peer is detected within seconds; with the
/// defaults of libpq it takes hours.
const POSTGRES_DEFAULTS: [(&str, &str); 7] = [
    ("application_name", "bytepass"),
    ("connect_timeout", "3"),
    ("keepalives", "1"),
    ("keepalives_idle", "10"),
    ("keepalives_interval", "3"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "5000"),
];

const FORMS: &str = "use sqlite://./relative/path, sqlite:///absolute/path or postgres://user:password@host:port/database";

impl Location {
    /// Takes `sqlite://./path`, `sqlite:///path` and `postgres://…` (or `postgresql://…`).
    pub(in crate::db) fn parse(url: &SecretString) -> Result<Location, DbSetupError> {
        let url = url.expose_secret().trim();
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            "sqlite" => sqlite(url),
            "postgres" | "postgresql" => postgres(url),
            _ => Err(DbSetupError::Url(format!("unknown scheme; {FORMS}"))),
        }
    }

    /// An error if the SQLite file does not exist, because opening it would create an empty one.
    pub(in crate::db) fn must_exist(&self) -> Result<(), DbSetupError> {
        match self {
            Location::Sqlite(path) if matches!(path.try_exists(), Ok(false)) => {
                let hint = "a relative path begins at the working directory; `bytepass migrate` makes a new database";
                let line = format!("SQLite file {}: not found ({hint})", path.display());
                Err(DbSetupError::Connect(line))
            }
            _ => Ok(()),
        }
    }

    /// Replaces everything in a message of the driver that could be a secret, and joins its lines.
    pub(in crate::db) fn redact(&self, message: &str) -> String {
        let lines: Vec<&str> = message.trim().lines().map(str::trim).collect();
        let mut line = lines.join("; ");
        if let Location::Postgres(url) = self {
            for secret in secrets_of(url.expose_secret()) {
                line = line.replace(&secret, "***");
            }
        }
        line
    }
}

fn sqlite(url: &str) -> Result<Location, DbSetupError> {
    let refuse = |why: &str| Err(DbSetupError::Url(format!("{why}; {FORMS}")));
    if url.contains(":memory:") {
        return refuse(
            "a database in memory is lost at exit, and each connection would have its own",
        );
    }
    let Some(path) = url.strip_prefix("sqlite://") else {
        return refuse("a sqlite URL begins with sqlite://");
    };
    if path.is_empty() || path.ends_with('/') {
        return refuse("a sqlite URL names a file");
    }
    if path.contains(['?', '#', '\0']) {
        return refuse("a sqlite URL has no options");
    }
    // "./" keeps SQLite from reading a relative name such as "file:x" as a URI with options of its own.
    let relative = !path.starts_with(['/', '.']);
    let path = if relative {
        format!("./{path}")
    } else {
        path.to_owned()
    };
    Ok(Location::Sqlite(PathBuf::from(path)))
}

fn postgres(url: &str) -> Result<Location, DbSetupError> {
    let refuse = |why: &str| Err(DbSetupError::Url(why.to_owned()));
    let Some((_, rest)) = url.split_once("://") else {
        return refuse("a Postgres URL begins with postgres://");
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // A second '@', or one after the host, means an unescaped password: libpq would read a part of it as the host or the port, and show
    // it in its message.
    if rest.matches('@').count() != authority.matches('@').count()
        || authority.matches('@').count() > 1
    {
        return refuse(
            "percent-encode '@', '/', '?', '#' and '%' in the user name and the password",
        );
    }
    if url.contains(char::is_whitespace) || url.contains('#') || !percent_encoding_holds(url) {
        return refuse("percent-encode spaces, '#' and '%'");
    }
    let mut full = url.trim_end_matches(['?', '&']).to_owned();
    let given: Vec<&str> = parameters(url).map(|(key, _)| key).collect();
    for (key, value) in POSTGRES_DEFAULTS {
        if !given.contains(&key) {
            full.push(if full.contains('?') { '&' } else { '?' });
            full.push_str(&format!("{key}={value}"));
        }
    }
    Ok(Location::Postgres(full.into()))
}

fn percent_encoding_holds(url: &str) -> bool {
    url.split('%')
        .skip(1)
        .all(|after| after.len() >= 2 && after.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
}

fn parameters(url: &str) -> impl Iterator<Item = (&str, &str)> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    query.split('&').filter_map(|pair| pair.split_once('='))
}

/// The password, percent-encoded and decoded, from the authority or a parameter; longest first.
fn secrets_of(url: &str) -> Vec<String> {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let in_authority = rest
        .split_once('@')
        .and_then(|(user, _)| user.split_once(':'))
        .map(|(_, password)| password);
    let as_parameter = parameters(url)
        .filter(|(key, _)| key.contains("password"))
        .map(|(_, value)| value);
    let mut secrets: Vec<String> = vec![url.to_owned()];
    for raw in in_authority.into_iter().chain(as_parameter) {
        let decoded = percent_encoding::percent_decode_str(raw).decode_utf8_lossy();
        secrets.extend([raw.to_owned(), decoded.into_owned()]);
    }
    secrets.retain(|secret| !secret.is_empty());
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets
}
