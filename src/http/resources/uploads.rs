//! Uploads: create, read, confirm, presign again, download, cancel and delete.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use chrono::Utc;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::Signer;
use crate::broker::{Broker, Declared, Download};
use crate::domain::attachment::ObjectId;
use crate::domain::field::FieldName;
use crate::domain::upload_view::{UploadView, time};
use crate::http::examples;
use crate::http::extract::json::{member, object, whole_bytes};
use crate::http::extract::{Caller, IdempotencyHeader, Json, NoBody, UploadPath};
use crate::http::problem::Problem;
use crate::http::public_url::PublicUrl;

type Answer = Result<HttpResponse, Problem>;

/// The file that a client declares.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateUpload)]
pub struct CreateUploadBody {
    /// The model field that the file belongs to, `Model.field`.
    field: String,
    /// The file's name, kept as metadata. It is never part of a key.
    filename: String,
    /// The file's media type, without parameters.
    content_type: String,
    /// The file's exact size, in bytes.
    #[serde(deserialize_with = "whole_bytes")]
    #[schema(minimum = 0, maximum = 9007199254740991u64)]
    size: u64,
    /// The file's checksum; required if the field's policy requires one.
    #[serde(
        default,
        deserialize_with = "object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(required = false)]
    checksum: Option<ChecksumBody>,
    /// The id of the record that the upload is meant for, `42` of `Product/42`. From a caller with `attachments:write`,
    /// confirm attaches the upload to this record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    object_id: Option<String>,
    /// The owner that the upload is created for; requires the scope `uploads:confirm`.
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
    /// The digest's bytes in base64, with padding.
    value: String,
}

impl TryFrom<CreateUploadBody> for Declared {
    type Error = Problem;

    fn try_from(body: CreateUploadBody) -> Result<Declared, Problem> {
        let object_id = body.object_id.as_deref().map(ObjectId::parse).transpose();
        Ok(Declared {
            field: member("/field", FieldName::parse(&body.field))?,
            filename: body.filename,
            content_type: body.content_type,
            size: body.size,
            checksum: body.checksum.map(|sum| (sum.algorithm, sum.value)),
            object_id: member("/object_id", object_id)?,
            owner: body.owner,
        })
    }
}

/// Create an upload
///
/// Creates a pending upload and returns a presigned request for exactly the declared file. Send the file with
/// `presigned.method` to `presigned.url` with `presigned.headers`, then POST to `confirm_url`. A retry with the same
/// `Idempotency-Key` returns the same upload in its current state, with a new presigned request while it is pending.
#[utoipa::path(
    post, path = "/v1/uploads", tag = "Uploads", operation_id = "createUpload",
    security(("bearer" = ["uploads:write"]), ("bearer" = ["uploads:confirm"])),
    params(("idempotency-key" = Option<String>, Header, description = "Makes a retry within 24 hours return the same upload. 1 to 255 visible ASCII characters.")),
    request_body(content = CreateUploadBody, example = json!(examples::create_body())),
    responses(
        (status = 201, description = "The pending upload, with its presigned request.", body = UploadView,
            headers(("location" = String, description = "The upload's address.")),
            example = json!(examples::pending())),
        (status = 403, description = "scope-insufficient, field-not-allowed"),
        (status = 409, description = "request-in-progress"),
        (status = 422, description = "unknown-field, media-type-not-allowed, size-not-allowed, checksum-required, idempotency-key-reused"),
        (status = 429, description = "quota-exceeded",
            headers(("retry-after" = u32, description = "Seconds until a retry makes sense; for a used-up grant, until it expires."))),
    )
)]
pub async fn create(
    caller: Caller,
    idempotency: IdempotencyHeader,
    Json(body): Json<CreateUploadBody>,
    broker: web::Data<Broker>,
    public_url: web::Data<PublicUrl>,
) -> Answer {
    let key = idempotency.key_for(&body)?;
    let presented = broker.create(&caller.0, body.try_into()?, key).await?;
    let view = UploadView::presented(presented, &broker, public_url.as_str());
    let location = public_url.upload(&view.id);
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, location))
        .json(view))
}

/// Read an upload
#[utoipa::path(
    get, path = "/v1/uploads/{id}", tag = "Uploads", operation_id = "readUpload",
    security(("bearer" = ["uploads:write"]), ("bearer" = ["uploads:confirm"]),
        ("bearer" = ["attachments:write"]), ("bearer" = ["ops"])),
    params(("id" = String, Path, description = "The upload's id.", example = json!(examples::ID))),
    responses(
        (status = 200, description = "The upload.", body = UploadView, example = json!(examples::confirmed())),
        (status = 403, description = "scope-insufficient"),
        (status = 404, description = "upload-not-found"),
    )
)]
pub async fn read(caller: Caller, id: UploadPath, broker: web::Data<Broker>) -> Answer {
    let upload = broker.read(&caller.0, id.0).await?;
    Ok(HttpResponse::Ok().json(UploadView::seen_by(&caller.0, upload, &broker).await?))
}

