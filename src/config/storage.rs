//! `[storage]`: the bucket, its credentials and its guarantees.

use std::fmt;

use secrecy::SecretString;
use url::Url;

use crate::domain::object_key::{Layout, check_prefix};
use crate::policy::admission::ChecksumProof;

use super::reader::section::Section;
use super::reader::urls::{Http, Path, is_loopback, parse_url};
use super::reader::value::Show;

/// `[storage]`.
#[derive(Debug, Clone)]
pub struct Storage {
    /// The bucket. Empty if not configured; `serve` needs it.
    pub bucket: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The URL of the S3 API for the broker; `None` means AWS.
    pub endpoint: Option<Url>,
    /// The URL of the S3 API for browsers, used in presigned URLs; `None` means `endpoint`.
    pub public_endpoint: Option<Url>,
    /// Whether the bucket is in the path rather than in the host name.
    pub path_style: bool,
    /// The static key pair; `None` means aws-config's credential chain.
    pub credentials: Option<AccessKey>,
    /// The key pair that signs uploads; `None` means `credentials`.
    pub signer_credentials: Option<AccessKey>,
    /// The base URL of public objects, such as a CDN's; `None` means the public endpoint and the bucket.
    pub public_base_url: Option<Url>,
    /// The prefixes: of confirmed objects (may be empty), and of what clients upload.
    pub layout: Layout,
    /// Whether the store verifies the checksum that it reports for an object.
    pub trusts_checksums: bool,
    /// Whether the broker may read and hash a sealed copy if the store does not.
    pub read_to_prove: bool,
    /// The AWS account that must own the bucket, 12 digits.
    pub expected_bucket_owner: Option<String>,
    /// The time limit of one request to the bucket, in milliseconds.
    pub attempt_timeout_ms: u64,
    /// The time limit of a call with its retries, in milliseconds.
    pub operation_timeout_ms: u64,
    /// The time limit of a copy apart from its bytes, in milliseconds.
    pub copy_base_ms: u64,
    /// The least speed of a copy, in bytes per second.
    pub copy_bytes_per_sec: u64,
}

/// A static key pair. `Debug` shows neither part.
#[derive(Clone)]
pub struct AccessKey {
    /// The access key id.
    pub id: String,
    /// The secret access key.
    pub secret: SecretString,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKey(…)")
    }
}

impl Storage {
    pub(super) fn read(section: &mut Section) -> Option<Storage> {
        let bucket = section.optional("bucket", Show::Plain, bucket);
        let region = section.text("region", Show::Plain, region);
        let endpoint = section.optional("endpoint", Show::Url, endpoint_url);
        let public_endpoint = section.optional("public_endpoint", Show::Url, endpoint_url);
        let insecure = section.boolean("allow_insecure_endpoint");
        let path_style = section.boolean("path_style");
        let credentials = key_pair(section, "access_key_id", "secret_access_key");
        let signer = key_pair(section, "signer_access_key_id", "signer_secret_access_key");
        let public_base_url = section.optional("public_base_url", Show::Url, |text| {
            parse_url(text, Http::Allowed, Path::Allowed)
        });
        let layout = Self::read_layout(section);
        let proofs = [("trusted", true), ("none", false)];
        let trusts_checksums = section.choice("checksum_proof", &proofs);
        let read_to_prove = section.boolean("read_to_prove");
        let owner = section.optional("expected_bucket_owner", Show::Plain, account);
        let limits = Self::read_limits(section);
        if insecure == Some(false) {
            refuse_insecure(section, "endpoint", &endpoint);
            refuse_insecure(section, "public_endpoint", &public_endpoint);
            refuse_insecure(section, "public_base_url", &public_base_url);
        }
        let [
            attempt_timeout_ms,
            operation_timeout_ms,
            copy_base_ms,
            copy_bytes_per_sec,
        ] = limits?;
        Some(Storage {
            bucket: bucket?.unwrap_or_default(),
            region: region?,
            endpoint: endpoint?,
            public_endpoint: public_endpoint?,
            path_style: path_style?,
            credentials: credentials?,
            signer_credentials: signer?,
            public_base_url: public_base_url?,
            layout: layout?,
            trusts_checksums: trusts_checksums?,
            read_to_prove: read_to_prove?,
            expected_bucket_owner: owner?,
            attempt_timeout_ms,
            operation_timeout_ms,
            copy_base_ms,
            copy_bytes_per_sec,
        })
    }

