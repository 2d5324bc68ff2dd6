//! What the room needs to know; the composition root fills it from the configuration.

use secrecy::SecretString;
use url::Url;

use crate::domain::object_key::Layout;

/// Where credentials come from.
#[derive(Debug, Clone)]
pub enum CredentialSource {
    /// aws-config's default chain: environment, profile, web identity, container, instance metadata.
    Chain,
    /// Fixed keys from the configuration; they never end.
    Static {
        /// The access key's id.
        access_key_id: String,
        /// The secret access key.
        secret: SecretString,
        /// The session token, for keys that came from STS.
        session_token: Option<SecretString>,
    },
}

/// Which bucket, how to reach it, and how long to wait for it.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The bucket's name.
    pub bucket: String,
    /// The region that is signed for.
    pub region: String,
    /// Where the broker calls; `None` is AWS.
    pub endpoint: Option<Url>,
    /// Where browsers call, and what is signed for; `None` is the same as `endpoint`.
    pub public_endpoint: Option<Url>,
    /// `host/bucket/key` in place of `bucket.host/key`.
    pub path_style: bool,
    /// Who calls the bucket.
    pub credentials: CredentialSource,
    /// Who signs uploads: somebody who may only PutObject below the staging prefix; downloads are signed by `credentials`.
    /// `None` is the same as `credentials`.
    pub signer_credentials: Option<CredentialSource>,
    /// The longest lifetime of a URL of any field, in seconds: credentials are renewed this long before their end.
    pub longest_url_lifetime_secs: u32,
    /// The base of public objects' URLs (a CDN); `None` is the public endpoint and the bucket.
    pub public_base_url: Option<Url>,
    /// How long one attempt may take, in milliseconds.
    pub attempt_timeout_ms: u64,
    /// How long an operation may take with its retries, in milliseconds.
    pub operation_timeout_ms: u64,
    /// How long a copy or a read may take besides its bytes, in milliseconds.
    pub copy_base_ms: u64,
    /// How fast the store copies or is read at the least, in bytes a second.
    pub copy_bytes_per_sec: u64,
    /// The prefixes that Bytepass manages; nothing outside them is ever signed, written or removed.
    pub layout: Layout,
    /// The account that must own the bucket, where the store knows accounts. Sent with every call; not in presigned
    /// requests, where a client would have to send it too.
    pub expected_bucket_owner: Option<String>,
}

/// Why the bucket can't be used at all. Each is one clear line; none holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum StoreSetupError {
    /// No source gave credentials.
    #[error("no credentials for the bucket {bucket}: {reason}")]
    Credentials {
        /// The bucket.
        bucket: String,
        /// What the sources said.
        reason: String,
    },
    /// Bucket, region and endpoint make no address.
    #[error("the bucket {bucket} can't be addressed: {reason}")]
    Address {
        /// The bucket.
        bucket: String,
        /// What is wrong with it.
        reason: String,
    },
}
