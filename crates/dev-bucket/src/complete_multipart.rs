//! CompleteMultipartUpload: checks the parts that the client names, joins them into one blob, writes the object and ends the upload.

use std::io::{self, Read as _, Write as _};

use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::*;
use s3s::{S3Response, S3Result, s3_error};

use super::blobs::Draft;
use super::checksum::{Algorithm, Checksum, Hashing, answer_checksum, expected_checksum};
use super::conditions::WriteCondition;
use super::index::multipart::PartRow;
use super::index::objects::ObjectRow;
use super::logging::internal;
use super::multipart::{MAX_PARTS, algorithm_of};
use super::operations::Bucket;
use super::receive_body::{MAX_OBJECT_BYTES, too_large};
use super::stored_headers::now_ms;

/// The least size of every part but the last, in bytes: 5 MiB.
const MIN_PART_BYTES: i64 = 5 * 1024 * 1024;

/// Bytes that are joined at a time.
const JOIN_BYTES: usize = 1024 * 1024;

impl Bucket {
    pub(super) async fn complete(
        &self,
        mut input: CompleteMultipartUploadInput,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let (bucket, key, id) = (
            input.bucket.clone(),
            input.key.clone(),
            input.upload_id.clone(),
        );
        let (upload, stored) = self
            .with_index(move |index| {
                let upload = index.upload(&bucket, &key, &id)?;
                let parts = index.parts(&id, 0, i64::from(MAX_PARTS))?;
                Ok((upload, parts))
            })
            .await?;
        let named = input.multipart_upload.take().and_then(|list| list.parts);
        let parts = requested_parts(&named.unwrap_or_default(), &stored)?;
        let size = total_size(&parts, input.mpu_object_size)?;
        let algorithm = algorithm_of(&upload)?;
        let of_whole = algorithm.filter(|_| !upload.composite);
        let (draft, whole) = self.join(parts.clone(), of_whole).await?;
        let checksum = match algorithm {
            Some(algorithm) if upload.composite => Some(composite_checksum(algorithm, &parts)?),
            _ => whole,
        };
        let declared = expected_checksum!(input)?;
        require_declared(declared, checksum.as_ref())?;
        let row = ObjectRow {
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            blob: String::new(),
            size,
            etag: etag(&parts)?,
            modified_ms: now_ms(),
            headers: upload.headers.clone(),
            checksum: checksum.as_ref().map(Checksum::to_json).transpose()?,
        };
        let condition = WriteCondition {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
        };
        let etag = row.etag.clone();
        self.commit(draft, move |index, blob| {
            let row = ObjectRow { blob, ..row };
            index.complete_upload(&upload, &parts, &row, &condition)
        })
        .await?;
        let mut output = CompleteMultipartUploadOutput {
            location: Some(format!(
                "/{}/{}",
                input.bucket,
                super::list_objects::path_encoded(&input.key)
            )),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(ETag::Strong(etag)),
            ..CompleteMultipartUploadOutput::default()
        };
        answer_checksum!(output, checksum.as_ref());
        output.checksum_type = super::checksum::fields(checksum.as_ref()).checksum_type;
        Ok(S3Response::new(output))
    }

    async fn join(
        &self,
        parts: Vec<PartRow>,
        algorithm: Option<Algorithm>,
    ) -> S3Result<(Draft, Option<Checksum>)> {
        let blobs = std::sync::Arc::clone(&self.blobs);
        let joined = tokio::task::spawn_blocking(move || {
            let mut draft = blobs.draft()?;
            let mut hashing = algorithm.map(|algorithm| Hashing::new(Some(algorithm)));
            let mut buffer = vec![0; JOIN_BYTES];
            for part in parts {
                let mut file = blobs.read(&part.blob)?;
                let Some(hashing) = &mut hashing else {
                    // Without hashing, the kernel copies the file.
                    io::copy(&mut file, &mut draft.file)?;
                    continue;
                };
                loop {
                    let length = file.read(&mut buffer)?;
                    if length == 0 {
                        break;
                    }
                    hashing.update(&buffer[..length]);
                    draft.file.write_all(&buffer[..length])?;
                }
            }
            let checksum = hashing.and_then(|hashing| hashing.finish().checksum);
            Ok::<_, io::Error>((draft, checksum))
        });
        match joined.await.map_err(internal)? {
            Ok(joined) => Ok(joined),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(s3_error!(
                NoSuchUpload,
                "the upload was aborted or completed, or a part was replaced, at the same time"
            )),
            Err(error) => Err(internal(error)),
        }
    }
}

