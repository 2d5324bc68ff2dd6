//! Attachments: which upload belongs to which record of the application.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::broker::Broker;
use crate::domain::attachment::ObjectId;
use crate::domain::upload::Upload;
use crate::domain::upload_view::UploadView;
use crate::http::examples;
use crate::http::extract::json::member;
use crate::http::extract::{Caller, IdempotencyHeader, Json, NoBody, RecordPath, UploadPath};
use crate::http::problem::Problem;

type Answer = Result<HttpResponse, Problem>;

/// The record to attach to.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Attach)]
pub struct AttachBody {
    /// The record's id in the backend, `42` of `Product/42`.
    #[schema(min_length = 1, max_length = 255)]
    object_id: String,
}

impl TryFrom<AttachBody> for ObjectId {
    type Error = Problem;

    fn try_from(body: AttachBody) -> Result<ObjectId, Problem> {
        member("/object_id", ObjectId::parse(&body.object_id))
    }
}

/// Attach to a record
///
/// Attaches a confirmed upload to one record. On a field of cardinality `one`, the upload that the record had before is detached
/// in the same transaction, and its object is removed after the field's grace period. Attaching to the same record again returns
/// the same response.
#[utoipa::path(
    post, path = "/v1/uploads/{id}/attach", tag = "Attachments", operation_id = "attachUpload",
    security(("bearer" = ["attachments:write"])),
    params(
        ("id" = String, Path, description = "The upload's id.", example = json!(examples::ID)),
        ("idempotency-key" = Option<String>, Header, description = "Makes a retry within 24 hours return the upload in its current state. 1 to 255 visible ASCII characters."),
    ),
    request_body(content = AttachBody, example = json!(examples::attach_body())),
    responses(
        (status = 200, description = "The attached upload.", body = UploadView, example = json!(examples::attached())),
        (status = 403, description = "scope-insufficient"),
        (status = 404, description = "upload-not-found"),
        (status = 409, description = "already-attached, wrong-status, request-in-progress"),
        (status = 422, description = "unknown-field, idempotency-key-reused"),
    )
)]
pub async fn attach(
    caller: Caller,
    id: UploadPath,
    idempotency: IdempotencyHeader,
    Json(body): Json<AttachBody>,
    broker: web::Data<Broker>,
) -> Answer {
    let key = idempotency.key_for(&body)?;
    let upload = broker
        .attach(&caller.0, id.0, body.try_into()?, key)
        .await?;
    Ok(HttpResponse::Ok().json(UploadView::of(upload, &broker)))
}

/// Detach from its record
///
/// The object is removed after the field's grace period. Detaching again returns the same response.
#[utoipa::path(
    post, path = "/v1/uploads/{id}/detach", tag = "Attachments", operation_id = "detachUpload",
    security(("bearer" = ["attachments:write"])),
    params(("id" = String, Path, description = "The upload's id.", example = json!(examples::ID))),
    responses(
        (status = 200, description = "The detached upload.", body = UploadView, example = json!(examples::detached())),
        (status = 403, description = "scope-insufficient"),
        (status = 404, description = "upload-not-found"),
        (status = 409, description = "wrong-status"),
    )
)]
pub async fn detach(
    caller: Caller,
    id: UploadPath,
    _: NoBody,
    broker: web::Data<Broker>,
) -> Answer {
    let upload = broker.detach(&caller.0, id.0).await?;
    Ok(HttpResponse::Ok().json(UploadView::of(upload, &broker)))
}

/// The uploads that are attached to one record.
#[derive(Serialize, ToSchema)]
#[schema(as = Attachments)]
pub struct AttachmentsView {
    /// The uploads, newest first.
    data: Vec<UploadView>,
}

impl AttachmentsView {
    pub fn of(uploads: Vec<Upload>, broker: &Broker) -> AttachmentsView {
        let views = uploads
            .into_iter()
            .map(|upload| UploadView::of(upload, broker));
        AttachmentsView {
            data: views.collect(),
        }
    }
}

/// List a record's attachments
///
/// The uploads that are attached to a record, of all fields of its model, newest first, at most 1,000. A caller without the
/// scopes `uploads:confirm`, `attachments:write` and `ops` sees only its own uploads.
#[utoipa::path(
    get, path = "/v1/attachments/{model}/{object_id}", tag = "Attachments", operation_id = "listAttachments",
    security(("bearer" = ["uploads:write"]), ("bearer" = ["uploads:confirm"]),
        ("bearer" = ["attachments:write"]), ("bearer" = ["ops"])),
    params(
        ("model" = String, Path, description = "The model, the first part of a field's name.", example = json!("Product")),
        ("object_id" = String, Path, description = "The record's id, percent-encoded: a `/` in it is `%2F`.", example = json!("42")),
    ),
    responses(
        (status = 200, description = "The attached uploads; empty if there are none.", body = AttachmentsView,
            example = json!(examples::attachments())),
        (status = 403, description = "scope-insufficient"),
        (status = 422, description = "unknown-field"),
    )
)]
pub async fn list(caller: Caller, record: RecordPath, broker: web::Data<Broker>) -> Answer {
    let uploads = broker
        .attachments(&caller.0, record.model, record.object_id)
        .await?;
    Ok(HttpResponse::Ok().json(AttachmentsView::of(uploads, &broker)))
}
