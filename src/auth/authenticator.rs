//! The whole path from a bearer token to a principal: remembered? read it, find its issuer, find the key, check the
//! signature under the key's algorithm, judge the claims, remember it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::claims::{Accepted, ClaimRules};
use super::grants::{GRANT_ISSUER, GrantRules};
use super::keys::{Key, KeySet};
use super::options::{self, Algorithm, AuthSetupError, IssuerOptions, KeySource};
use super::signer::Signer;
use super::{pem, ring_provider};
use crate::auth::jwks::{RemoteKeys, Ticks};
use crate::auth::jws::{Compact, Kind, MAX_TOKEN_BYTES};
use crate::auth::token_cache::{Origin, Remembered, fingerprint};
use crate::domain::principal::Principal;
use crate::outbound::Outbound;

/// Why a request has no principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There was no token. 401.
    #[error("a bearer token is needed")]
    Missing,
    /// The token is bad. 401.
    #[error("{reason}")]
    Invalid {
        /// Why, in words fit for the public: fixed ones, so they never hold any of the token.
        reason: &'static str,
    },
    /// The issuer's keys can't be had, so nothing can be said about the token. 503, worth a retry after 30 s.
    #[error("the issuer's keys are unavailable")]
    KeysUnavailable,
}

const NO_SUCH_ISSUER: &str = "the token's issuer is unknown";

enum Keys {
    Configured(KeySet),
    Remote(Arc<RemoteKeys>),
}

struct Issuer {
    rules: ClaimRules,
    keys: Keys,
}

/// Turns bearer tokens into principals. One for the whole server; share it in an `Arc`.
pub struct Authenticator {
    issuers: Vec<Issuer>,
    grants: Option<GrantRules>,
    remembered: Remembered,
}

impl Authenticator {
    /// Checks the issuers and prepares their keys. Key sets are fetched when they are first needed.
    ///
    /// The error names the first issuer that can't be used as configured, what is wrong and what is allowed.
    pub fn new(
        issuers: Vec<IssuerOptions>,
        outbound: Outbound,
    ) -> Result<Authenticator, AuthSetupError> {
        Authenticator::with_ticks(issuers, outbound, Arc::new(Instant::now))
    }

    /// The same with another clock for the age of key sets.
    pub fn with_ticks(
        issuers: Vec<IssuerOptions>,
        outbound: Outbound,
        ticks: Ticks,
    ) -> Result<Authenticator, AuthSetupError> {
        ring_provider::install();
        options::check(&issuers)?;
        let prepare = |options: &IssuerOptions| {
            let keys = match &options.keys {
                KeySource::Jwks { url } => {
                    let (outbound, ticks) = (outbound.clone(), ticks.clone());
                    let remote = RemoteKeys::new(&options.name, url, outbound, ticks);
                    Keys::Remote(Arc::new(remote))
                }
                configured => Keys::Configured(configured_keys(configured).map_err(|problem| {
                    AuthSetupError {
                        issuer: options.name.clone(),
                        problem,
                    }
                })?),
            };
            let rules = ClaimRules::new(options);
            Ok(Issuer { rules, keys })
        };
        Ok(Authenticator {
            issuers: issuers.iter().map(prepare).collect::<Result<_, _>>()?,
            grants: None,
            remembered: Remembered::new(),
        })
    }

    /// Accepts the grants of this signer too. Without it no grant is a bearer.
    ///
    /// The error names an issuer that could be taken for the broker itself.
    pub fn with_grants_of(mut self, signer: &Signer) -> Result<Authenticator, AuthSetupError> {
        for Issuer { rules, .. } in &self.issuers {
            let problem = if rules.issuer == signer.issuer() {
                format!(
                    "\"{}\" is the broker's own issuer (receipts.issuer, or else server.public_url)",
                    rules.issuer
                )
            } else if rules.name == GRANT_ISSUER {
                format!("the name \"{GRANT_ISSUER}\" is that of the broker's own grants")
            } else {
                continue;
            };
            let issuer = rules.name.clone();
            return Err(AuthSetupError { issuer, problem });
        }
        self.grants = Some(GrantRules::new(signer));
        Ok(self)
    }

    /// For the tests of other rooms, which may not name `outbound`.
    #[cfg(test)]
    pub(crate) fn for_tests(issuers: Vec<IssuerOptions>) -> Authenticator {
        let outbound = Outbound::new().expect("an HTTP client needs no network");
        Authenticator::new(issuers, outbound).expect("a test's issuers are good")
    }

