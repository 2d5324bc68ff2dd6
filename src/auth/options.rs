//! What an operator configures about issuers, and what is wrong with it. `app` fills these from the configuration.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::domain::principal::Scope;
use crate::outbound::{AddressRule, check_url};

/// The longest leeway that an issuer may have, in seconds.
const MAX_LEEWAY_SECS: u64 = 30;
/// The shortest HS256 secret, in bytes: shorter than the hash, and it can be guessed offline from one token.
const MIN_SECRET_BYTES: usize = 32;

/// A signature algorithm that the broker accepts. There are no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256 and a shared secret.
    HS256,
    /// RSA PKCS#1 v1.5 with SHA-256, keys of 2048 to 8192 bits.
    RS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

impl Algorithm {
    /// The algorithm's name in a token's header and in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::HS256 => "HS256",
            Algorithm::RS256 => "RS256",
            Algorithm::ES256 => "ES256",
            Algorithm::EdDSA => "EdDSA",
        }
    }

    /// The algorithm with exactly this name, letter case included.
    pub fn parse(name: &str) -> Option<Algorithm> {
        [
            Algorithm::HS256,
            Algorithm::RS256,
            Algorithm::ES256,
            Algorithm::EdDSA,
        ]
        .into_iter()
        .find(|algorithm| algorithm.as_str() == name)
    }
}

/// A public key in PEM.
#[derive(Clone)]
pub struct PemKey {
    /// The id that tokens name the key by. `None`: tokens without an id, which needs this to be the only key.
    pub kid: Option<String>,
    /// The one algorithm that this key verifies.
    pub algorithm: Algorithm,
    /// `PUBLIC KEY` (SubjectPublicKeyInfo), or `RSA PUBLIC KEY` (PKCS#1).
    pub pem: String,
}

/// Where an issuer's keys come from.
#[derive(Clone)]
pub enum KeySource {
    /// A secret shared with the issuer; HS256.
    Secret {
        /// The id that tokens name it by; `None` for tokens without one.
        kid: Option<String>,
        /// At least 32 bytes.
        secret: SecretString,
    },
    /// Public keys from the configuration.
    Pem(Vec<PemKey>),
    /// A key set at a URL: https, or http on loopback.
    Jwks {
        /// The set's address.
        url: String,
    },
}

/// One issuer of tokens.
#[derive(Debug, Clone)]
pub struct IssuerOptions {
    /// The configured name, for principals, logs and errors.
    pub name: String,
    /// What the token's `iss` must be.
    pub issuer: String,
    /// What the token's `aud` must be or contain.
    pub audience: String,
    /// Put before `sub` to name the owner. No two issuers' prefixes may let them name the same owner.
    pub owner_prefix: String,
    /// The ceiling: scopes beyond it are dropped from a token.
    pub scopes: Vec<Scope>,
    /// The longest life of a token, in seconds.
    pub max_lifetime_secs: u64,
    /// How far clocks may disagree, in seconds, at most 30.
    pub leeway_secs: u64,
    /// The keys.
    pub keys: KeySource,
}

/// An issuer that can't be used as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("issuer `{issuer}`: {problem}")]
pub struct AuthSetupError {
    /// The issuer's configured name.
    pub issuer: String,
    /// What is wrong, and what is allowed.
    pub problem: String,
}

impl fmt::Debug for PemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = self.algorithm;
        write!(f, "PemKey {{ kid: {:?}, {algorithm:?} }}", self.kid)
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySource::Secret { kid, .. } => write!(f, "Secret {{ kid: {kid:?} }}"),
            KeySource::Pem(keys) => f.debug_tuple("Pem").field(keys).finish(),
            KeySource::Jwks { url } => write!(f, "Jwks {{ url: {url:?} }}"),
        }
    }
}

/// Checks everything but the PEM keys themselves: each issuer alone, then each pair.
pub(super) fn check(issuers: &[IssuerOptions]) -> Result<(), AuthSetupError> {
    for (index, issuer) in issuers.iter().enumerate() {
        let wrong = |problem: String| AuthSetupError {
            issuer: issuer.name.clone(),
            problem,
        };
        check_alone(issuer).map_err(wrong)?;
        for earlier in &issuers[..index] {
            check_pair(earlier, issuer).map_err(wrong)?;
        }
    }
    Ok(())
}

fn check_alone(issuer: &IssuerOptions) -> Result<(), String> {
    if issuer.issuer.is_empty() || issuer.audience.is_empty() {
        return Err("`issuer` and `audience` may not be empty".to_owned());
    }
    if issuer.leeway_secs > MAX_LEEWAY_SECS {
        let given = issuer.leeway_secs;
        return Err(format!(
            "a leeway of {given} s; at most {MAX_LEEWAY_SECS} s is allowed"
        ));
    }
    if issuer.max_lifetime_secs == 0 {
        return Err("a maximum lifetime of 0 s; at least 1 s is needed".to_owned());
    }
    match &issuer.keys {
        KeySource::Secret { secret, .. } => {
            let given = secret.expose_secret().len();
            (given >= MIN_SECRET_BYTES).then_some(()).ok_or_else(|| {
                format!("a secret of {given} bytes; at least {MIN_SECRET_BYTES} are needed")
            })
        }
        KeySource::Pem(keys) if keys.is_empty() => Err("no key; at least one is needed".to_owned()),
        KeySource::Pem(_) => Ok(()),
        KeySource::Jwks { url } => check_url(url, AddressRule::AnyButLinkLocal)
            .map(|_| ())
            .map_err(|error| format!("the key set's URL: {error}")),
    }
}

fn check_pair(earlier: &IssuerOptions, later: &IssuerOptions) -> Result<(), String> {
    if earlier.issuer == later.issuer {
        let (name, iss) = (&earlier.name, &later.issuer);
        return Err(format!(
            "`{name}` has the same issuer \"{iss}\"; each issuer is configured once"
        ));
    }
    // With prefixes `u:` and `u:a:` the first issuer's subject `a:1` would be the second one's subject `1`.
    let (first, second) = (&earlier.owner_prefix, &later.owner_prefix);
    if first.starts_with(second.as_str()) || second.starts_with(first.as_str()) {
        let name = &earlier.name;
        return Err(format!(
            "its owner prefix \"{second}\" and \"{first}\" of `{name}` can name the same owner; neither may begin with the other"
        ));
    }
    Ok(())
}
