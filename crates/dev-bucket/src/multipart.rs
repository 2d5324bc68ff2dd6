//! Multipart uploads: create, upload part, list parts, list uploads, abort.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::blobs::random_name;
use super::checksum::{Algorithm, Checksum, answer_checksum, expected_checksum};
use super::index::multipart::{PartRow, UploadRow};
use super::list_objects::{encoder, page_size};
use super::operations::{Bucket, require_key};
use super::receive_body::{ExpectedBody, receive};
use super::stored_headers::{headers_of, now_ms, timestamp};

/// The greatest part number; the least is 1.
pub(super) const MAX_PARTS: i32 = 10_000;

impl Bucket {
    pub(super) async fn create_upload(
        &self,
        mut input: CreateMultipartUploadInput,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        require_key(&input.key)?;
        let algorithm = input.checksum_algorithm.as_ref();
        let algorithm = algorithm
            .map(|name| Algorithm::parse(name.as_str()))
            .transpose()?;
        let composite = composite(algorithm, input.checksum_type.as_ref())?;
        let row = UploadRow {
            id: random_name(),
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            started_ms: now_ms(),
            headers: headers_of!(input).to_json()?,
            algorithm: algorithm.map(|algorithm| algorithm.name().to_owned()),
            composite,
        };
        let id = row.id.clone();
        self.with_index(move |index| index.create_upload(&row))
            .await?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: algorithm.map(|_| kind(composite)),
            ..CreateMultipartUploadOutput::default()
        }))
    }

    pub(super) async fn put_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let S3Request {
            mut input,
            headers,
            trailing_headers,
            ..
        } = request;
        require_key(&input.key)?;
        if !(1..=MAX_PARTS).contains(&input.part_number) {
            return Err(s3_error!(
                InvalidArgument,
                "a part's number must be between 1 and {MAX_PARTS}"
            ));
        }
        let (bucket, key, id) = (input.bucket, input.key, input.upload_id);
        let upload = self
            .with_index(move |index| index.upload(&bucket, &key, &id))
            .await?;
        let expected = ExpectedBody {
            length: input.content_length,
            md5: input.content_md5.take(),
            checksum: expected_checksum!(input)?,
            trailer: ExpectedBody::trailer_algorithm(&headers)?,
            trailing_headers,
            default_algorithm: algorithm_of(&upload)?,
        };
        let given = expected.checksum.as_ref().map(|(algorithm, _)| *algorithm);
        let given = given.or(expected.trailer);
        if given.is_some()
            && expected.default_algorithm.is_some()
            && given != expected.default_algorithm
        {
            return Err(s3_error!(
                InvalidRequest,
                "the upload was created with another checksum algorithm"
            ));
        }
        let received = receive(&self.blobs, input.body.take(), &expected).await?;
        let checksum = received.hashed.checksum.clone();
        let etag = hex::encode(&received.hashed.md5);
        let part = PartRow {
            upload: upload.id.clone(),
            number: input.part_number,
            blob: String::new(),
            size: received.size,
            etag: etag.clone(),
            modified_ms: now_ms(),
            checksum: checksum.as_ref().map(Checksum::to_json).transpose()?,
        };
        self.commit(received.draft, move |index, blob| {
            let part = PartRow { blob, ..part };
            Ok(index.put_part(&upload, &part)?.into_iter().collect())
        })
        .await?;
        let mut output = UploadPartOutput {
            e_tag: Some(ETag::Strong(etag)),
            ..UploadPartOutput::default()
        };
        answer_checksum!(output, checksum.as_ref());
        Ok(S3Response::new(output))
    }

    pub(super) async fn list_parts_page(
        &self,
        input: ListPartsInput,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        let size = page_size(input.max_parts)?;
        let after = input.part_number_marker.unwrap_or(0);
        let (bucket, key, id) = (
            input.bucket.clone(),
            input.key.clone(),
            input.upload_id.clone(),
        );
        let (upload, mut rows) = self
            .with_index(move |index| {
                let upload = index.upload(&bucket, &key, &id)?;
                let rows = index.parts(&id, after, i64::from(size) + 1)?;
                Ok((upload, rows))
            })
            .await?;
        let wanted = usize::try_from(size).unwrap_or(0);
        let more = rows.len() > wanted && size > 0;
        rows.truncate(wanted);
        let last = rows.last().map(|part| part.number);
        let algorithm = algorithm_of(&upload)?;
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            checksum_algorithm: algorithm
                .map(|algorithm| ChecksumAlgorithm::from_static(algorithm.name())),
            checksum_type: algorithm.map(|_| kind(upload.composite)),
            is_truncated: Some(more),
            max_parts: Some(size),
            part_number_marker: Some(after),
            next_part_number_marker: last.filter(|_| more),
            parts: Some(rows.into_iter().map(to_part).collect::<S3Result<_>>()?),
            storage_class: Some(StorageClass::from_static("STANDARD")),
            ..ListPartsOutput::default()
        }))
    }

    pub(super) async fn list_uploads_page(
        &self,
        input: ListMultipartUploadsInput,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        if input.delimiter.is_some() {
            return Err(s3_error!(
                NotImplemented,
                "a delimiter is not supported in a listing of uploads"
            ));
        }
        let size = page_size(input.max_uploads)?;
        let encode = encoder(input.encoding_type.as_ref())?;
        // A key alone means: after all uploads of this key. No id is greater than this one.
        let marker = input.key_marker.clone().map(|key| {
            let id = input.upload_id_marker.clone();
            (key, id.unwrap_or_else(|| "\u{10ffff}".to_owned()))
        });
        let prefix = input.prefix.clone().unwrap_or_default();
        let bucket = input.bucket.clone();
        let mut rows = self
            .with_index(move |index| {
                index.list_uploads(&bucket, &prefix, marker, i64::from(size) + 1)
            })
            .await?;
        let wanted = usize::try_from(size).unwrap_or(0);
        let more = rows.len() > wanted && size > 0;
        rows.truncate(wanted);
        let last = rows.last().filter(|_| more);
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: input.prefix.as_deref().map(encode),
            key_marker: input.key_marker.as_deref().map(encode),
            upload_id_marker: input.upload_id_marker,
            next_key_marker: last.map(|row| encode(&row.key)),
            next_upload_id_marker: last.map(|row| row.id.clone()),
            encoding_type: input.encoding_type,
            max_uploads: Some(size),
            is_truncated: Some(more),
            uploads: Some(
                rows.into_iter()
                    .map(|row| MultipartUpload {
                        initiated: Some(timestamp(row.started_ms)),
                        key: Some(encode(&row.key)),
                        upload_id: Some(row.id),
                        ..MultipartUpload::default()
                    })
                    .collect(),
            ),
            ..ListMultipartUploadsOutput::default()
        }))
    }

    pub(super) async fn abort(
        &self,
        input: AbortMultipartUploadInput,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.with_index_then_remove(move |index| {
            index.abort_upload(&input.bucket, &input.key, &input.upload_id)
        })
        .await?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}

