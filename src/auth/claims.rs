//! Judges the claims of a token whose signature is verified.

use serde_json::{Map, Value};

use crate::config::{Auth, Issuer};
use crate::domain::principal::{FieldPattern, Principal, Scope};

/// The longest `sub`, in bytes.
const MAX_SUBJECT_BYTES: usize = 200;

/// The rules for one issuer's tokens.
#[derive(Debug)]
pub(super) struct ClaimRules {
    pub(super) name: String,
    pub(super) issuer: String,
    audience: String,
    owner_prefix: String,
    ceiling: Vec<Scope>,
    max_lifetime_secs: f64,
    leeway_secs: f64,
}

/// A caller, and when the token expires (`exp`, in seconds since 1970).
pub(super) struct Accepted {
    pub(super) principal: Principal,
    pub(super) expires_secs: f64,
}

impl ClaimRules {
    pub(super) fn new(auth: &Auth, issuer: &Issuer) -> ClaimRules {
        ClaimRules {
            name: issuer.name.clone(),
            issuer: issuer.issuer.clone(),
            audience: issuer.audience.clone(),
            owner_prefix: issuer.owner_prefix.clone(),
            ceiling: issuer.scopes.clone(),
            max_lifetime_secs: auth.max_token_lifetime_secs as f64,
            leeway_secs: auth.leeway_secs as f64,
        }
    }

    /// Judges the claims at a time in seconds since 1970. The error is a fixed text for the client.
    pub(super) fn judge(
        &self,
        claims: &Map<String, Value>,
        now_secs: f64,
    ) -> Result<Accepted, &'static str> {
        if claims.get("iss").is_none_or(|iss| iss != &self.issuer) {
            return Err("the token's issuer is unknown");
        }
        if !self.has_audience(claims.get("aud")) {
            return Err("the token is for another audience");
        }
        let expires_secs = self.check_times(claims, now_secs)?;
        let subject = subject(claims)?;
        let principal = Principal {
            issuer: self.name.clone(),
            owner: format!("{}{subject}", self.owner_prefix),
            subject,
            scopes: self.scopes(claims)?,
            fields: fields(claims)?,
            grant: None,
        };
        Ok(Accepted {
            principal,
            expires_secs,
        })
    }

    fn has_audience(&self, audience: Option<&Value>) -> bool {
        match audience {
            Some(Value::String(one)) => *one == self.audience,
            Some(Value::Array(list)) => {
                list.iter().all(Value::is_string) && list.iter().any(|one| one == &self.audience)
            }
            _ => false,
        }
    }

    fn check_times(&self, claims: &Map<String, Value>, now: f64) -> Result<f64, &'static str> {
        let Some(expires) = time(claims, "exp")? else {
            return Err("the token has no exp");
        };
        if now >= expires + self.leeway_secs {
            return Err("the token has expired");
        }
        if time(claims, "nbf")?.is_some_and(|from| from > now + self.leeway_secs) {
            return Err("the token is not valid yet");
        }
        let lifetime = match time(claims, "iat")? {
            Some(issued) if issued > now + self.leeway_secs => {
                return Err("the token was issued in the future");
            }
            Some(issued) => expires - issued,
            // Without `iat` only the remaining lifetime can be judged, by a clock that may be off by the leeway.
            None => expires - now - self.leeway_secs,
        };
        if lifetime > self.max_lifetime_secs {
            return Err("the token lives longer than this issuer's tokens may");
        }
        Ok(expires)
    }

    /// The token's scopes within the ceiling. Unknown names are ignored: they may be for another service.
    fn scopes(&self, claims: &Map<String, Value>) -> Result<Vec<Scope>, &'static str> {
        let granted: Vec<Scope> = match claims.get("scope") {
            None => Vec::new(),
            Some(Value::String(names)) => names.split(' ').filter_map(Scope::parse).collect(),
            Some(_) => return Err("the token's scope must be a string"),
        };
        let allowed = |scope: &Scope| granted.contains(scope) && self.ceiling.contains(scope);
        Ok(Scope::ALL.into_iter().filter(allowed).collect())
    }
}

/// A NumericDate: a JSON number of seconds since 1970, with fractions.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, &'static str> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => Ok(number.as_f64()),
        Some(_) => Err("a time in the token must be a number"),
    }
}

fn subject(claims: &Map<String, Value>) -> Result<String, &'static str> {
    match claims.get("sub") {
        Some(Value::String(subject))
            if (1..=MAX_SUBJECT_BYTES).contains(&subject.len())
                && !subject.contains(char::is_control) =>
        {
            Ok(subject.clone())
        }
        _ => Err("the token's sub must be a string of 1 to 200 bytes without control characters"),
    }
}

fn fields(claims: &Map<String, Value>) -> Result<Option<Vec<FieldPattern>>, &'static str> {
    let wrong = "the token's fields must be a list of field names or Model.*";
    let Some(value) = claims.get("fields") else {
        return Ok(None);
    };
    let patterns = value.as_array().ok_or(wrong)?.iter();
    patterns
        .map(|pattern| pattern.as_str().and_then(FieldPattern::parse).ok_or(wrong))
        .collect::<Result<_, _>>()
        .map(Some)
}
