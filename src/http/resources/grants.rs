//! Grants: a backend mints a short-lived token with which a page or an app without a token of its own uploads a few files.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::{GrantToken, Signer};
use crate::broker::{Broker, MintGrant};
use crate::domain::attachment::ObjectId;
use crate::domain::field::FieldName;
use crate::domain::grant::Grant;

use crate::domain::upload_view::time;
use crate::http::examples;
use crate::http::extract::json::{member, whole_bytes_or_null, whole_number};
use crate::http::extract::{Caller, IdempotencyHeader, Json};
use crate::http::problem::Problem;
use crate::http::public_url::PublicUrl;

/// The limits of a grant.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MintGrant)]
pub struct MintGrantBody {
    /// The model field that it allows uploads for.
    field: String,
    /// The owner of its uploads.
    #[schema(min_length = 1, max_length = 255)]
    owner: String,
    /// The id of the record that its uploads are for: confirm attaches them to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    object_id: Option<String>,
    /// The number of uploads that it allows; 1 by default.
    #[serde(
        default,
        deserialize_with = "whole_number",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(minimum = 1, maximum = 1000)]
    max_uploads: Option<u64>,
    /// The largest size of each upload, in bytes; by default, and at most, the field's limit.
    #[serde(
        default,
        deserialize_with = "whole_bytes_or_null",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(minimum = 1, maximum = 9007199254740991u64)]
    max_size: Option<u64>,
    /// Its lifetime, in seconds; 900 by default.
    #[serde(
        default,
        deserialize_with = "whole_number",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(minimum = 1, maximum = 86400)]
    expires_in: Option<u64>,
}

impl TryFrom<MintGrantBody> for MintGrant {
    type Error = Problem;

    fn try_from(body: MintGrantBody) -> Result<MintGrant, Problem> {
        let object_id = body.object_id.as_deref().map(ObjectId::parse).transpose();
        Ok(MintGrant {
            field: member("/field", FieldName::parse(&body.field))?,
            owner: body.owner,
            object_id: member("/object_id", object_id)?,
            max_uploads: body.max_uploads,
            max_size: body.max_size,
            expires_in_secs: body.expires_in,
        })
    }
}

/// A grant.
#[derive(Serialize, ToSchema)]
#[schema(as = Grant)]
pub struct GrantView {
    /// A bearer token for uploads under the grant.
    grant: String,
    /// When it expires.
    #[schema(format = DateTime)]
    expires_at: String,
    /// The value for Uppy's `endpoint` or `companionUrl`; contains the token.
    uppy_endpoint: String,
}

impl GrantView {
    fn of(grant: &Grant, signer: &Signer, public_url: &str) -> GrantView {
        let token = signer.grant_token(&GrantToken {
            id: grant.id,
            field: &grant.field,
            owner: &grant.owner,
            object_id: grant.object_id.as_ref(),
            issued_at: grant.created_at,
            expires_at: grant.expires_at,
        });
        GrantView {
            uppy_endpoint: format!("{public_url}/g/{token}"),
            grant: token,
            expires_at: time(grant.expires_at),
        }
    }
}

/// Create a grant
///
/// For a page or an app that has no token of its own: a short-lived bearer token for one field and, with `object_id`, for one
/// record. It creates uploads, and confirms, presigns, reads and cancels only those created under it; it cannot list. Each upload
/// counts towards `max_uploads`, canceled ones too. A retry with the same `Idempotency-Key` returns the same grant.
#[utoipa::path(
    post, path = "/v1/grants", tag = "Grants", operation_id = "mintGrant",
    security(("bearer" = ["grants:write"])),
    params(("idempotency-key" = Option<String>, Header, description = "Makes a retry within 24 hours return the same grant. 1 to 255 visible ASCII characters.")),
    request_body(content = MintGrantBody, example = json!(examples::mint_body())),
    responses(
        (status = 201, description = "The grant.", body = GrantView, example = json!(examples::grant())),
        (status = 403, description = "scope-insufficient, field-not-allowed"),
        (status = 409, description = "request-in-progress"),
        (status = 422, description = "unknown-field, size-not-allowed, idempotency-key-reused"),
    )
)]
pub async fn mint(
    caller: Caller,
    idempotency: IdempotencyHeader,
    Json(body): Json<MintGrantBody>,
    broker: web::Data<Broker>,
    signer: web::Data<Signer>,
    public_url: web::Data<PublicUrl>,
) -> Result<HttpResponse, Problem> {
    let key = idempotency.key_for(&body)?;
    let grant = broker.mint_grant(&caller.0, body.try_into()?, key).await?;
    let view = GrantView::of(&grant, &signer, public_url.as_str());
    Ok(HttpResponse::Created().json(view))
}
