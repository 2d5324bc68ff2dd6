//! The JSON of an upload, the same in an answer of the API and in a webhook.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::upload::{FieldError, Upload};

/// An upload.
#[derive(Serialize, ToSchema)]
#[schema(as = Upload)]
pub struct UploadView {
    /// Its id: `upl_` and 26 characters, sorted by time.
    pub id: String,
    /// `pending`, `confirmed`, `attached`, `detached`, `deleted`, `rejected`, `expired` or `canceled`.
    status: &'static str,
    /// The model field that it is for.
    field: String,
    /// Whose it is.
    owner: String,
    /// The record that it is meant for, or was attached to: `42` of `Product/42`.
    object_id: Option<String>,
    /// The bucket it goes to.
    bucket: String,
    /// The object's key; null until confirm.
    key: Option<String>,
    /// The key without the storage location: what a Django `ImageField` column holds; null until confirm.
    name: Option<String>,
    /// The file's name, for people.
    filename: String,
    /// The file's type.
    content_type: &'static str,
    /// The file's size, in bytes.
    size: u64,
    /// The declared checksum.
    checksum: Option<ChecksumView>,
    /// When it was created.
    #[schema(format = DateTime)]
    created_at: String,
    /// Its deadline: from then on the sweeper confirms, rejects or expires it.
    #[schema(format = DateTime)]
    expires_at: String,
    /// When it was confirmed.
    #[schema(format = DateTime)]
    confirmed_at: Option<String>,
    /// Whose request led to the confirm: `client`, `service`, `event` or `sweeper`.
    confirmed_by: Option<&'static str>,
    /// When it was attached to its record.
    #[schema(format = DateTime)]
    attached_at: Option<String>,
    /// When it was detached from its record; the object is removed some time later.
    #[schema(format = DateTime)]
    detached_at: Option<String>,
    /// The object's ETag, opaque, without quotes.
    etag: Option<String>,
    /// The public URL; null until confirm, and where the field is private.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub url: Option<Option<String>>,
    /// What was confirmed, as a JWT that any backend can verify with the keys at `/.well-known/jwks.json`; on the answer to a
    /// confirm only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub receipt: Option<String>,
    /// What to send, on an answer that presigns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub presigned: Option<PresignedView>,
    /// Where to confirm, on an answer that presigns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub confirm_url: Option<String>,
    /// How the object differs from the declaration; on a rejected upload only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
    /// Why it was rejected, or the last problem that kept it from being settled; null if there is none. Only for the scope `ops`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false)]
    pub last_problem: Option<Option<String>>,
}

/// A checksum of a file.
#[derive(Serialize, ToSchema)]
#[schema(as = Checksum)]
pub struct ChecksumView {
    /// One of `sha256`, `crc32`, `crc32c`, `crc64nvme`, `md5`.
    algorithm: &'static str,
    /// Base64 of the digest's bytes.
    value: String,
}

/// A presigned request, which the bucket accepts exactly as it is.
#[derive(Serialize, ToSchema)]
#[schema(as = Presigned)]
pub struct PresignedView {
    /// The method.
    pub method: &'static str,
    /// The signed URL. It is a secret: it allows to put the file.
    pub url: String,
    /// Headers to send verbatim; `host` and `content-length` are signed too, and HTTP clients set them by themselves.
    pub headers: BTreeMap<String, String>,
    /// When it stops working.
    #[schema(format = DateTime)]
    pub expires_at: String,
}

impl UploadView {
    /// The members that the row gives. Those for one caller only, and URLs that end, are absent.
    pub fn new(upload: Upload) -> UploadView {
        let confirmation = upload.confirmation.as_ref();
        UploadView {
            id: upload.id.to_string(),
            status: upload.status.as_str(),
            key: confirmation.map(|c| c.key.as_str().to_owned()),
            name: confirmation.map(|c| c.key.name().to_owned()),
            confirmed_at: confirmation.map(|c| time(c.at)),
            confirmed_by: confirmation.map(|c| c.by.as_str()),
            attached_at: upload.attached_at.map(time),
            detached_at: upload.detached_at.map(time),
            etag: confirmation.map(|c| c.etag.clone()),
            filename: upload.filename.as_str().to_owned(),
            content_type: upload.content_type.as_str(),
            size: upload.size,
            checksum: upload.checksum.as_ref().map(|sum| ChecksumView {
                algorithm: sum.algorithm().as_str(),
                value: sum.value().to_owned(),
            }),
            created_at: time(upload.created_at),
            expires_at: time(upload.expires_at),
            errors: upload.errors,
            field: upload.field.as_str().to_owned(),
            owner: upload.owner,
            object_id: upload.object_id.map(|id| id.as_str().to_owned()),
            bucket: upload.bucket,
            url: None,
            receipt: None,
            presigned: None,
            confirm_url: None,
            last_problem: None,
        }
    }
}

/// RFC 3339 in UTC with milliseconds, which every client's parser reads. Cut, not rounded, so that no deadline moves later.
pub fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