fn requested_parts(named: &[CompletedPart], stored: &[PartRow]) -> S3Result<Vec<PartRow>> {
    if named.is_empty() {
        return Err(s3_error!(MalformedXML, "at least one part is required"));
    }
    let mut parts: Vec<PartRow> = Vec::with_capacity(named.len());
    for part in named {
        let number = part.part_number.unwrap_or(0);
        if parts.last().is_some_and(|last| last.number >= number) {
            return Err(s3_error!(
                InvalidPartOrder,
                "the parts are not in ascending order"
            ));
        }
        let found = stored.binary_search_by_key(&number, |row| row.number);
        let found = found.ok().map(|position| &stored[position]);
        let etag = part.e_tag.as_ref().map(ETag::value);
        let Some(found) = found.filter(|row| etag == Some(&*row.etag)) else {
            return Err(s3_error!(
                InvalidPart,
                "part {number} does not exist or has another ETag"
            ));
        };
        let kept = Checksum::from_json(found.checksum.as_deref())?;
        if let Some((algorithm, value)) = expected_checksum!(part)?
            && kept.is_none_or(|kept| kept.algorithm != algorithm || kept.value != value)
        {
            return Err(s3_error!(InvalidPart, "part {number} has another checksum"));
        }
        parts.push(found.clone());
    }
    let all_but_last = &parts[..parts.len() - 1];
    if all_but_last.iter().any(|part| part.size < MIN_PART_BYTES) {
        return Err(s3_error!(
            EntityTooSmall,
            "every part but the last must have at least {MIN_PART_BYTES} bytes"
        ));
    }
    Ok(parts)
}

fn total_size(parts: &[PartRow], announced: Option<i64>) -> S3Result<i64> {
    let size: i64 = parts.iter().map(|part| part.size).sum();
    if u64::try_from(size).unwrap_or(0) > MAX_OBJECT_BYTES {
        return Err(too_large());
    }
    match announced {
        Some(announced) if announced != size => Err(s3_error!(
            InvalidRequest,
            "the parts have {size} bytes, but {announced} were announced"
        )),
        _ => Ok(size),
    }
}

fn etag(parts: &[PartRow]) -> S3Result<String> {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(&hex::decode(&part.etag).map_err(internal)?);
    }
    Ok(format!("{}-{}", hex::encode(md5.finalize()), parts.len()))
}

fn composite_checksum(algorithm: Algorithm, parts: &[PartRow]) -> S3Result<Checksum> {
    let mut checksums = Vec::with_capacity(parts.len());
    for part in parts {
        let checksum = Checksum::from_json(part.checksum.as_deref())?;
        checksums.push(
            checksum
                .ok_or_else(|| s3_error!(InvalidPart, "part {} has no checksum", part.number))?,
        );
    }
    Checksum::composite(algorithm, &checksums)
}

fn require_declared(
    declared: Option<(Algorithm, String)>,
    checksum: Option<&Checksum>,
) -> S3Result<()> {
    let Some((algorithm, value)) = declared else {
        return Ok(());
    };
    super::checksum::require_well_formed(algorithm, &value)?;
    let equal = checksum.is_some_and(|checksum| {
        checksum.algorithm == algorithm
            // Clients send a composite checksum with or without the number of parts.
            && (checksum.value == value || checksum.value.split('-').next() == Some(&*value))
    });
    if equal {
        return Ok(());
    }
    Err(s3_error!(
        BadDigest,
        "the {} you specified did not match the calculated checksum",
        algorithm.name()
    ))
}
