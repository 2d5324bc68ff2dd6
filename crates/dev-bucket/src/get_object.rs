//! GetObject and HeadObject: conditions, ranges, stored headers, stored checksums.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, stream};
use http::StatusCode;
use s3s::dto::{
    ChecksumMode, ChecksumType, ETag, GetObjectInput, GetObjectOutput, HeadObjectInput,
    HeadObjectOutput, Range as RangeHeader, StreamingBlob,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::checksum::{Checksum, answer_checksum};
use super::conditions::ReadCondition;
use super::index::objects::ObjectRow;
use super::logging::internal;
use super::operations::{Bucket, require_key};
use super::stored_headers::{StoredHeaders, answer_headers, timestamp};

/// The most bytes of one read on a blocking thread.
const READ_BYTES: u64 = 256 * 1024;

/// The most attempts to open an object that is being overwritten.
const OPEN_ATTEMPTS: usize = 8;

impl Bucket {
    pub(super) async fn get(&self, input: GetObjectInput) -> S3Result<S3Response<GetObjectOutput>> {
        refuse_part(input.part_number)?;
        let condition = ReadCondition {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        let (row, file) = self.open(input.bucket, input.key).await?;
        condition.check_read(&row.etag, row.modified_ms)?;
        let size = u64::try_from(row.size).unwrap_or(0);
        let range = byte_range(input.range, size)?;
        let bytes = range.clone().unwrap_or(0..size);
        let mut output = GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(bytes.end - bytes.start).ok(),
            content_range: range.as_ref().map(|range| content_range(range, size)),
            body: Some(StreamingBlob::wrap(chunks(file, bytes))),
            e_tag: Some(ETag::Strong(row.etag)),
            last_modified: Some(timestamp(row.modified_ms)),
            ..GetObjectOutput::default()
        };
        answer_headers!(output, StoredHeaders::from_json(&row.headers)?);
        // The stored checksum is that of the whole object.
        if range.is_none() && enabled(input.checksum_mode.as_ref()) {
            let checksum = Checksum::from_json(row.checksum.as_deref())?;
            answer_checksum!(output, checksum.as_ref());
            output.checksum_type = checksum_type(checksum.as_ref());
        }
        Ok(S3Response::new(output))
    }

    pub(super) async fn head(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        refuse_part(input.part_number)?;
        let condition = ReadCondition {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        require_key(&input.key)?;
        let (bucket, key) = (input.bucket, input.key);
        let row = self
            .with_index(move |index| index.object(&bucket, &key))
            .await?;
        condition.check_read(&row.etag, row.modified_ms)?;
        let size = u64::try_from(row.size).unwrap_or(0);
        let range = byte_range(input.range, size)?;
        let bytes = range.clone().unwrap_or(0..size);
        let mut output = HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(bytes.end - bytes.start).ok(),
            content_range: range.as_ref().map(|range| content_range(range, size)),
            e_tag: Some(ETag::Strong(row.etag)),
            last_modified: Some(timestamp(row.modified_ms)),
            ..HeadObjectOutput::default()
        };
        answer_headers!(output, StoredHeaders::from_json(&row.headers)?);
        if range.is_none() && enabled(input.checksum_mode.as_ref()) {
            let checksum = Checksum::from_json(row.checksum.as_deref())?;
            answer_checksum!(output, checksum.as_ref());
            output.checksum_type = checksum_type(checksum.as_ref());
        }
        // A presigned HEAD may override the same headers as a GET, but s3s supports that for GET only.
        if let Some(value) = input.response_content_type {
            output.content_type = Some(value);
        }
        if let Some(value) = input.response_content_disposition {
            output.content_disposition = Some(value);
        }
        let mut response = S3Response::new(output);
        response.status = range.map(|_| StatusCode::PARTIAL_CONTENT);
        Ok(response)
    }

    /// The row and its open file, which stays readable if the object is overwritten or removed.
    pub(super) async fn open(&self, bucket: String, key: String) -> S3Result<(ObjectRow, File)> {
        require_key(&key)?;
        let blobs = Arc::clone(&self.blobs);
        self.with_index(move |index| {
            for _ in 0..OPEN_ATTEMPTS {
                let row = index.object(&bucket, &key)?;
                match blobs.read(&row.blob) {
                    Ok(file) => return Ok((row, file)),
                    // The object was overwritten after its row was read.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(internal(error).into()),
                }
            }
            Err(s3_error!(SlowDown, "the object is being overwritten: retry").into())
        })
        .await
    }
}

fn refuse_part(part_number: Option<i32>) -> S3Result<()> {
    match part_number {
        None => Ok(()),
        Some(_) => Err(s3_error!(
            NotImplemented,
            "reading a single part is not supported: use a range"
        )),
    }
}

fn enabled(mode: Option<&ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED)
}

fn checksum_type(checksum: Option<&Checksum>) -> Option<ChecksumType> {
    super::checksum::fields(checksum).checksum_type
}

fn byte_range(range: Option<RangeHeader>, size: u64) -> S3Result<Option<Range<u64>>> {
    let Some(range) = range else { return Ok(None) };
    match range.check(size) {
        Ok(range) if !range.is_empty() => Ok(Some(range)),
        _ => {
            let mut error = s3_error!(InvalidRange, "the range is outside of the object");
            let mut headers = http::HeaderMap::new();
            if let Ok(value) = format!("bytes */{size}").parse() {
                headers.insert(http::header::CONTENT_RANGE, value);
            }
            headers.insert(
                http::header::CONTENT_TYPE,
                http::HeaderValue::from_static("application/xml"),
            );
            error.set_headers(headers);
            Err(error)
        }
    }
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}

fn chunks(file: File, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> {
    let file = Arc::new(file);
    stream::try_unfold(range, move |range| {
        let file = Arc::clone(&file);
        async move {
            if range.is_empty() {
                return Ok(None);
            }
            let length = READ_BYTES.min(range.end - range.start);
            let next = range.start + length..range.end;
            let chunk = tokio::task::spawn_blocking(move || {
                let mut buffer = vec![0; usize::try_from(length).unwrap_or_default()];
                file.read_exact_at(&mut buffer, range.start)?;
                Ok::<_, io::Error>(Bytes::from(buffer))
            })
            .await
            .map_err(io::Error::other)??;
            Ok(Some((chunk, next)))
        }
    })
}
