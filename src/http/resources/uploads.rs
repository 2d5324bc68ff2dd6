//! Uploads: create, read, confirm, presign again, download, cancel and delete.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use chrono::Utc;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::Signer;
use crate::broker::{Broker, CreateUpload, Download};
use crate::domain::attachment::ObjectId;
use crate::domain::field::FieldName;
use crate::http::examples;
use crate::http::extract::json::{member, object, whole_bytes};
use crate::http::extract::{Caller, Json, NoBody, Repeatable, UploadPath};
use crate::http::problem::Problem;
use crate::http::public_url::PublicUrl;
use crate::http::views::{UploadView, time};

type Answer = Result<HttpResponse, Problem>;

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
        let object_id = body.object_id.as_deref().map(ObjectId::parse).transpose();
        Ok(CreateUpload {
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

/// Ask for a presigned PUT
///
/// Commits a pending upload and answers with a request that puts exactly the declared bytes. Send the file with
/// `presigned.method` to `presigned.url` with `presigned.headers`, then POST to `confirm_url`. The same request again with the
/// same `Idempotency-Key` is the same upload, as it is by then: presigned anew while it is pending.
#[utoipa::path(
    post, path = "/v1/uploads", tag = "Uploads", operation_id = "createUpload",
    security(("bearer" = ["uploads:write"]), ("bearer" = ["uploads:confirm"])),
    params(("idempotency-key" = Option<String>, Header, description = "Makes a retry within 24 hours return the same upload: 1 to 255 visible ASCII characters.")),
    request_body(content = CreateUploadBody, example = json!(examples::create_body())),
    responses(
        (status = 201, description = "The pending upload, with its presigned request.", body = UploadView,
            headers(("location" = String, description = "The upload's address.")),
            example = json!(examples::pending())),
        (status = 403, description = "scope-insufficient, field-not-allowed"),
        (status = 409, description = "request-in-progress"),
        (status = 422, description = "unknown-field, media-type-not-allowed, size-not-allowed, checksum-required, idempotency-key-reused"),
        (status = 429, description = "quota-exceeded",
            headers(("retry-after" = u32, description = "When to come back, in seconds: for a used-up grant, its end."))),
    )
)]
pub async fn create(
    caller: Caller,
    repeatable: Repeatable,
    Json(body): Json<CreateUploadBody>,
    broker: web::Data<Broker>,
    public_url: web::Data<PublicUrl>,
) -> Answer {
    let key = repeatable.with(&body)?;
    let presented = broker.create(&caller.0, body.try_into()?, key).await?;
    let view = UploadView::presented(presented, &broker, public_url.as_str());
    let address = format!("{}/v1/uploads/{}", public_url.as_str(), view.id);
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, address))
        .json(view))
}

/// Read an upload
#[utoipa::path(
    get, path = "/v1/uploads/{id}", tag = "Uploads", operation_id = "readUpload",
    security(("bearer" = ["uploads:write"]), ("bearer" = ["uploads:confirm"]),
        ("bearer" = ["attachments:write"]), ("bearer" = ["ops"])),
    params(("id" = String, Path, description = "The upload's id.", example = json!(examples::ID))),
    responses(
        (status = 200, description = "The upload as it is now.", body = UploadView, example = json!(examples::confirmed())),
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
/// Cancels a pending upload, removes a confirmed or detached one and its object. In a terminal status nothing happens, and the
/// answer is the same. A deleted upload can still be read.
#[utoipa::path(
    delete, path = "/v1/uploads/{id}", tag = "Uploads", operation_id = "deleteUpload",
    security(("bearer" = ["uploads:write"]), ("bearer" = ["attachments:write"])),
    params(("id" = String, Path, description = "The upload's id.", example = json!(examples::ID))),
    responses(
        (status = 204, description = "Canceled, deleted, or already over."),
        (status = 403, description = "scope-insufficient"),
        (status = 404, description = "upload-not-found"),
        (status = 409, description = "wrong-status"),
    )
)]
pub async fn remove(
    caller: Caller,
    id: UploadPath,
    _nothing: NoBody,
    broker: web::Data<Broker>,
) -> Answer {
    broker.remove(&caller.0, id.0).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Confirm what was put
///
/// Checks what arrived, seals it under its final key and records that key. Idempotent: safe to repeat, and to race. After
/// `object-missing` and `store-unavailable` nothing has changed; after `object-mismatch` the upload is rejected. Every 200
/// brings a fresh `receipt`, also for an upload that was confirmed before.
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
    _nothing: NoBody,
    broker: web::Data<Broker>,
    signer: web::Data<Signer>,
) -> Answer {
    let upload = broker.confirm(&caller.0, id.0).await?;
    let receipt = signer.receipt(&upload, Utc::now());
    Ok(HttpResponse::Ok().json(UploadView::of(upload, &broker).with_receipt(receipt)))
}

/// Presign again
///
/// A fresh `presigned` for the same pending upload, until its `expires_at`: for a phone that slept.
#[utoipa::path(
    post, path = "/v1/uploads/{id}/presign", tag = "Uploads", operation_id = "presignUpload",
    security(("bearer" = ["uploads:write"]), ("bearer" = ["uploads:confirm"])),
    params(("id" = String, Path, description = "The upload's id.", example = json!(examples::ID))),
    responses(
        (status = 200, description = "The upload, with a fresh presigned request.", body = UploadView,
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
    _nothing: NoBody,
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

/// Where an object's bytes are.
#[derive(Serialize, ToSchema)]
#[schema(as = Download)]
pub struct DownloadView {
    /// The public URL, or a presigned GET.
    url: String,
    /// When the URL stops working; null where it is public.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

impl DownloadView {
    /// A download as the broker answers it.
    pub fn of(download: Download) -> DownloadView {
        DownloadView {
            url: download.url.expose_secret().to_owned(),
            expires_at: download.expires_at.map(time),
        }
    }
}

/// Get a URL to download from
///
/// The public URL, or a presigned GET where the field is private: it lives for a few minutes, and the bucket answers it with
/// the file's own name and type.
#[utoipa::path(
    get, path = "/v1/uploads/{id}/download", tag = "Uploads", operation_id = "downloadUpload",
    security(("bearer" = ["uploads:write"]), ("bearer" = ["uploads:confirm"]), ("bearer" = ["attachments:write"])),
    params(("id" = String, Path, description = "The upload's id.", example = json!(examples::ID))),
    responses(
        (status = 200, description = "Where the object's bytes are.", body = DownloadView,
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
