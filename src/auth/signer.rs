//! What the broker itself signs: receipts for backends, and grants for callers who have no token of their own.
//!
//! One [`Signer`] serves the whole server: `http` asks it for a receipt after a confirm and for a grant's token,
//! publishes its public keys, and `authenticator` believes the grants that it signed. The guarantee: `typ` and `aud` tell
//! receipts, grants and callers' tokens apart, so that none passes in another's place, although one key signs both.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Value, json};

use super::keys::{Key, KeySet};
use super::signing_key::SigningKey;
use crate::domain::attachment::ObjectId;
use crate::domain::field::FieldName;
use crate::domain::ids::GrantId;
use crate::domain::upload::Upload;

/// A receipt's `typ`.
pub(super) const RECEIPT_TYPE: &str = "receipt+jwt";
/// A grant's `typ`.
pub(super) const GRANT_TYPE: &str = "grant+jwt";

/// What a [`Signer`] is made from.
#[derive(Debug, Clone)]
pub struct SignerOptions {
    /// `iss` of everything it signs: a name that the broker keeps when its address changes. No caller's issuer may have it.
    pub issuer: String,
    /// `aud` of receipts.
    pub receipts_audience: String,
    /// How long a receipt lives, in seconds.
    pub receipt_lifetime_secs: u32,
    /// The keys. The first one that is private signs; all are published.
    pub keys: Vec<SigningKeyPem>,
}

/// A key of the broker's own, as configured.
#[derive(Debug, Clone)]
pub struct SigningKeyPem {
    /// Its id; each is used once.
    pub kid: String,
    /// PKCS#8 with an Ed25519 or P-256 key; or SubjectPublicKeyInfo, for a retired key that is only published.
    pub pem: SecretString,
}

/// A signing key that can't be used as configured: which one, and what is needed. It never holds the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SignerSetupError(String);

/// What a grant's token says. The row in the database says how much of it is left.
#[derive(Debug, Clone)]
pub struct GrantToken<'a> {
    /// Which grant: `jti`.
    pub id: GrantId,
    /// The one field that it is for.
    pub field: &'a FieldName,
    /// Whose uploads it makes: `sub`.
    pub owner: &'a str,
    /// The one record that its uploads are attached to.
    pub object_id: Option<&'a ObjectId>,
    /// When the grant was made, so that a repeated request gets the same token from an Ed25519 key.
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
    /// All keys; `active` is the place of the one that signs.
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
    /// Reads the keys. At least one must be private, and no two may have one id.
    pub fn new(options: SignerOptions) -> Result<Signer, SignerSetupError> {
        let mut keys: Vec<SigningKey> = Vec::new();
        for SigningKeyPem { kid, pem } in &options.keys {
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
        Ok(Signer {
            grants_audience: format!("{}/grants", options.issuer),
            issuer: options.issuer,
            receipts_audience: options.receipts_audience,
            receipt_lifetime_secs: options.receipt_lifetime_secs,
            keys,
            active,
        })
    }

    /// The receipt of an upload: what was recorded at its confirm, signed. `None` for one that was never confirmed.
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

    /// The token of a grant: the same text for the same grant as long as one Ed25519 key signs.
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
        let others = others.filter(|(place, _)| *place != self.active);
        let keys = std::iter::once(&self.keys[self.active]).chain(others.map(|(_, key)| key));
        json!({"keys": keys.map(SigningKey::jwk).collect::<Vec<_>>()})
    }

    /// `iss` of what it signs.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// `aud` of the grants that it signs.
    pub(super) fn grants_audience(&self) -> &str {
        &self.grants_audience
    }

    /// The keys that verify its grants.
    pub(super) fn verification_keys(&self) -> KeySet {
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
