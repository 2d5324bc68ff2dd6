//! Seal: the bucket copies the staged object to a key that no client knows, with headers set by the broker.

use std::time::Instant;

use aws_sdk_s3::types::MetadataDirective;
use tracing::Instrument as _;

use super::sigv4::encode_path;
use super::{Store, StoreError, client};
use crate::domain::object_key::{FinalKey, StagingKey};
use crate::policy::evidence::SealHeaders;
use crate::storage::error::answer;
use crate::telemetry::traces;

const OPERATION: &str = "copy-object";

/// The outcome of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyAnswer {
    /// The copy exists.
    Copied,
    /// `NoSuchKey`: the object was not staged. The only answer that means absent.
    SourceMissing,
    /// Any other answer. The copy may exist, now or later: its key is never used again.
    Unknown(StoreError),
}

impl Store {
    /// Copies a staged object of `size` bytes to a fresh final key. Sends exactly one HTTP request: a retry would be a second
    /// writer of a key that must have one. Ends within the configured time for the size. No condition is sent, because a store
    /// may ignore one.
    pub async fn seal(
        &self,
        from: &StagingKey,
        to: &FinalKey,
        headers: &SealHeaders,
        size: u64,
    ) -> CopyAnswer {
        let guarded = self
            .guard_staging(OPERATION, from)
            .and_then(|()| self.guard_final(OPERATION, to));
        if let Err(error) = guarded {
            return CopyAnswer::Unknown(error);
        }
        let (begun, span) = (Instant::now(), traces::s3(OPERATION));
        let copy = self.copy(from, to, headers, size);
        let answer = copy.instrument(span.clone()).await;
        let code = match &answer {
            CopyAnswer::Copied => "ok",
            CopyAnswer::SourceMissing => "NoSuchKey",
            CopyAnswer::Unknown(error) => {
                traces::s3_failed(&span, &error.code);
                error.code.as_str()
            }
        };
        self.metrics.s3_call(OPERATION, code, begun.elapsed());
        answer
    }

    async fn copy(
        &self,
        from: &StagingKey,
        to: &FinalKey,
        headers: &SealHeaders,
        size: u64,
    ) -> CopyAnswer {
        let bucket = &self.options.bucket;
        let owner = self.options.expected_bucket_owner.clone();
        let sent = self
            .client
            .copy_object()
            .bucket(bucket)
            .key(to.as_str())
            .copy_source(format!(
                "{}/{}",
                encode_path(bucket),
                encode_path(from.as_str())
            ))
            .metadata_directive(MetadataDirective::Replace)
            .content_type(headers.content_type)
            .content_disposition(headers.content_disposition)
            .cache_control(headers.cache_control)
            .set_expected_source_bucket_owner(owner.clone())
            .set_expected_bucket_owner(owner)
            .customize()
            .config_override(client::sent_once(client::limit_for(&self.options, size)))
            .send()
            .await;
        match sent {
            // A store may answer 200 and fail later: only a result in the body means success.
            Ok(output) if output.copy_object_result().is_some() => CopyAnswer::Copied,
            Ok(_) => CopyAnswer::Unknown(StoreError::of(OPERATION, "response")),
            Err(error) if answer(&error) == Some((404, Some("NoSuchKey"))) => {
                CopyAnswer::SourceMissing
            }
            Err(error) => CopyAnswer::Unknown(StoreError::from_sdk(OPERATION, &error)),
        }
    }
}
