//! Mints development tokens for the `token` and `dev` commands. Production tokens come from issuers.

use chrono::{DateTime, Utc};
use jsonwebtoken::{EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::keys;
use crate::domain::principal::Scope;

/// The contents of a minted token.
#[derive(Debug, Clone)]
pub struct MintRequest<'a> {
    /// `iss`: the configured issuer.
    pub issuer: &'a str,
    /// `aud`: the configured audience.
    pub audience: &'a str,
    /// `sub`: the caller, 1 to 200 bytes.
    pub subject: &'a str,
    /// `scope`; the issuer's ceiling limits it when the token is used.
    pub scopes: &'a [Scope],
    /// `fields`: field names or `Model.*`; `None` for all fields.
    pub fields: Option<&'a [String]>,
    /// The key's id, if the secret is configured with one.
    pub kid: Option<&'a str>,
    /// `iat`.
    pub now: DateTime<Utc>,
    /// From `iat` to `exp`, in seconds.
    pub lifetime_secs: u32,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<&'a [String]>,
    iat: i64,
    exp: i64,
}

/// Signs a token with HS256.
pub fn mint_hs256(secret: &SecretString, request: &MintRequest<'_>) -> String {
    keys::install_ring();
    let names: Vec<&str> = request.scopes.iter().map(|scope| scope.as_str()).collect();
    let issued = request.now.timestamp();
    let claims = Claims {
        iss: request.issuer,
        aud: request.audience,
        sub: request.subject,
        scope: names.join(" "),
        fields: request.fields,
        iat: issued,
        exp: issued + i64::from(request.lifetime_secs),
    };
    let mut header = Header::new(jsonwebtoken::Algorithm::HS256);
    header.kid = request.kid.map(str::to_owned);
    let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
    jsonwebtoken::encode(&header, &claims, &key)
        .expect("text and numbers become JSON, and an HMAC takes any key")
}