/// The checksum algorithm that the upload was created with.
pub(super) fn algorithm_of(upload: &UploadRow) -> S3Result<Option<Algorithm>> {
    upload
        .algorithm
        .as_deref()
        .map(Algorithm::parse)
        .transpose()
}

// S3's rules: CRC-64 covers the whole object, SHA the parts, CRC-32 and CRC-32C either.
fn composite(algorithm: Option<Algorithm>, wanted: Option<&ChecksumType>) -> S3Result<bool> {
    let Some(algorithm) = algorithm else {
        return Ok(false);
    };
    let (of_parts, of_whole) = match algorithm {
        Algorithm::Crc64Nvme => (false, true),
        Algorithm::Sha1 | Algorithm::Sha256 => (true, false),
        Algorithm::Crc32 | Algorithm::Crc32c => (true, true),
    };
    match wanted.map(ChecksumType::as_str) {
        None => Ok(of_parts),
        Some(ChecksumType::COMPOSITE) if of_parts => Ok(true),
        Some(ChecksumType::FULL_OBJECT) if of_whole => Ok(false),
        Some(kind) => Err(s3_error!(
            InvalidRequest,
            "{} does not support the checksum type {kind}",
            algorithm.name()
        )),
    }
}

fn kind(composite: bool) -> ChecksumType {
    ChecksumType::from_static(if composite {
        ChecksumType::COMPOSITE
    } else {
        ChecksumType::FULL_OBJECT
    })
}

fn to_part(row: PartRow) -> S3Result<Part> {
    let checksum = Checksum::from_json(row.checksum.as_deref())?;
    let mut part = Part {
        e_tag: Some(ETag::Strong(row.etag)),
        last_modified: Some(timestamp(row.modified_ms)),
        part_number: Some(row.number),
        size: Some(row.size),
        ..Part::default()
    };
    answer_checksum!(part, checksum.as_ref());
    Ok(part)
}
