//! The measured broker: the real binary, with log lines at info into a file, and metrics.

use std::net::SocketAddr;
use std::path::Path;

use bytepass::auth::new_signing_key_pem;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::process::Process;
use super::tokens::{ISSUER, Tokens};
use super::{Outcome, failed};

/// The bucket's name and keys, for tests only.
pub const BUCKET: &str = "bench";
/// The access key's id.
pub const ACCESS_KEY_ID: &str = "bench-access-key";
/// The access key's secret.
pub const SECRET_ACCESS_KEY: &str = "bench-secret-key";
/// An address without a server: creating uploads sends no request to the bucket.
pub const NO_BUCKET: &str = "http://127.0.0.1:9";
/// The default number of changes in one commit.
pub const BATCH_MAX: usize = 256;

/// The parts that a broker needs.
pub struct BrokerSetup<'a> {
    /// A folder of its own.
    pub folder: &'a Path,
    /// The database's URL.
    pub database: &'a str,
    /// The bucket's endpoint.
    pub bucket: &'a str,
    /// Tokens of its callers.
    pub tokens: &'a Tokens,
    /// The largest number of changes in one commit.
    pub batch_max: usize,
    /// The limit of requests a second for each owner; 0: none.
    pub owner_requests_per_sec: u32,
}

/// Starts one.
pub fn start(ground: &BrokerSetup<'_>) -> Outcome<Process> {
    std::fs::create_dir_all(ground.folder).map_err(failed("a folder"))?;
    let file = ground.folder.join("bytepass.toml");
    let toml = toml::to_string(&settings(ground)).map_err(failed("the configuration"))?;
    std::fs::write(&file, toml).map_err(failed("the configuration"))?;
    Process::bytepass(&file, ground.folder)
}

fn settings(ground: &BrokerSetup<'_>) -> Value {
    json!({
        "server": {"listen": SocketAddr::from(([127, 0, 0, 1], 0)).to_string()},
        "database": {"url": ground.database, "batch_max": ground.batch_max},
        "storage": {
            "bucket": BUCKET, "endpoint": ground.bucket, "path_style": true,
            "access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET_ACCESS_KEY,
        },
        "receipts": {"keys": [{"kid": "bench", "pem": new_signing_key_pem().expose_secret()}]},
        // All of it comes from one address.
        "limits": {
            "requests_per_owner_per_sec": ground.owner_requests_per_sec, "requests_per_address_per_sec": 0, "connections_per_address": 0,
            "pending_uploads_per_owner": 1_000_000_000, "pending_bytes_per_owner": 1_000_000_000_000_000_000_u64,
        },
        "telemetry": {"log": "info", "log_format": "json"},
        "auth": {"issuers": [{
            "name": "shop", "issuer": ISSUER, "audience": "bytepass", "owner_prefix": "user:",
            "scopes": ["uploads:write", "ops"], "algorithm": "ES256", "public_key": ground.tokens.public_key_pem,
        }]},
    })
}
