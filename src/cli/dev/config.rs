//! The configuration of a data folder: its database, bucket and secrets. For `dev` they are defaults that file and environment override;
//! for offline commands they override file and environment.

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

/// The sources of the configuration of `dev` on this folder, with its bucket at this address.
pub(in crate::cli) fn sources(
    data_dir: &Path,
    config: Option<PathBuf>,
    secrets: &DevSecrets,
    bucket: SocketAddr,
) -> Sources {
    Sources::from_process(config).with_defaults("dev", defaults(data_dir, secrets, bucket))
}

/// The same for offline commands on the folder. File and environment can't name another database or bucket, because the shell may be set
/// up for production. The bucket's name comes from the file that `dev` was started with, if any.
pub(in crate::cli) fn offline_sources(
    data_dir: &Path,
    config: Option<PathBuf>,
    secrets: &DevSecrets,
    bucket: SocketAddr,
) -> Sources {
    let (id, secret) = (&secrets.access_key_id, &secrets.secret_access_key);
    let mut overrides = vec![
        ("database.url", database_url(data_dir)),
        ("storage.endpoint", bucket_url(bucket)),
        ("storage.path_style", true.to_string()),
        ("storage.access_key_id", id.clone()),
        ("storage.secret_access_key", data::reveal(secret).to_owned()),
    ];
    if config.is_none() {
        overrides.push(("storage.bucket", BUCKET.to_owned()));
        overrides.push(("storage.region", REGION.to_owned()));
    }
    overrides.into_iter().fold(
        sources(data_dir, config, secrets, bucket),
        |sources, (key, value)| sources.with_flag("--data-dir", key, Some(value)),
    )
}

/// Refuses a folder whose name can't be written in a sqlite URL, before anything is created in it.
pub(in crate::cli) fn check_data_dir(data_dir: &Path) -> Result<(), Failure> {
    let fits = |name: &str| !name.contains(['?', '#', '\0']) && !name.contains(":memory:");
    if data_dir.to_str().is_some_and(fits) {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "--data-dir {data_dir:?}: the path must be UTF-8 without '?', '#' and \":memory:\", because the database's URL contains it"
    )))
}

/// The bucket's URL for clients on this machine.
pub(in crate::cli) fn bucket_url(bound: SocketAddr) -> String {
    format!("http://{}", reachable(bound))
}

/// Whether the configured bucket is the one at this address.
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