    /// How declared checksums are verified.
    pub fn checksum_proof(&self) -> ChecksumProof {
        match (self.trusts_checksums, self.read_to_prove) {
            (true, _) => ChecksumProof::Trusted,
            (false, true) => ChecksumProof::Reading,
            (false, false) => ChecksumProof::None,
        }
    }

    fn read_layout(section: &mut Section) -> Option<Layout> {
        let location = section.optional("location", Show::Plain, prefix);
        let staging = section.text("staging_prefix", Show::Plain, prefix);
        let (location, staging_prefix) = (location?.unwrap_or_default(), staging?);
        // Without a location, the fields' prefixes are compared with the staging prefix instead.
        if !location.is_empty() && overlap(&location, &staging_prefix) {
            let problem = format!(
                "must not be under storage.location \"{location}\", nor the location under it"
            );
            section.refuse("staging_prefix", problem);
            return None;
        }
        Some(Layout {
            location,
            staging_prefix,
        })
    }

    fn read_limits(section: &mut Section) -> Option<[u64; 4]> {
        let attempt = section.integer("attempt_timeout_ms", 100..=60_000);
        let operation = section.integer("operation_timeout_ms", 100..=120_000);
        let base = section.integer("copy_base_ms", 500..=600_000);
        let rate = section.integer("copy_bytes_per_sec", 1_000_000..=100_000_000_000);
        if operation < attempt && operation.is_some() {
            let problem = "must not be less than storage.attempt_timeout_ms";
            section.refuse("operation_timeout_ms", problem);
        }
        Some([attempt?, operation?, base?, rate?])
    }
}

/// Whether one prefix is under the other.
pub(super) fn overlap(left: &str, right: &str) -> bool {
    left.starts_with(right) || right.starts_with(left)
}

fn key_pair(
    section: &mut Section,
    id_key: &'static str,
    secret_key: &'static str,
) -> Option<Option<AccessKey>> {
    let id = section.optional(id_key, Show::Masked, |text| Ok(text.to_owned()));
    let secret = section.secret(secret_key);
    match (id?, secret?) {
        (Some(id), Some(secret)) => Some(Some(AccessKey { id, secret })),
        (None, None) => Some(None),
        (Some(_), None) => {
            let problem = format!("must be set too, because {} is", section.key(id_key));
            section.refuse(secret_key, problem);
            None
        }
        (None, Some(_)) => {
            let problem = format!("must be set too, because {} is", section.key(secret_key));
            section.refuse(id_key, problem);
            None
        }
    }
}

/// Without TLS, data can be changed on the network and presigned URLs can be read and used.
fn refuse_insecure(section: &mut Section, key: &'static str, url: &Option<Option<Url>>) {
    let Some(Some(url)) = url else { return };
    if url.scheme() == "http" && !is_loopback(url) {
        let problem = "must be https (http only on a loopback address, or with \
                       storage.allow_insecure_endpoint = true inside a network that you trust)";
        section.refuse(key, problem);
    }
}

fn endpoint_url(text: &str) -> Result<Url, String> {
    parse_url(text, Http::Allowed, Path::None)
}

fn prefix(text: &str) -> Result<String, String> {
    check_prefix(text).map_err(|error| format!("{error}; such as \"media/\""))?;
    Ok(text.to_owned())
}

fn bucket(text: &str) -> Result<String, String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = (3..=63).contains(&text.len())
        && text.chars().all(|c| inner(c) || c == '-' || c == '.')
        && text.starts_with(inner)
        && text.ends_with(inner);
    fits.then(|| text.to_owned()).ok_or_else(|| {
        "must be a bucket name: 3 to 63 of a-z, 0-9, '-' and '.', with a letter or a digit at both ends"
            .to_owned()
    })
}

fn region(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let fits = (1..=64).contains(&text.len()) && text.chars().all(allowed);
    fits.then(|| text.to_owned())
        .ok_or_else(|| "must be a region, such as \"eu-central-1\"".to_owned())
}

fn account(text: &str) -> Result<String, String> {
    let fits = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.to_owned())
        .ok_or_else(|| "must be an AWS account id: a string of 12 digits".to_owned())
}
