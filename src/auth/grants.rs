//! Judges the claims of a grant. A grant is verified with the broker's own keys only. Its bearer acts as the grant's owner, for its
//! field only.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::claims::Accepted;
use super::jws::Jws;
use super::keys::{self, Key, KeySet};
use super::signer::Signer;
use crate::domain::field::FieldName;
use crate::domain::ids::GrantId;
use crate::domain::principal::{FieldPattern, Principal, Scope};

/// [`Principal::issuer`] of a grant's bearer; no configured issuer may have this name.
pub(super) const GRANT_ISSUER: &str = "grant";

const UNREADABLE: &str = "the grant's jti, sub or field is missing or invalid";

/// The rules for the broker's own grants.
pub(super) struct GrantRules {
    issuer: String,
    audience: String,
    keys: KeySet,
}

impl GrantRules {
    pub(super) fn new(signer: &Signer) -> GrantRules {
        keys::install_ring();
        GrantRules {
            issuer: signer.issuer().to_owned(),
            audience: signer.grants_audience().to_owned(),
            keys: signer.verification_keys(),
        }
    }

    /// The broker's key that this token names.
    pub(super) fn key_of(&self, token: &Jws<'_>) -> Result<Arc<Key>, &'static str> {
        if token
            .claims
            .get("iss")
            .is_none_or(|iss| iss != &self.issuer)
        {
            return Err("the token's issuer is unknown");
        }
        let kid = token.kid.as_deref();
        self.keys.find(kid).ok_or("the token's key is unknown")
    }

    /// Judges the claims at a time in seconds since 1970. There is no leeway: the broker itself set `exp`, and it checks the grant's
    /// database row too.
    pub(super) fn judge(
        &self,
        claims: &Map<String, Value>,
        now_secs: f64,
    ) -> Result<Accepted, &'static str> {
        if claims.get("aud").is_none_or(|aud| aud != &self.audience) {
            return Err("the token is for another audience");
        }
        let text = |name: &str| claims.get(name).and_then(Value::as_str).ok_or(UNREADABLE);
        let expires = claims.get("exp").and_then(Value::as_f64);
        let expires_secs = expires.ok_or("the token has no exp")?;
        if now_secs >= expires_secs {
            return Err("the grant has expired");
        }
        let (jti, owner) = (text("jti")?, text("sub")?);
        let id = GrantId::parse(jti).map_err(|_| UNREADABLE)?;
        let field = FieldName::parse(text("field")?).map_err(|_| UNREADABLE)?;
        let principal = Principal {
            issuer: GRANT_ISSUER.to_owned(),
            subject: jti.to_owned(),
            owner: owner.to_owned(),
            scopes: vec![Scope::UploadsWrite],
            fields: Some(vec![FieldPattern::Exact(field)]),
            grant: Some(id),
        };
        Ok(Accepted {
            principal,
            expires_secs,
        })
    }
}