    /// The principal of a bearer token: the token alone, without the word `Bearer`.
    pub async fn authenticate(
        &self,
        bearer: &str,
        now: DateTime<Utc>,
    ) -> Result<Arc<Principal>, AuthError> {
        if bearer.is_empty() {
            return Err(AuthError::Missing);
        }
        // Checked before the hash, so that nobody makes us hash what we will refuse.
        if bearer.len() > MAX_TOKEN_BYTES {
            return Err(invalid("the token is longer than 8 KiB"));
        }
        let now_secs = now.timestamp_millis() as f64 / 1000.0;
        let seen = fingerprint(bearer.as_bytes());
        if let Some(entry) = self.remembered.get(&seen, now_secs) {
            if self.still_serves(entry.origin) {
                return Ok(entry.principal);
            }
            self.remembered.forget(&seen);
        }
        let token = Compact::parse(bearer).map_err(invalid)?;
        let (origin, accepted) = match token.kind {
            Kind::Caller => self.judge_caller(&token, now_secs).await?,
            Kind::Grant => {
                let grants = self.grants.as_ref().ok_or(invalid(NO_SUCH_ISSUER))?;
                let key = grants.key_of(&token).map_err(invalid)?;
                check_signature(&key, &token)?;
                let accepted = grants.judge(&token.claims, now_secs).map_err(invalid)?;
                (Origin::Own, accepted)
            }
        };
        let principal = Arc::new(accepted.principal);
        let expires_secs = accepted.expires_secs;
        self.remembered
            .insert(seen, principal.clone(), origin, now_secs, expires_secs);
        Ok(principal)
    }

    async fn judge_caller(
        &self,
        token: &Compact<'_>,
        now_secs: f64,
    ) -> Result<(Origin, Accepted), AuthError> {
        let (place, issuer) = self.issuer_of(token)?;
        let (key, generation) = issuer.keys.find(token).await?;
        check_signature(&key, token)?;
        let accepted = issuer
            .rules
            .judge(&token.claims, now_secs)
            .map_err(invalid)?;
        Ok((Origin::Issuer { place, generation }, accepted))
    }

    fn still_serves(&self, origin: Origin) -> bool {
        match origin {
            Origin::Own => true,
            Origin::Issuer { place, generation } => {
                self.issuers[place].keys.still_serve(generation)
            }
        }
    }

    fn issuer_of(&self, token: &Compact<'_>) -> Result<(usize, &Issuer), AuthError> {
        let iss = token.claims.get("iss").and_then(Value::as_str);
        let mut issuers = self.issuers.iter().enumerate();
        issuers
            .find(|(_, issuer)| iss == Some(issuer.rules.issuer.as_str()))
            .ok_or(invalid(NO_SUCH_ISSUER))
    }
}

impl Keys {
    async fn find(&self, token: &Compact<'_>) -> Result<(Arc<Key>, u64), AuthError> {
        let kid = token.kid.as_deref();
        match self {
            Keys::Configured(set) => set
                .find(kid)
                .map(|key| (key, 0))
                .ok_or(invalid("the token's key is unknown")),
            // A key set never holds a shared secret, so such a token is not worth a fetch.
            Keys::Remote(_) if token.algorithm == Algorithm::HS256 => {
                Err(invalid("the token's algorithm is not its key's"))
            }
            Keys::Remote(remote) => remote.find(kid).await,
        }
    }

    fn still_serve(&self, generation: u64) -> bool {
        match self {
            Keys::Configured(_) => true,
            Keys::Remote(remote) => remote.still_serves(generation),
        }
    }
}

fn configured_keys(source: &KeySource) -> Result<KeySet, String> {
    let keys = match source {
        KeySource::Secret { kid, secret } => vec![Key::from_secret(kid.clone(), secret)],
        KeySource::Pem(keys) => keys.iter().map(pem::read).collect::<Result<_, _>>()?,
        KeySource::Jwks { .. } => Vec::new(),
    };
    let (set, repeated) = KeySet::new(keys);
    match repeated.first() {
        None => Ok(set),
        Some(Some(kid)) => Err(format!(
            "two keys have the id \"{kid}\"; each id is used once"
        )),
        Some(None) => Err("two keys have no id; at most one may have none".to_owned()),
    }
}

/// The key says which algorithm counts; the header may only agree.
fn check_signature(key: &Key, token: &Compact<'_>) -> Result<(), AuthError> {
    if key.algorithm != token.algorithm {
        return Err(invalid("the token's algorithm is not its key's"));
    }
    if !key.verifies(token.message, token.signature) {
        return Err(invalid("the token's signature is wrong"));
    }
    Ok(())
}

fn invalid(reason: &'static str) -> AuthError {
    AuthError::Invalid { reason }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self
            .issuers
            .iter()
            .map(|it| it.rules.name.as_str())
            .collect();
        write!(f, "Authenticator {{ issuers: {names:?} }}")
    }
}
