//! From a bearer token to a principal: look it up in the cache; else parse it, find its issuer and its key, check the signature,
//! judge the claims, and cache the principal.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::claims::{Accepted, ClaimRules};
use super::error::{AuthError, AuthSetupError};
use super::grants::{GRANT_ISSUER, GrantRules};
use super::jws::{Jws, Kind, MAX_TOKEN_BYTES};
use super::keys::{self, Algorithm, Key, KeySet, RemoteKeys, Ticks};
use super::signer::Signer;
use super::token_cache::{Origin, TokenCache, fingerprint};
use crate::config::{Auth, IssuerKeys};
use crate::domain::principal::Principal;
use crate::outbound::{AddressRule, Outbound, check_url};

const NO_SUCH_ISSUER: &str = "the token's issuer is unknown";

enum Keys {
    Configured(KeySet),
    Remote(Arc<RemoteKeys>),
}

struct Issuer {
    rules: ClaimRules,
    keys: Keys,
}

/// Turns bearer tokens into principals. One per server, shared in an `Arc`.
pub struct Authenticator {
    issuers: Vec<Issuer>,
    grants: Option<GrantRules>,
    cache: TokenCache,
}

impl Authenticator {
    /// Prepares the issuers' keys. Key sets are fetched when they are first needed.
    ///
    /// The error names the first issuer that can't be used as configured, what is wrong and what is allowed.
    pub fn new(auth: &Auth, outbound: Outbound) -> Result<Authenticator, AuthSetupError> {
        Authenticator::with_ticks(auth, outbound, Arc::new(Instant::now))
    }

    /// The same with another clock for the age of key sets.
    pub fn with_ticks(
        auth: &Auth,
        outbound: Outbound,
        ticks: Ticks,
    ) -> Result<Authenticator, AuthSetupError> {
        keys::install_ring();
        let prepare = |issuer: &crate::config::Issuer| {
            let keys = match &issuer.keys {
                IssuerKeys::Jwks(url) => {
                    check_url(url.as_str(), AddressRule::AnyButLinkLocal)
                        .map_err(|error| format!("the key set's URL: {error}"))?;
                    let (outbound, ticks) = (outbound.clone(), ticks.clone());
                    let remote = RemoteKeys::new(&issuer.name, url.as_str(), outbound, ticks);
                    Keys::Remote(Arc::new(remote))
                }
                configured => Keys::Configured(configured_keys(configured)?),
            };
            let rules = ClaimRules::new(auth, issuer);
            Ok(Issuer { rules, keys })
        };
        let named = |issuer: &crate::config::Issuer| {
            prepare(issuer).map_err(|problem: String| AuthSetupError {
                issuer: issuer.name.clone(),
                problem,
            })
        };
        Ok(Authenticator {
            issuers: auth.issuers.iter().map(named).collect::<Result<_, _>>()?,
            grants: None,
            cache: TokenCache::new(),
        })
    }

    /// Accepts the grants of this signer too.
    ///
    /// The error names an issuer whose tokens could be taken for the broker's own.
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

    /// For the tests of modules that may not import `outbound`.
    #[cfg(test)]
    pub(crate) fn for_tests(auth: &Auth) -> Authenticator {
        let outbound = Outbound::new().expect("an HTTP client needs no network");
        Authenticator::new(auth, outbound).expect("a test's issuers are valid")
    }

