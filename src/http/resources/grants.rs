//! Minting grants: a backend lets a page or an app without a token of its own upload a few files.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::{GrantToken, Signer};
use crate::broker::{Broker, MintGrant};
use crate::domain::attachment::ObjectId;
use crate::domain::field::FieldName;
use crate::domain::grant::Grant;

use crate::http::examples;
use crate::http::extract::json::{member, whole_bytes_or_null, whole_number};
use crate::http::extract::{Caller, Json, Repeatable};
use crate::http::problem::Problem;
use crate::http::public_url::PublicUrl;
use crate::http::views::time;

/// What a grant is to allow.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MintGrant)]
pub struct MintGrantBody {
    /// The one model field that it is for.
    field: String,
    /// Whose its uploads are.
    #[schema(min_length = 1, max_length = 255)]
    owner: String,
    /// The one record that its uploads are for: a confirm attaches them to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    object_id: Option<String>,
    /// How many uploads it allows; 1 where absent.
    #[serde(
        default,
        deserialize_with = "whole_number",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(minimum = 1, maximum = 1000)]
    max_uploads: Option<u64>,
    /// The most bytes of each of them; what the field takes where absent, and never more.
    #[serde(
        default,
        deserialize_with = "whole_bytes_or_null",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(minimum = 1, maximum = 9007199254740991u64)]
    max_size: Option<u64>,
    /// How long it lives, in seconds; 900 where absent.
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
    /// A bearer token: whoever has it may upload under the grant.
    grant: String,
    /// When it ends.
    #[schema(format = DateTime)]
    expires_at: String,
    /// What Uppy takes as `endpoint` or `companionUrl`; holds the token too.
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

/// Mint a grant
///
/// For a page or an app that has no token of its own: a short-lived bearer token for one field, and for one record where
/// `object_id` names one. It creates, confirms, presigns, reads and cancels only the uploads made under it, and lists nothing.
/// Each upload counts, canceled ones too. The same request again with the same `Idempotency-Key` is the same grant.
#[utoipa::path(
    post, path = "/v1/grants", tag = "Grants", operation_id = "mintGrant",
    security(("bearer" = ["grants:write"])),
    params(("idempotency-key" = Option<String>, Header, description = "Makes a retry within 24 hours return the same grant: 1 to 255 visible ASCII characters.")),
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
    repeatable: Repeatable,
    Json(body): Json<MintGrantBody>,
    broker: web::Data<Broker>,
    signer: web::Data<Signer>,
    public_url: web::Data<PublicUrl>,
) -> Result<HttpResponse, Problem> {
    let key = repeatable.with(&body)?;
    let grant = broker.mint_grant(&caller.0, body.try_into()?, key).await?;
    let view = GrantView::of(&grant, &signer, public_url.as_str());
    Ok(HttpResponse::Created().json(view))
}
