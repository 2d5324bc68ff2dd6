//! Receives a request's body into a draft: writes and hashes it, then compares it with the length and digests that the request declared.

use std::io::{self, Write as _};
use std::sync::Arc;

use futures::StreamExt as _;
use http::{HeaderMap, StatusCode};
use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3ErrorCode, S3Result, StdError, TrailingHeaders, s3_error};
use tokio::task::spawn_blocking;

use super::blobs::{Blobs, Draft};
use super::checksum::{self, Algorithm, Hashed, Hashing};
use super::logging::internal;

/// The size limit of an object and of a part, in bytes: 5 GiB.
pub(super) const MAX_OBJECT_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// Bytes that are buffered for one write on a blocking thread.
const WRITE_BYTES: usize = 512 * 1024;

/// What the request declares about its body.
#[derive(Default)]
pub(super) struct ExpectedBody {
    /// The length in bytes.
    pub length: Option<i64>,
    /// The `Content-MD5` header.
    pub md5: Option<String>,
    /// The checksum header.
    pub checksum: Option<(Algorithm, String)>,
    /// The algorithm whose value follows the body as a trailer.
    pub trailer: Option<Algorithm>,
    /// The trailers, readable once the body is read.
    pub trailing_headers: Option<TrailingHeaders>,
    /// The algorithm to compute when the request declares none.
    pub default_algorithm: Option<Algorithm>,
}

/// A body that is written and matches what was declared.
pub(super) struct ReceivedBody {
    /// The bytes, not yet durable.
    pub draft: Draft,
    /// Their number.
    pub size: i64,
    /// Their digests.
    pub hashed: Hashed,
}

struct Sink {
    draft: Draft,
    hashing: Hashing,
    size: u64,
}

impl ExpectedBody {
    /// The algorithm that `x-amz-trailer` announces.
    ///
    /// # Errors
    /// `InvalidRequest` for a trailer that is not a checksum.
    pub(super) fn trailer_algorithm(headers: &HeaderMap) -> S3Result<Option<Algorithm>> {
        headers
            .get("x-amz-trailer")
            .map(|value| Algorithm::of_header(value.to_str().unwrap_or_default()))
            .transpose()
    }

    fn algorithm(&self) -> Option<Algorithm> {
        let declared = self.checksum.as_ref().map(|(algorithm, _)| *algorithm);
        declared.or(self.trailer).or(self.default_algorithm)
    }

    // Runs before the body is read.
    fn check_headers(&self) -> S3Result<()> {
        if let Some((algorithm, value)) = &self.checksum {
            if self.trailer.is_some_and(|trailer| trailer != *algorithm) {
                return Err(s3_error!(
                    InvalidRequest,
                    "the trailer and the header name different algorithms"
                ));
            }
            checksum::require_well_formed(*algorithm, value)?;
        }
        if let Some(md5) = &self.md5 {
            checksum::content_md5(md5)?;
        }
        match self.length {
            Some(length) if u64::try_from(length).is_ok_and(|bytes| bytes > MAX_OBJECT_BYTES) => {
                Err(too_large())
            }
            _ => Ok(()),
        }
    }

    fn check(&self, size: u64, hashed: &Hashed) -> S3Result<()> {
        let expected = self.length.and_then(|length| u64::try_from(length).ok());
        if expected.is_some_and(|expected| expected != size) {
            return Err(s3_error!(
                IncompleteBody,
                "received {size} bytes, expected {}",
                expected.unwrap_or_default()
            ));
        }
        if let Some(md5) = &self.md5
            && checksum::content_md5(md5)? != hashed.md5
        {
            return Err(s3_error!(
                BadDigest,
                "the Content-MD5 you specified did not match what we received"
            ));
        }
        let actual = hashed.checksum.as_ref().map(|checksum| &*checksum.value);
        if let Some((algorithm, value)) = &self.checksum {
            require_equal(*algorithm, actual, Some(value))?;
        }
        if let Some(algorithm) = self.trailer {
            let value = self.trailing_headers.as_ref().and_then(|trailers| {
                trailers.read(|headers| {
                    let value = headers.get(algorithm.header())?;
                    value.to_str().ok().map(|value| value.trim().to_owned())
                })
            });
            require_equal(algorithm, actual, value.flatten().as_deref())?;
        }
        Ok(())
    }
}

