//! The public keys that verify receipts. The receipts themselves are part of the response to confirm.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use serde_json::Value;
use utoipa::ToSchema;

use crate::auth::Signer;

use crate::http::examples;

/// A JSON Web Key Set, RFC 7517.
#[derive(ToSchema)]
#[schema(as = KeySet)]
#[allow(dead_code, reason = "describes what the signer publishes")]
pub struct KeySetView {
    /// Public keys, Ed25519 (`EdDSA`) or P-256 (`ES256`), each with its `kid`. The current signing key comes first.
    #[schema(value_type = Vec<Object>)]
    keys: Vec<Value>,
}

/// Get the receipt keys
///
/// The public keys that verify receipts, as a JSON Web Key Set. During a key rotation there are several.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "Receipts", operation_id = "readReceiptKeys", security(()),
    responses((status = 200, description = "The key set; it may be cached for five minutes.", body = KeySetView,
        headers(("cache-control" = String, description = "`public, max-age=300`.")),
        example = json!(examples::jwks())))
)]
pub async fn jwks(signer: web::Data<Signer>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .json(signer.jwks())
}
