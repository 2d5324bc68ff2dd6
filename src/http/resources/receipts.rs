//! What verifies a receipt. The receipts themselves come with the answer to a confirm.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use serde_json::Value;
use utoipa::ToSchema;

use crate::auth::Signer;

use crate::http::examples;

/// A key set, RFC 7517.
#[derive(ToSchema)]
#[schema(as = KeySet)]
#[allow(dead_code, reason = "describes what the signer publishes")]
pub struct KeySetView {
    /// Public keys, Ed25519 (`EdDSA`) or P-256 (`ES256`), each with its `kid`; the one that signs now comes first.
    #[schema(value_type = Vec<Object>)]
    keys: Vec<Value>,
}

/// The keys of receipts
///
/// The public keys that verify receipts, in a key set that every JWT library reads. While keys are rotated there are several.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "Receipts", operation_id = "readReceiptKeys", security(()),
    responses((status = 200, description = "The key set; it may be kept for five minutes.", body = KeySetView,
        headers(("cache-control" = String, description = "`public, max-age=300`.")),
        example = json!(examples::jwks())))
)]
pub async fn jwks(signer: web::Data<Signer>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .json(signer.jwks())
}
