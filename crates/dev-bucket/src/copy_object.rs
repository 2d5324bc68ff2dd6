//! CopyObject: a new row for the same immutable blob, written in the transaction that reads the source.

use std::io::Read as _;

use http::HeaderMap;
use s3s::dto::*;
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use super::checksum::{Algorithm, Checksum, Hashed, Hashing, answer_checksum};
use super::conditions::{ReadCondition, WriteCondition};
use super::index::objects::ObjectRow;
use super::logging::internal;
use super::operations::{Bucket, require_key};
use super::stored_headers::{StoredHeaders, headers_of, now_ms, timestamp};

/// Bytes that are hashed at a time.
const HASH_BYTES: usize = 1024 * 1024;

/// How the copy's row is made from the source's row.
struct Plan {
    bucket: String,
    key: String,
    condition: ReadCondition,
    /// `None` keeps the source's headers.
    headers: Option<StoredHeaders>,
    /// A blob and its digests, computed because the source's digests don't fit the copy.
    rehashed: Option<(String, Hashed)>,
}

impl Bucket {
    pub(super) async fn copy(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let S3Request {
            mut input, headers, ..
        } = request;
        require_key(&input.key)?;
        let source = source(&input.copy_source)?;
        let replacement = replacement(&mut input)?;
        if replacement.is_none() && source.0 == input.bucket && source.1 == input.key {
            return Err(s3_error!(
                InvalidRequest,
                "a copy onto itself must change something: use the directive REPLACE"
            ));
        }
        let algorithm = input.checksum_algorithm.as_ref();
        let algorithm = algorithm
            .map(|name| Algorithm::parse(name.as_str()))
            .transpose()?;
        let plan = Plan {
            bucket: input.bucket,
            key: input.key,
            condition: ReadCondition {
                if_match: input.copy_source_if_match,
                if_none_match: input.copy_source_if_none_match,
                if_modified_since: input.copy_source_if_modified_since,
                if_unmodified_since: input.copy_source_if_unmodified_since,
            },
            headers: replacement,
            rehashed: self.rehash(&source, algorithm).await?,
        };
        let condition = write_condition(&headers)?;
        let bucket = self.clone();
        let row = self
            .with_index(move |index| {
                let source = (source.0.as_str(), source.1.as_str());
                let (row, unreferenced) =
                    index.copy_object(source, &condition, |found| plan.apply(found))?;
                if let Some(blob) = unreferenced {
                    bucket.blobs.remove(&blob);
                }
                Ok(row)
            })
            .await?;
        let checksum = Checksum::from_json(row.checksum.as_deref())?;
        let mut result = CopyObjectResult {
            e_tag: Some(ETag::Strong(row.etag)),
            last_modified: Some(timestamp(row.modified_ms)),
            ..CopyObjectResult::default()
        };
        answer_checksum!(result, checksum.as_ref());
        result.checksum_type = super::checksum::fields(checksum.as_ref()).checksum_type;
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(result),
            ..CopyObjectOutput::default()
        }))
    }

    // The bytes are read only if the source is a multipart object, whose ETag and composite checksum don't fit a copy in one piece, or if
    // the client wants another algorithm.
    async fn rehash(
        &self,
        source: &(String, String),
        wanted: Option<Algorithm>,
    ) -> S3Result<Option<(String, Hashed)>> {
        let (bucket, key) = source.clone();
        let (row, mut file) = self.open(bucket, key).await?;
        let kept = Checksum::from_json(row.checksum.as_deref())?;
        let algorithm = wanted.or(kept.as_ref().map(|checksum| checksum.algorithm));
        let fits = !row.etag.contains('-')
            && kept.as_ref().map(|checksum| checksum.algorithm) == algorithm
            && !kept.is_some_and(|checksum| checksum.composite);
        if fits {
            return Ok(None);
        }
        let hashed = tokio::task::spawn_blocking(move || {
            let mut hashing = Hashing::new(algorithm);
            let mut buffer = vec![0; HASH_BYTES];
            loop {
                match file.read(&mut buffer)? {
                    0 => return Ok::<_, std::io::Error>(hashing.finish()),
                    length => hashing.update(&buffer[..length]),
                }
            }
        })
        .await
        .map_err(internal)?
        .map_err(internal)?;
        Ok(Some((row.blob, hashed)))
    }
}

impl Plan {
    fn apply(self, source: ObjectRow) -> S3Result<ObjectRow> {
        self.condition
            .check_source(&source.etag, source.modified_ms)?;
        let (etag, checksum) = match self.rehashed {
            None if source.etag.contains('-') => return Err(changed()),
            None => (source.etag, source.checksum),
            Some((blob, _)) if blob != source.blob => return Err(changed()),
            Some((_, hashed)) => {
                let checksum = hashed.checksum.as_ref().map(Checksum::to_json);
                (hex::encode(hashed.md5), checksum.transpose()?)
            }
        };
        Ok(ObjectRow {
            bucket: self.bucket,
            key: self.key,
            blob: source.blob,
            size: source.size,
            etag,
            modified_ms: now_ms(),
            headers: match self.headers {
                Some(headers) => headers.to_json()?,
                None => source.headers,
            },
            checksum,
        })
    }
}

fn changed() -> S3Error {
    s3_error!(
        OperationAborted,
        "the source was overwritten while it was copied: retry"
    )
}

fn source(header: &CopySource) -> S3Result<(String, String)> {
    match header {
        CopySource::Bucket {
            bucket,
            key,
            version_id: None,
        } => {
            require_key(key)?;
            Ok((bucket.to_string(), key.to_string()))
        }
        _ => Err(s3_error!(
            NotImplemented,
            "a copy's source must be bucket/key, without a version"
        )),
    }
}

fn replacement(input: &mut CopyObjectInput) -> S3Result<Option<StoredHeaders>> {
    let directive = input.metadata_directive.take();
    match directive.as_ref().map(MetadataDirective::as_str) {
        None | Some(MetadataDirective::COPY) => Ok(None),
        Some(MetadataDirective::REPLACE) => Ok(Some(headers_of!(input))),
        Some(_) => Err(s3_error!(
            InvalidArgument,
            "x-amz-metadata-directive must be COPY or REPLACE"
        )),
    }
}

// s3s reads the conditions on the source only; S3 supports If-Match and If-None-Match on the target as well.
fn write_condition(headers: &HeaderMap) -> S3Result<WriteCondition> {
    let condition = |name: &http::HeaderName| {
        headers
            .get(name)
            .map(|value| ETagCondition::parse_http_header(value.as_bytes()))
            .transpose()
            .map_err(|error| s3_error!(error, InvalidArgument, "invalid header: {name}"))
    };
    Ok(WriteCondition {
        if_match: condition(&http::header::IF_MATCH)?,
        if_none_match: condition(&http::header::IF_NONE_MATCH)?,
    })
}
