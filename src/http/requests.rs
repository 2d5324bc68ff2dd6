//! What clients send, and how it becomes the broker's words.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::broker::{CreateUpload, ListUploads};
use crate::domain::attachment::ObjectId;
use crate::domain::field::FieldName;
use crate::domain::ids::UploadId;
use crate::domain::upload::Status;

use super::extract::json::{object, whole_bytes};
use super::extract::query::{PageLimits, Parameters, Values};
use super::problem::Problem;

/// The greatest age to ask for, in seconds: a hundred years.
const MAX_AGE_SECS: u64 = 100 * 366 * 86_400;

/// What a client will upload.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateUpload)]
pub struct CreateUploadBody {
    /// The model field that the file is for.
    field: String,
    /// The file's name, for people: it never becomes a part of a key.
    filename: String,
    /// The file's type, without parameters.
    content_type: String,
    /// The file's exact size, in bytes.
    #[serde(deserialize_with = "whole_bytes")]
    #[schema(minimum = 0, maximum = 9007199254740991u64)]
    size: u64,
    /// The file's checksum; required where the field's policy says so.
    #[serde(
        default,
        deserialize_with = "object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(required = false)]
    checksum: Option<ChecksumBody>,
    /// The record that the upload is meant for, `42` of `Product/42`. From a caller with `attachments:write` it is an
    /// instruction: a confirm attaches the upload to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    object_id: Option<String>,
    /// On whose behalf; needs the scope `uploads:confirm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
}

/// A checksum of a file.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Checksum)]
pub struct ChecksumBody {
    /// One of `sha256`, `crc32`, `crc32c`, `crc64nvme`, `md5`.
    algorithm: String,
    /// Base64, with padding, of the digest's bytes.
    value: String,
}

impl TryFrom<CreateUploadBody> for CreateUpload {
    type Error = Problem;

    fn try_from(body: CreateUploadBody) -> Result<CreateUpload, Problem> {
        Ok(CreateUpload {
            field: FieldName::parse(&body.field)
                .map_err(|error| Problem::invalid_member("/field", error.to_string()))?,
            filename: body.filename,
            content_type: body.content_type,
            size: body.size,
            checksum: body.checksum.map(|sum| (sum.algorithm, sum.value)),
            object_id: object_id(body.object_id.as_deref())?,
            owner: body.owner,
        })
    }
}

/// The record to attach to.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Attach)]
pub struct AttachBody {
    /// The record's id as the backend knows it, `42` of `Product/42`.
    #[schema(min_length = 1, max_length = 255)]
    object_id: String,
}

impl TryFrom<AttachBody> for ObjectId {
    type Error = Problem;

    fn try_from(body: AttachBody) -> Result<ObjectId, Problem> {
        ObjectId::parse(&body.object_id)
            .map_err(|error| Problem::invalid_member("/object_id", error.to_string()))
    }
}

/// The record that a request names.
pub fn object_id(text: Option<&str>) -> Result<Option<ObjectId>, Problem> {
    text.map(ObjectId::parse)
        .transpose()
        .map_err(|error| Problem::invalid_member("/object_id", error.to_string()))
}

/// Which uploads to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only with this status.
    #[param(value_type = Option<String>, example = "pending")]
    status: Option<Status>,
    /// Only for this field.
    #[param(value_type = Option<String>, example = "Product.image")]
    field: Option<FieldName>,
    /// Only those meant for a record with this id, or attached to it.
    #[param(value_type = Option<String>, example = "42")]
    object_id: Option<ObjectId>,
    /// Only of this owner.
    #[param(example = "user:1")]
    owner: Option<String>,
    /// Only those created at least this long ago: a number and `s`, `m`, `h` or `d`.
    #[param(rename = "older_than", value_type = Option<String>, example = "15m")]
    older_than_secs: Option<u64>,
    /// How many, at least 1; 50 where absent and at most 200, unless the server is configured otherwise.
    #[param(value_type = Option<u32>, minimum = 1, example = 50)]
    limit: u32,
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<UploadId>,
}

impl Parameters for ListQuery {
    const NAMES: &'static [&'static str] = &[
        "status",
        "field",
        "object_id",
        "owner",
        "older_than",
        "limit",
        "cursor",
    ];

    fn read(values: &Values, limits: PageLimits) -> Result<ListQuery, Problem> {
        let statuses: Vec<&str> = Status::ALL.iter().map(|status| status.as_str()).collect();
        let allowed = format!("a number from 1 to {}", limits.max);
        let limit = values.get("limit", &allowed, |text| {
            let plain = text.bytes().all(|b| b.is_ascii_digit());
            let number = text.parse().ok().filter(|_| plain)?;
            (1..=limits.max).contains(&number).then_some(number)
        })?;
        Ok(ListQuery {
            status: values.get("status", &statuses.join(", "), Status::parse)?,
            field: values.get("field", "a field's name, Model.field", |text| {
                FieldName::parse(text).ok()
            })?,
            object_id: values.get("object_id", "a record's id: 1 to 255 bytes", |text| {
                ObjectId::parse(text).ok()
            })?,
            owner: values.get("owner", "an owner: 1 to 255 bytes", |text| {
                let fits = (1..=255).contains(&text.len()) && !text.contains(char::is_control);
                fits.then(|| text.to_owned())
            })?,
            older_than_secs: values.get(
                "older_than",
                "an age of at most a hundred years: a number and s, m, h or d, like 15m",
                age_secs,
            )?,
            limit: limit.unwrap_or(limits.default),
            cursor: values.get("cursor", "the next_cursor of the page before", from_cursor)?,
        })
    }
}

impl ListQuery {
    /// The same question in the broker's words.
    pub fn to_domain(&self) -> ListUploads {
        ListUploads {
            status: self.status,
            field: self.field.clone(),
            object_id: self.object_id.clone(),
            owner: self.owner.clone(),
            older_than_secs: self.older_than_secs,
            limit: self.limit,
            before: self.cursor,
        }
    }

    /// The same query with another cursor, as it stands behind a `?`.
    pub fn with_cursor(&self, cursor: &str) -> String {
        let older_than = self.older_than_secs.map(|secs| format!("{secs}s"));
        let pairs = [
            ("status", self.status.map(Status::as_str)),
            ("field", self.field.as_ref().map(FieldName::as_str)),
            ("object_id", self.object_id.as_ref().map(ObjectId::as_str)),
            ("owner", self.owner.as_deref()),
            ("older_than", older_than.as_deref()),
            ("limit", Some(&*self.limit.to_string())),
            ("cursor", Some(cursor)),
        ]
        .map(|(name, value)| {
            let value = utf8_percent_encode(value?, NON_ALPHANUMERIC);
            Some(format!("{name}={value}"))
        });
        pairs.into_iter().flatten().collect::<Vec<_>>().join("&")
    }
}

/// An age in seconds, from a number and a unit, `15m`; at most a hundred years.
pub fn age_secs(text: &str) -> Option<u64> {
    let unit = text.chars().next_back()?;
    let secs = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| plain)?;
    number.checked_mul(secs).filter(|&age| age <= MAX_AGE_SECS)
}

/// Where a page ended, as clients see it: opaque, so that it may change.
pub fn to_cursor(last: UploadId) -> String {
    URL_SAFE_NO_PAD.encode(last.to_string())
}

fn from_cursor(cursor: &str) -> Option<UploadId> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    UploadId::parse(&text).ok()
}