/// Cancel or delete an upload
///
/// A pending upload becomes canceled. A confirmed or detached upload becomes deleted, and its object is removed. An upload in
/// a terminal status stays as it is, with the same response. A deleted upload can still be read.
#[utoipa::path(
    delete, path = "/v1/uploads/{id}", tag = "Uploads", operation_id = "deleteUpload",
    security(("bearer" = ["uploads:write"]), ("bearer" = ["attachments:write"])),
    params(("id" = String, Path, description = "The upload's id.", example = json!(examples::ID))),
    responses(
        (status = 204, description = "The upload is canceled or deleted, or was already in a terminal status."),
        (status = 403, description = "scope-insufficient"),
        (status = 404, description = "upload-not-found"),
        (status = 409, description = "wrong-status"),
    )
)]
pub async fn remove(
    caller: Caller,
    id: UploadPath,
    _: NoBody,
    broker: web::Data<Broker>,
) -> Answer {
    broker.remove(&caller.0, id.0).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Confirm an upload
///
/// Seals the object under its final key, checks it against the declaration and records the key. Idempotent, also for concurrent
/// requests. After `object-missing` and `store-unavailable` the upload is unchanged; after `object-mismatch` it is rejected.
/// Every 200 carries a new `receipt`, also for an upload that was confirmed before.
#[utoipa::path(
    post, path = "/v1/uploads/{id}/confirm", tag = "Uploads", operation_id = "confirmUpload",
    security(("bearer" = ["uploads:write"]), ("bearer" = ["uploads:confirm"])),
    params(("id" = String, Path, description = "The upload's id.", example = json!(examples::ID))),
    responses(
        (status = 200, description = "The confirmed upload, with its key and name, and a receipt.", body = UploadView,
            example = json!(examples::with_receipt())),
        (status = 403, description = "scope-insufficient"),
        (status = 404, description = "upload-not-found"),
        (status = 409, description = "object-missing, wrong-status"),
        (status = 410, description = "upload-expired"),
        (status = 422, description = "object-mismatch"),
    )
)]
pub async fn confirm(
    caller: Caller,
    id: UploadPath,
    _: NoBody,
    broker: web::Data<Broker>,
    signer: web::Data<Signer>,
) -> Answer {
    let upload = broker.confirm(&caller.0, id.0).await?;
    let receipt = signer.receipt(&upload, Utc::now());
    Ok(HttpResponse::Ok().json(UploadView::of(upload, &broker).with_receipt(receipt)))
}

/// Presign again
///
/// Returns a new presigned request for the same pending upload, never valid beyond its `expires_at`. Use it when the first one
/// expired before the file was sent.
#[utoipa::path(
    post, path = "/v1/uploads/{id}/presign", tag = "Uploads", operation_id = "presignUpload",
    security(("bearer" = ["uploads:write"]), ("bearer" = ["uploads:confirm"])),
    params(("id" = String, Path, description = "The upload's id.", example = json!(examples::ID))),
    responses(
        (status = 200, description = "The upload, with a new presigned request.", body = UploadView,
            example = json!(examples::pending())),
        (status = 403, description = "scope-insufficient"),
        (status = 404, description = "upload-not-found"),
        (status = 409, description = "wrong-status"),
        (status = 410, description = "upload-expired"),
    )
)]
pub async fn presign(
    caller: Caller,
    id: UploadPath,
    _: NoBody,
    broker: web::Data<Broker>,
    public_url: web::Data<PublicUrl>,
) -> Answer {
    let presented = broker.represign(&caller.0, id.0).await?;
    Ok(HttpResponse::Ok().json(UploadView::presented(
        presented,
        &broker,
        public_url.as_str(),
    )))
}

/// A URL to download the object from.
#[derive(Serialize, ToSchema)]
#[schema(as = Download)]
pub struct DownloadView {
    /// The public URL, or a presigned GET.
    url: String,
    /// When the URL expires; null for a public URL.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

impl DownloadView {
    pub fn of(download: Download) -> DownloadView {
        DownloadView {
            url: download.url.expose_secret().to_owned(),
            expires_at: download.expires_at.map(time),
        }
    }
}

/// Get a download URL
///
/// Returns the public URL or, for a private field, a presigned GET. The presigned GET is valid for a few minutes, and the bucket
/// serves the object with the file's name and media type.
#[utoipa::path(
    get, path = "/v1/uploads/{id}/download", tag = "Uploads", operation_id = "downloadUpload",
    security(("bearer" = ["uploads:write"]), ("bearer" = ["uploads:confirm"]), ("bearer" = ["attachments:write"])),
    params(("id" = String, Path, description = "The upload's id.", example = json!(examples::ID))),
    responses(
        (status = 200, description = "The download URL.", body = DownloadView,
            example = json!(examples::download())),
        (status = 403, description = "scope-insufficient"),
        (status = 404, description = "upload-not-found"),
        (status = 409, description = "wrong-status"),
    )
)]
pub async fn download(caller: Caller, id: UploadPath, broker: web::Data<Broker>) -> Answer {
    let download = broker.download(&caller.0, id.0).await?;
    Ok(HttpResponse::Ok().json(DownloadView::of(download)))
}
