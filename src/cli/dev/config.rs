//! The configuration of development: a data folder's own database, bucket and secrets, below whatever else is configured for `dev`,
//! and above it for who works on the folder by hand.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::config::{Config, Sources, reachable};
use crate::domain::principal::Scope;

use crate::cli::Failure;
use crate::cli::token::{AUDIENCE, BACKENDS, USERS};

use super::data::{self, DevSecrets};

const BUCKET: &str = "bytepass-dev";
const REGION: &str = "us-east-1";

/// Where the settings of `dev` on this folder come from, whose bucket is at this address.
pub(in crate::cli) fn sources(
    data_dir: &Path,
    config: Option<PathBuf>,
    secrets: &DevSecrets,
    bucket: SocketAddr,
) -> Sources {
    Sources::from_process(config).with_defaults("dev", defaults(data_dir, secrets, bucket))
}

/// The same for who works on that folder by hand: neither a file nor the environment leads to another database or bucket, because
/// a shell may be set up for those of production. What the bucket is called, a file says that `dev` is given too.
pub(in crate::cli) fn sources_by_hand(
    data_dir: &Path,
    config: Option<PathBuf>,
    secrets: &DevSecrets,
    bucket: SocketAddr,
) -> Sources {
    let (id, secret) = (&secrets.access_key_id, &secrets.secret_access_key);
    let mut own = vec![
        ("database.url", database_url(data_dir)),
        ("storage.endpoint", bucket_url(bucket)),
        ("storage.path_style", true.to_string()),
        ("storage.access_key_id", id.clone()),
        ("storage.secret_access_key", data::reveal(secret).to_owned()),
    ];
    if config.is_none() {
        own.push(("storage.bucket", BUCKET.to_owned()));
        own.push(("storage.region", REGION.to_owned()));
    }
    own.into_iter().fold(
        sources(data_dir, config, secrets, bucket),
        |sources, (key, value)| sources.with_flag("--data-dir", key, Some(value)),
    )
}

/// Refuses a folder whose name has no place in a sqlite URL, before anything is made in it.
pub(in crate::cli) fn check_data_dir(data_dir: &Path) -> Result<(), Failure> {
    let fits = |name: &str| !name.contains(['?', '#', '\0']) && !name.contains(":memory:");
    if data_dir.to_str().is_some_and(fits) {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "--data-dir {data_dir:?}: the database's URL has no way to say it; take a folder whose path is UTF-8 without '?', '#' and \":memory:\""
    )))
}

/// How clients on this machine reach the bucket.
pub(in crate::cli) fn bucket_url(bound: SocketAddr) -> String {
    format!("http://{}", reachable(bound))
}

/// Whether the bucket at this address is the one that is configured.
pub(in crate::cli) fn is_embedded(config: &Config, bucket: SocketAddr) -> bool {
    let endpoint = config.storage.endpoint.as_ref();
    endpoint.is_some_and(|url| url.origin().ascii_serialization() == bucket_url(bucket))
}

fn database_url(data_dir: &Path) -> String {
    format!("sqlite://{}", data_dir.join("bytepass.sqlite").display())
}

fn defaults(data_dir: &Path, secrets: &DevSecrets, bucket: SocketAddr) -> String {
    let issuer = |name: &str, prefix: &str, scopes: &[&str], secret: &str| json!({"name": name, "issuer": name, "audience": AUDIENCE, "owner_prefix": prefix, "scopes": scopes, "secret": secret});
    let (user, all) = (
        [Scope::UploadsWrite.as_str()],
        Scope::ALL.map(Scope::as_str),
    );
    let layer = json!({
        "server": {"admin_listen": "127.0.0.1:0", "shutdown_delay_secs": 0},
        "database": {"url": database_url(data_dir), "migrate_at_start": true},
        "storage": {
            "bucket": BUCKET,
            "region": REGION,
            "endpoint": bucket_url(bucket),
            "path_style": true,
            "access_key_id": secrets.access_key_id,
            "secret_access_key": data::reveal(&secrets.secret_access_key),
        },
        "receipts": {"keys": [{"kid": "dev", "file": data::receipts_key_path(data_dir)}]},
        "auth": {"issuers": [
            issuer(USERS, "user:", &user, data::reveal(&secrets.users)),
            issuer(BACKENDS, "service:", &all, data::reveal(&secrets.backends)),
        ]},
    });
    toml::to_string(&layer).unwrap_or_default()
}
