//! What a webhook says: written once, with the event, so that every attempt sends the same bytes.
//!
//! `data` has the members of the API's upload, as of this change, but for what is for one caller only or may end: presigned
//! requests, `confirm_url`, `url` and receipts. A story compares the two.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::db::engine::error::DbError;
use crate::domain::event::EventType;
use crate::domain::ids::EventId;
use crate::domain::upload::{FieldError, Upload};

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    event_id: String,
    /// The upload's events count from 1 without gaps.
    seq: i64,
    id: String,
    status: &'static str,
    field: &'a str,
    owner: &'a str,
    object_id: Option<&'a str>,
    bucket: &'a str,
    key: Option<&'a str>,
    name: Option<&'a str>,
    filename: &'a str,
    content_type: &'static str,
    size: u64,
    checksum: Option<Checksum<'a>>,
    created_at: String,
    expires_at: String,
    confirmed_at: Option<String>,
    confirmed_by: Option<&'static str>,
    etag: Option<&'a str>,
    attached_at: Option<String>,
    detached_at: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Error<'a>>,
}

#[derive(Serialize)]
struct Checksum<'a> {
    algorithm: &'static str,
    value: &'a str,
}

#[derive(Serialize)]
struct Error<'a> {
    pointer: &'a str,
    detail: &'a str,
}

/// The body of an event about the upload as it is after the change.
pub(in crate::db) fn body_text(
    event: EventId,
    kind: EventType,
    at: DateTime<Utc>,
    upload: &Upload,
) -> Result<String, DbError> {
    let body = Body {
        kind: kind.as_str(),
        timestamp: time(at),
        data: data(event, upload),
    };
    serde_json::to_string(&body).map_err(|error| DbError::Internal(error.to_string()))
}

fn data(event: EventId, upload: &Upload) -> Data<'_> {
    let confirmation = upload.confirmation.as_ref();
    Data {
        event_id: event.to_string(),
        seq: upload.version,
        id: upload.id.to_string(),
        status: upload.status.as_str(),
        field: upload.field.as_str(),
        owner: &upload.owner,
        object_id: upload.object_id.as_ref().map(|id| id.as_str()),
        bucket: &upload.bucket,
        key: confirmation.map(|found| found.key.as_str()),
        name: confirmation.map(|found| found.key.name()),
        filename: upload.filename.as_str(),
        content_type: upload.content_type.as_str(),
        size: upload.size,
        checksum: upload.checksum.as_ref().map(|sum| Checksum {
            algorithm: sum.algorithm().as_str(),
            value: sum.value(),
        }),
        created_at: time(upload.created_at),
        expires_at: time(upload.expires_at),
        confirmed_at: confirmation.map(|found| time(found.at)),
        confirmed_by: confirmation.map(|found| found.by.as_str()),
        etag: confirmation.map(|found| found.etag.as_str()),
        attached_at: upload.attached_at.map(time),
        detached_at: upload.detached_at.map(time),
        errors: upload.errors.iter().map(error).collect(),
    }
}

fn error(found: &FieldError) -> Error<'_> {
    Error {
        pointer: &found.pointer,
        detail: &found.detail,
    }
}

/// As the API writes times.
fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
