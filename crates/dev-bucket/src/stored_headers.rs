//! The headers that are stored with an object and returned with it, and conversions of times.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::logging::internal;
use s3s::dto::{Metadata, Timestamp, TimestampFormat};
use s3s::{S3Result, s3_error};
use serde::{Deserialize, Serialize};

/// All keys and values of the user metadata together, in bytes, as at S3.
const MAX_METADATA_BYTES: usize = 2_048;

/// S3's content type for an object that was put without one.
pub(super) const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

/// The stored headers of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct StoredHeaders {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Encoding`, without `aws-chunked`.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Expires`, as an HTTP date.
    pub expires: Option<String>,
    /// `x-amz-meta-*`, names without this prefix.
    pub metadata: BTreeMap<String, String>,
}

/// The stored headers of a request (put, post, copy and create multipart have the same fields).
macro_rules! headers_of {
    ($input:expr) => {
        $crate::stored_headers::StoredHeaders {
            content_type: $input.content_type.take(),
            cache_control: $input.cache_control.take(),
            content_disposition: $input.content_disposition.take(),
            content_encoding: $crate::stored_headers::without_aws_chunked(
                $input.content_encoding.take(),
            ),
            content_language: $input.content_language.take(),
            expires: $crate::stored_headers::http_date($input.expires.take())?,
            metadata: $crate::stored_headers::bounded($input.metadata.take())?,
        }
    };
}

/// Fills a response's headers from the stored ones (get and head have the same fields).
macro_rules! answer_headers {
    ($output:expr, $headers:expr) => {
        let headers = $headers;
        $output.content_type = headers
            .content_type
            .or_else(|| Some($crate::stored_headers::DEFAULT_CONTENT_TYPE.to_owned()));
        $output.cache_control = headers.cache_control;
        $output.content_disposition = headers.content_disposition;
        $output.content_encoding = headers.content_encoding;
        $output.content_language = headers.content_language;
        $output.expires = headers
            .expires
            .as_deref()
            .and_then($crate::stored_headers::parse_http_date);
        $output.metadata =
            (!headers.metadata.is_empty()).then(|| headers.metadata.into_iter().collect());
    };
}
pub(super) use {answer_headers, headers_of};

impl StoredHeaders {
    /// The JSON for the index.
    pub(super) fn to_json(&self) -> S3Result<String> {
        serde_json::to_string(self).map_err(internal)
    }

    /// Reads the index's JSON.
    pub(super) fn from_json(json: &str) -> S3Result<StoredHeaders> {
        serde_json::from_str(json).map_err(internal)
    }
}

/// Drops `aws-chunked`, which is an encoding of the transfer and not of the object.
pub(super) fn without_aws_chunked(encoding: Option<String>) -> Option<String> {
    let encoding = encoding?;
    let kept: Vec<&str> = encoding
        .split(',')
        .map(str::trim)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

/// The user metadata, or `MetadataTooLarge`.
pub(super) fn bounded(metadata: Option<Metadata>) -> S3Result<BTreeMap<String, String>> {
    let metadata: BTreeMap<String, String> = metadata.unwrap_or_default().into_iter().collect();
    let bytes: usize = metadata.iter().map(|(k, v)| k.len() + v.len()).sum();
    if bytes > MAX_METADATA_BYTES {
        return Err(s3_error!(
            MetadataTooLarge,
            "user metadata has {bytes} bytes, at most {MAX_METADATA_BYTES} are allowed"
        ));
    }
    Ok(metadata)
}

/// The time as an HTTP date.
pub(super) fn http_date(time: Option<Timestamp>) -> S3Result<Option<String>> {
    let Some(time) = time else { return Ok(None) };
    let mut text = Vec::new();
    time.format(TimestampFormat::HttpDate, &mut text)
        .map_err(|error| s3_error!(error, InvalidArgument, "the time is out of range"))?;
    String::from_utf8(text).map(Some).map_err(internal)
}

/// The HTTP date as a time.
pub(super) fn parse_http_date(text: &str) -> Option<Timestamp> {
    Timestamp::parse(TimestampFormat::HttpDate, text).ok()
}

/// Now, in Unix milliseconds.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Unix milliseconds as a time of s3s.
pub(super) fn timestamp(unix_ms: i64) -> Timestamp {
    let since = Duration::from_millis(u64::try_from(unix_ms).unwrap_or(0));
    Timestamp::from(UNIX_EPOCH + since)
}

#[cfg(test)]
mod tests {
    use super::without_aws_chunked;

    #[test]
    fn aws_chunked_is_not_stored() {
        let stored = |text: &str| without_aws_chunked(Some(text.to_owned()));
        assert_eq!(stored("aws-chunked"), None);
        assert_eq!(stored("aws-chunked, gzip").as_deref(), Some("gzip"));
        assert_eq!(stored("br,gzip").as_deref(), Some("br,gzip"));
    }
}
