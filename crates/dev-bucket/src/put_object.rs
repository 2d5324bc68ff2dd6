//! PutObject, also as a form upload (POST policy).

use http::HeaderMap;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::checksum::{Checksum, answer_checksum, expected_checksum};
use super::conditions::WriteCondition;
use super::index::objects::ObjectRow;
use super::list_objects::path_encoded;
use super::operations::{Bucket, require_key};
use super::receive_body::{ExpectedBody, ReceivedBody, receive};
use super::stored_headers::{headers_of, now_ms};

impl Bucket {
    pub(super) async fn put(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let S3Request {
            mut input,
            headers,
            trailing_headers,
            extensions,
            ..
        } = request;
        require_key(&input.key)?;
        let stored = headers_of!(input);
        let expected = ExpectedBody {
            length: input.content_length,
            md5: input.content_md5.take(),
            checksum: expected_checksum!(input)?,
            trailer: ExpectedBody::trailer_algorithm(&headers)?,
            trailing_headers,
            default_algorithm: None,
        };
        let condition = WriteCondition {
            if_match: input.if_match.take(),
            if_none_match: input.if_none_match.take(),
        };
        let (bucket, key) = (input.bucket.clone(), input.key.clone());
        let name = bucket.clone();
        // A missing bucket is refused before the body is read.
        self.with_index(move |index| index.require_bucket(&name))
            .await?;
        let received = receive(&self.blobs, input.body.take(), &expected).await?;
        let row = object_row(
            input.bucket,
            input.key,
            &received,
            received.hashed.checksum.as_ref(),
            stored.to_json()?,
        )?;
        let checksum = received.hashed.checksum.clone();
        let etag = row.etag.clone();
        self.commit(received.draft, move |index, blob| {
            let row = ObjectRow { blob, ..row };
            Ok(index.put_object(&row, &condition)?.into_iter().collect())
        })
        .await?;
        let mut answered = HeaderMap::new();
        if let Some(form) = extensions.get::<FormUpload>() {
            form.answer(&bucket, &key, &etag, &mut answered);
        }
        let mut output = PutObjectOutput {
            e_tag: Some(ETag::Strong(etag)),
            ..PutObjectOutput::default()
        };
        answer_checksum!(output, checksum.as_ref());
        output.checksum_type = super::checksum::fields(checksum.as_ref()).checksum_type;
        Ok(S3Response::with_headers(output, answered))
    }
}

/// Marks the request as a form upload, whose response has `ETag` and (unless it redirects) `Location`.
#[derive(Clone, Copy)]
pub(super) struct FormUpload {
    /// Whether the response is a redirect.
    pub redirects: bool,
}

impl FormUpload {
    /// Refuses unsupported forms. s3s has checked the policy's signature, and the form against the policy.
    ///
    /// # Errors
    /// `NotImplemented`.
    pub(super) fn check(input: &PostObjectInput) -> S3Result<FormUpload> {
        if input.key.contains("${filename}") {
            return Err(s3_error!(
                NotImplemented,
                "${{filename}} in a key is not supported: give the whole key"
            ));
        }
        refuse_unsupported(input)?;
        Ok(FormUpload {
            redirects: input.success_action_redirect.is_some(),
        })
    }

    fn answer(self, bucket: &str, key: &str, etag: &str, headers: &mut HeaderMap) {
        if let Ok(etag) = format!("\"{etag}\"").parse() {
            headers.insert(http::header::ETAG, etag);
        }
        if !self.redirects
            && let Ok(location) = format!("/{bucket}/{}", path_encoded(key)).parse()
        {
            headers.insert(http::header::LOCATION, location);
        }
    }
}

// `request_checks` refuses the same features as headers.
fn refuse_unsupported(input: &PostObjectInput) -> S3Result<()> {
    let unsupported = [
        ("acl", input.acl.is_some()),
        (
            "x-amz-grant-*",
            input.grant_full_control.is_some()
                || input.grant_read.is_some()
                || input.grant_read_acp.is_some()
                || input.grant_write_acp.is_some(),
        ),
        ("x-amz-tagging", input.tagging.is_some()),
        ("x-amz-storage-class", input.storage_class.is_some()),
        (
            "x-amz-server-side-encryption*",
            input.server_side_encryption.is_some() || input.sse_customer_algorithm.is_some(),
        ),
        (
            "x-amz-object-lock-*",
            input.object_lock_mode.is_some() || input.object_lock_legal_hold_status.is_some(),
        ),
        (
            "x-amz-website-redirect-location",
            input.website_redirect_location.is_some(),
        ),
    ];
    match unsupported.into_iter().find(|(_, present)| *present) {
        None => Ok(()),
        Some((field, _)) => Err(s3_error!(
            NotImplemented,
            "the development bucket does not support the form field {field}"
        )),
    }
}

/// The row of a received body. Its blob is empty until the draft is published.
pub(super) fn object_row(
    bucket: String,
    key: String,
    received: &ReceivedBody,
    checksum: Option<&Checksum>,
    headers: String,
) -> S3Result<ObjectRow> {
    Ok(ObjectRow {
        bucket,
        key,
        blob: String::new(),
        size: received.size,
        etag: hex::encode(&received.hashed.md5),
        modified_ms: now_ms(),
        headers,
        checksum: checksum.map(Checksum::to_json).transpose()?,
    })
}