    /// The principal of a bearer token, given without the word `Bearer`.
    pub async fn authenticate(
        &self,
        bearer: &str,
        now: DateTime<Utc>,
    ) -> Result<Arc<Principal>, AuthError> {
        if bearer.is_empty() {
            return Err(AuthError::Missing);
        }
        // Checked before the token is hashed, which limits the cost of a refusal.
        if bearer.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::invalid("the token is longer than 8 KiB"));
        }
        let now_secs = now.timestamp_millis() as f64 / 1000.0;
        let seen = fingerprint(bearer.as_bytes());
        if let Some(entry) = self.cache.get(&seen, now_secs) {
            if self.is_current(entry.origin) {
                return Ok(entry.principal);
            }
            self.cache.remove(&seen);
        }
        let token = Jws::parse(bearer).map_err(AuthError::invalid)?;
        let (origin, accepted) = match token.kind {
            Kind::Caller => self.judge_caller(&token, now_secs).await?,
            Kind::Grant => {
                let grants = self
                    .grants
                    .as_ref()
                    .ok_or(AuthError::invalid(NO_SUCH_ISSUER))?;
                let key = grants.key_of(&token).map_err(AuthError::invalid)?;
                check_signature(&key, &token)?;
                let accepted = grants
                    .judge(&token.claims, now_secs)
                    .map_err(AuthError::invalid)?;
                (Origin::Own, accepted)
            }
        };
        let principal = Arc::new(accepted.principal);
        let expires_secs = accepted.expires_secs;
        self.cache
            .insert(seen, principal.clone(), origin, now_secs, expires_secs);
        Ok(principal)
    }

    async fn judge_caller(
        &self,
        token: &Jws<'_>,
        now_secs: f64,
    ) -> Result<(Origin, Accepted), AuthError> {
        let (index, issuer) = self.issuer_of(token)?;
        let (key, generation) = issuer.keys.find(token).await?;
        check_signature(&key, token)?;
        let accepted = issuer
            .rules
            .judge(&token.claims, now_secs)
            .map_err(AuthError::invalid)?;
        Ok((Origin::Issuer { index, generation }, accepted))
    }

    fn is_current(&self, origin: Origin) -> bool {
        match origin {
            Origin::Own => true,
            Origin::Issuer { index, generation } => self.issuers[index].keys.is_current(generation),
        }
    }

    fn issuer_of(&self, token: &Jws<'_>) -> Result<(usize, &Issuer), AuthError> {
        let iss = token.claims.get("iss").and_then(Value::as_str);
        let mut issuers = self.issuers.iter().enumerate();
        issuers
            .find(|(_, issuer)| iss == Some(issuer.rules.issuer.as_str()))
            .ok_or(AuthError::invalid(NO_SUCH_ISSUER))
    }
}

impl Keys {
    async fn find(&self, token: &Jws<'_>) -> Result<(Arc<Key>, u64), AuthError> {
        let kid = token.kid.as_deref();
        match self {
            Keys::Configured(set) => set
                .find(kid)
                .map(|key| (key, 0))
                .ok_or(AuthError::invalid("the token's key is unknown")),
            // A key set never contains a shared secret, so such a token starts no fetch.
            Keys::Remote(_) if token.algorithm == Algorithm::HS256 => {
                Err(AuthError::invalid("the token's algorithm is not its key's"))
            }
            Keys::Remote(remote) => remote.find(kid).await,
        }
    }

    fn is_current(&self, generation: u64) -> bool {
        match self {
            Keys::Configured(_) => true,
            Keys::Remote(remote) => remote.is_current(generation),
        }
    }
}

fn configured_keys(source: &IssuerKeys) -> Result<KeySet, String> {
    let keys = match source {
        IssuerKeys::Secret { kid, secret } => vec![Key::from_secret(kid.clone(), secret)],
        IssuerKeys::Public(keys) => keys.iter().map(Key::from_pem).collect::<Result<_, _>>()?,
        IssuerKeys::Jwks(_) => Vec::new(),
    };
    // The configuration allows each id once.
    Ok(KeySet::new(keys).0)
}

/// Checks the signature under the key's algorithm, which the token's header must name.
fn check_signature(key: &Key, token: &Jws<'_>) -> Result<(), AuthError> {
    if key.algorithm != token.algorithm {
        return Err(AuthError::invalid("the token's algorithm is not its key's"));
    }
    if !key.verifies(token.message, token.signature) {
        return Err(AuthError::invalid("the token's signature is wrong"));
    }
    Ok(())
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
