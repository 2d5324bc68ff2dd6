//! Signs receipts for backends, and grants for clients without a token of their own.
//!
//! One [`Signer`] serves the whole server. `typ` and `aud` keep receipts, grants and callers' tokens apart, although one key signs
//! receipts and grants: none is accepted in another's place.

mod signing_key;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::keys::{Key, KeySet};
use crate::config::{ReceiptKey, Receipts};
use crate::domain::attachment::ObjectId;
use crate::domain::field::FieldName;
use crate::domain::ids::GrantId;
use crate::domain::upload::Upload;

use signing_key::SigningKey;
pub use signing_key::new_signing_key_pem;

/// A receipt's `typ`.
pub(in crate::auth) const RECEIPT_TYPE: &str = "receipt+jwt";
/// A grant's `typ`.
pub(in crate::auth) const GRANT_TYPE: &str = "grant+jwt";

/// A signing key that can't be used as configured: which one, and what is allowed. It never contains the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SignerSetupError(String);

/// The contents of a grant's token. The grant's database row says how many uploads are left.
#[derive(Debug, Clone)]
pub struct GrantToken<'a> {
    /// The grant's id: `jti`.
    pub id: GrantId,
    /// The only field that it allows.
    pub field: &'a FieldName,
    /// The owner of its uploads: `sub`.
    pub owner: &'a str,
    /// The only object that its uploads are attached to.
    pub object_id: Option<&'a ObjectId>,
    /// When the grant was created: a repeated request gets the same token from an Ed25519 key.
    pub issued_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// Signs receipts and grants. `Debug` shows key ids and no key.
#[derive(Debug)]
pub struct Signer {
    issuer: String,
    receipts_audience: String,
    grants_audience: String,
    receipt_lifetime_secs: u32,
    /// All keys; `active` is the index of the one that signs.
    keys: Vec<SigningKey>,
    active: usize,
}

#[derive(Serialize)]
struct ReceiptClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    jti: String,
    field: &'a str,
    object_id: Option<&'a str>,
    bucket: &'a str,
    key: &'a str,
    name: &'a str,
    size: u64,
    content_type: &'a str,
    checksum: Option<Value>,
    etag: &'a str,
    iat: i64,
    exp: i64,
}

#[derive(Serialize)]
struct GrantClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    jti: String,
    field: &'a str,
    object_id: Option<&'a str>,
    iat: i64,
    exp: i64,
}

impl Signer {
    /// Reads the keys, of which at least one must be private. Without a configured issuer, `url` is the issuer.
    pub fn new(receipts: &Receipts, url: &str) -> Result<Signer, SignerSetupError> {
        let mut keys: Vec<SigningKey> = Vec::new();
        for ReceiptKey { kid, pem } in &receipts.keys {
            if keys.iter().any(|earlier| earlier.kid == *kid) {
                let problem = format!("two keys have the id \"{kid}\"; each id is used once");
                return Err(SignerSetupError(problem));
            }
            let key = SigningKey::read(kid, pem)
                .map_err(|problem| SignerSetupError(format!("key \"{kid}\" {problem}")))?;
            keys.push(key);
        }
        let active = keys.iter().position(|key| !key.is_retired()).ok_or_else(|| {
            SignerSetupError("there is no private key to sign with; make one with `openssl genpkey -algorithm ed25519 -out receipts.pem`".to_owned())
        })?;
        let issuer = receipts.issuer.clone().unwrap_or_else(|| url.to_owned());
        Ok(Signer {
            grants_audience: format!("{issuer}/grants"),
            issuer,
            receipts_audience: receipts.audience.clone(),
            receipt_lifetime_secs: receipts.lifetime_secs,
            keys,
            active,
        })
    }

    /// The receipt of an upload: the signed facts of its confirm. `None` for an unconfirmed upload.
    pub fn receipt(&self, upload: &Upload, now: DateTime<Utc>) -> Option<String> {
        let confirmation = upload.confirmation.as_ref()?;
        let checksum = upload.checksum.as_ref().map(|checksum| {
            json!({"algorithm": checksum.algorithm().as_str(), "value": checksum.value()})
        });
        let issued = now.timestamp();
        Some(self.sign(
            RECEIPT_TYPE,
            &ReceiptClaims {
                iss: &self.issuer,
                aud: &self.receipts_audience,
                sub: &upload.owner,
                jti: upload.id.to_string(),
                field: upload.field.as_str(),
                object_id: upload.object_id.as_ref().map(ObjectId::as_str),
                bucket: &upload.bucket,
                key: confirmation.key.as_str(),
                name: confirmation.key.name(),
                size: upload.size,
                content_type: upload.content_type.as_str(),
                checksum,
                etag: &confirmation.etag,
                iat: issued,
                exp: issued + i64::from(self.receipt_lifetime_secs),
            },
        ))
    }

    /// The token of a grant. The same Ed25519 key signs the same text for the same grant.
    pub fn grant_token(&self, grant: &GrantToken<'_>) -> String {
        self.sign(
            GRANT_TYPE,
            &GrantClaims {
                iss: &self.issuer,
                aud: &self.grants_audience,
                sub: grant.owner,
                jti: grant.id.to_string(),
                field: grant.field.as_str(),
                object_id: grant.object_id.map(ObjectId::as_str),
                iat: grant.issued_at.timestamp(),
                exp: grant.expires_at.timestamp(),
            },
        )
    }

    /// The public keys as a JSON Web Key Set, the one that signs first.
    pub fn jwks(&self) -> Value {
        let others = self.keys.iter().enumerate();
        let others = others.filter(|(index, _)| *index != self.active);
        let keys = std::iter::once(&self.keys[self.active]).chain(others.map(|(_, key)| key));
        json!({"keys": keys.map(SigningKey::jwk).collect::<Vec<_>>()})
    }

    /// `iss` of what it signs.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// `aud` of the grants that it signs.
    pub(in crate::auth) fn grants_audience(&self) -> &str {
        &self.grants_audience
    }

    /// The keys that verify its grants.
    pub(in crate::auth) fn verification_keys(&self) -> KeySet {
        let keys: Vec<Key> = self.keys.iter().map(SigningKey::verification_key).collect();
        KeySet::new(keys).0
    }

    /// A compact JWS (RFC 7515) over the claims.
    fn sign(&self, typ: &str, claims: &impl Serialize) -> String {
        let key = &self.keys[self.active];
        let header = json!({"alg": key.algorithm(), "kid": key.kid, "typ": typ}).to_string();
        let claims = serde_json::to_vec(claims).expect("text and numbers become JSON");
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = key
            .sign(token.as_bytes())
            .expect("the active key is private");
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }
}
