//! HEAD of a sealed copy: everything that `policy` compares, and only what the bucket answered.

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{ChecksumMode, ChecksumType, ServerSideEncryption};

use super::{Store, StoreError};
use crate::domain::checksum::{Checksum, ChecksumAlgorithm};
use crate::domain::object_key::FinalKey;
use crate::policy::evidence::Observed;
use crate::storage::error::answer;

const OPERATION: &str = "head-object";
/// The most smuggled headers that are reported.
const MOST_SMUGGLED: usize = 20;

/// An object's size and ETag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeAndEtag {
    /// The size, in bytes.
    pub size: u64,
    /// The ETag, opaque, without quotes.
    pub etag: String,
}

impl Store {
    /// The headers of a sealed copy. A 404 is an error like a 500, because a store may show a new object late.
    pub async fn inspect(&self, key: &FinalKey) -> Result<Observed, StoreError> {
        self.guard_final(OPERATION, key)?;
        self.measured(OPERATION, self.head(key)).await
    }

    async fn head(&self, key: &FinalKey) -> Result<Observed, StoreError> {
        let output = self
            .client
            .head_object()
            .bucket(&self.options.bucket)
            .key(key.as_str())
            .checksum_mode(ChecksumMode::Enabled)
            .set_expected_bucket_owner(self.options.expected_bucket_owner.clone())
            .send()
            .await
            .map_err(|error| StoreError::from_sdk(OPERATION, &error))?;
        observe(key, &output).map_err(|code| StoreError::of(OPERATION, code))
    }

    /// An object's size and ETag; `None` only if the bucket answers 404.
    pub async fn size_and_etag(&self, key: &FinalKey) -> Result<Option<SizeAndEtag>, StoreError> {
        self.guard_final(OPERATION, key)?;
        self.measured(OPERATION, self.find(key)).await
    }

    async fn find(&self, key: &FinalKey) -> Result<Option<SizeAndEtag>, StoreError> {
        let sent = self
            .client
            .head_object()
            .bucket(&self.options.bucket)
            .key(key.as_str())
            .set_expected_bucket_owner(self.options.expected_bucket_owner.clone())
            .send()
            .await;
        let output = match sent {
            Ok(output) => output,
            Err(error) if answer(&error).is_some_and(|(status, _)| status == 404) => {
                return Ok(None);
            }
            Err(error) => return Err(StoreError::from_sdk(OPERATION, &error)),
        };
        let incomplete = || StoreError::of(OPERATION, "incomplete");
        let size = output.content_length().ok_or_else(incomplete)?;
        let etag = output.e_tag().ok_or_else(incomplete)?;
        Ok(Some(SizeAndEtag {
            size: u64::try_from(size).map_err(|_| incomplete())?,
            etag: unquote(etag).to_owned(),
        }))
    }
}

fn observe(key: &FinalKey, output: &HeadObjectOutput) -> Result<Observed, &'static str> {
    // A missing length is an error and not zero: zero would pass every size check.
    let size = output.content_length().ok_or("no-content-length")?;
    let tag = output.e_tag().ok_or("no-etag")?;
    let etag = unquote(tag);
    if etag.is_empty() {
        return Err("no-etag");
    }
    Ok(Observed {
        key: key.clone(),
        size: u64::try_from(size).map_err(|_| "bad-content-length")?,
        content_type: output.content_type().map(str::to_owned),
        content_disposition: output.content_disposition().map(str::to_owned),
        cache_control: output.cache_control().map(str::to_owned),
        etag: etag.to_owned(),
        etag_is_md5: !tag.starts_with("W/") && !is_masked(output) && is_md5(etag),
        checksums: checksums(output),
        smuggled: smuggled(output),
    })
}

/// An ETag without its quotes.
pub(super) fn unquote(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"')
}

fn is_md5(etag: &str) -> bool {
    etag.len() == 32 && etag.chars().all(|c| c.is_ascii_hexdigit())
}

/// Encryption with KMS or customer keys makes an ETag that looks like an MD5 but is not one.
fn is_masked(output: &HeadObjectOutput) -> bool {
    let plain = matches!(
        output.server_side_encryption(),
        None | Some(ServerSideEncryption::Aes256)
    );
    !plain || output.ssekms_key_id().is_some() || output.sse_customer_algorithm().is_some()
}

/// The checksums of the whole object. Composite ones (of parts) and ones of the wrong length are ignored.
fn checksums(output: &HeadObjectOutput) -> Vec<Checksum> {
    if output.checksum_type() == Some(&ChecksumType::Composite) {
        return Vec::new();
    }
    let found = [
        (ChecksumAlgorithm::Sha256, output.checksum_sha256()),
        (ChecksumAlgorithm::Crc32, output.checksum_crc32()),
        (ChecksumAlgorithm::Crc32c, output.checksum_crc32_c()),
        (ChecksumAlgorithm::Crc64Nvme, output.checksum_crc64_nvme()),
    ];
    found
        .into_iter()
        .filter_map(|(algorithm, value)| Checksum::new(algorithm, value?).ok())
        .collect()
}

/// Headers that only a client can have set, because the copy sets none of them. Storage class and retention mode are not included: the
/// bucket's defaults may set them. A content encoding counts whatever its value: `aws-chunked` means framed bytes.
fn smuggled(output: &HeadObjectOutput) -> Vec<(String, String)> {
    let named = [
        ("content-encoding", output.content_encoding()),
        ("content-language", output.content_language()),
        ("expires", output.expires_string()),
        (
            "x-amz-website-redirect-location",
            output.website_redirect_location(),
        ),
        (
            "x-amz-object-lock-legal-hold",
            output
                .object_lock_legal_hold_status()
                .map(|status| status.as_str())
                .filter(|&status| status != "OFF"),
        ),
        (
            "x-amz-server-side-encryption-customer-algorithm",
            output.sse_customer_algorithm(),
        ),
    ];
    let counted = [
        ("x-amz-tagging-count", output.tag_count()),
        ("x-amz-missing-meta", output.missing_meta()),
    ];
    let mut meta: Vec<(String, String)> = output
        .metadata()
        .into_iter()
        .flatten()
        .map(|(name, value)| (format!("x-amz-meta-{name}"), value.clone()))
        .collect();
    meta.sort();
    named
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .chain(counted.into_iter().filter_map(|(name, count)| {
            let count = count.filter(|&count| count > 0)?;
            Some((name.to_owned(), count.to_string()))
        }))
        .chain(meta)
        .take(MOST_SMUGGLED)
        .collect()
}