fn require_equal(algorithm: Algorithm, actual: Option<&str>, value: Option<&str>) -> S3Result<()> {
    if value.is_some() && actual == value {
        return Ok(());
    }
    Err(s3_error!(
        BadDigest,
        "the {} you specified did not match the calculated checksum",
        algorithm.name()
    ))
}

/// Receives a body. A refused body leaves no file behind.
///
/// # Errors
/// `BadDigest`, `XAmzContentSHA256Mismatch`, `IncompleteBody`, `EntityTooLarge`, `InvalidDigest`, `InvalidRequest`, `RequestTimeout`.
pub(super) async fn receive(
    blobs: &Arc<Blobs>,
    body: Option<StreamingBlob>,
    expected: &ExpectedBody,
) -> S3Result<ReceivedBody> {
    expected.check_headers()?;
    let store = Arc::clone(blobs);
    let draft = spawn_blocking(move || store.draft())
        .await
        .map_err(internal)?
        .map_err(internal)?;
    let mut sink = Sink {
        draft,
        hashing: Hashing::new(expected.algorithm()),
        size: 0,
    };
    if let Some(mut body) = body {
        let mut buffer = Vec::with_capacity(WRITE_BYTES);
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| body_error(&error))?;
            buffer.extend_from_slice(&chunk);
            if buffer.len() >= WRITE_BYTES {
                (sink, buffer) = write(sink, buffer).await?;
            }
        }
        (sink, _) = write(sink, buffer).await?;
    }
    let hashed = sink.hashing.finish();
    expected.check(sink.size, &hashed)?;
    Ok(ReceivedBody {
        draft: sink.draft,
        size: i64::try_from(sink.size).unwrap_or(i64::MAX),
        hashed,
    })
}

async fn write(mut sink: Sink, mut buffer: Vec<u8>) -> S3Result<(Sink, Vec<u8>)> {
    sink.size += buffer.len() as u64;
    if sink.size > MAX_OBJECT_BYTES {
        return Err(too_large());
    }
    spawn_blocking(move || {
        sink.hashing.update(&buffer);
        sink.draft.file.write_all(&buffer)?;
        buffer.clear();
        Ok::<_, io::Error>((sink, buffer))
    })
    .await
    .map_err(internal)?
    .map_err(internal)
}

/// `EntityTooLarge`, with the limit.
pub(super) fn too_large() -> S3Error {
    s3_error!(
        EntityTooLarge,
        "an object must have at most {MAX_OBJECT_BYTES} bytes"
    )
}

// s3s reports a refused body as an error of the stream. Its type is private, so only its text tells the reasons apart.
fn body_error(error: &StdError) -> S3Error {
    let text = error.to_string();
    if text.contains("Sha256Mismatch") {
        let mut error = S3Error::with_message(
            S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()),
            "the x-amz-content-sha256 you specified did not match what we received",
        );
        error.set_status_code(StatusCode::BAD_REQUEST);
        return error;
    }
    let (code, message) = if text.contains("SignatureMismatch") {
        (
            S3ErrorCode::SignatureDoesNotMatch,
            "a chunk's signature does not match",
        )
    } else if text.contains(super::request_body::TOO_SLOW) {
        (S3ErrorCode::RequestTimeout, super::request_body::TOO_SLOW)
    } else if text.contains("FormatError") || text.contains("TooLarge") || text.contains("TooMany")
    {
        (S3ErrorCode::InvalidRequest, "the chunks are malformed")
    } else {
        (
            S3ErrorCode::IncompleteBody,
            "the body does not have the declared length",
        )
    };
    S3Error::with_message(code, message)
}
