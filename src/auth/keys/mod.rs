//! Verification keys. Each key is pinned to its id and verifies under its own algorithm only.

mod jwk;
mod jwks;
mod pem;
mod ring_provider;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use jsonwebtoken::DecodingKey;
use secrecy::{ExposeSecret, SecretString};

use crate::config::{KeyAlgorithm, PublicKey};

pub(in crate::auth) use jwks::RemoteKeys;
pub use jwks::Ticks;
pub(in crate::auth) use pem::{decode_pem, decode_spki};
pub(in crate::auth) use ring_provider::install as install_ring;

/// The longest key id, in bytes.
pub(in crate::auth) const MAX_KID_BYTES: usize = 256;
/// Allowed sizes of an RSA modulus, in bits: shorter ones can be factored, longer ones only cost time.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The signature algorithms of accepted tokens.
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
    /// The value of `alg` in a token's header.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::HS256 => "HS256",
            Algorithm::RS256 => "RS256",
            Algorithm::ES256 => "ES256",
            Algorithm::EdDSA => "EdDSA",
        }
    }

    /// The algorithm with exactly this name. Letter case counts.
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

impl From<KeyAlgorithm> for Algorithm {
    fn from(algorithm: KeyAlgorithm) -> Algorithm {
        match algorithm {
            KeyAlgorithm::Rs256 => Algorithm::RS256,
            KeyAlgorithm::Es256 => Algorithm::ES256,
            KeyAlgorithm::EdDsa => Algorithm::EdDSA,
        }
    }
}

/// One verification key. `Debug` shows its id and its algorithm only.
pub(in crate::auth) struct Key {
    pub(in crate::auth) kid: Option<String>,
    pub(in crate::auth) algorithm: Algorithm,
    decoding: DecodingKey,
}

impl Key {
    pub(in crate::auth) fn new(
        kid: Option<String>,
        algorithm: Algorithm,
        decoding: DecodingKey,
    ) -> Key {
        Key {
            kid,
            algorithm,
            decoding,
        }
    }

    pub(in crate::auth) fn from_secret(kid: Option<String>, secret: &SecretString) -> Key {
        let decoding = DecodingKey::from_secret(secret.expose_secret().as_bytes());
        Key::new(kid, Algorithm::HS256, decoding)
    }

    /// The key of a PEM in the configuration, or what is wrong with it. The text never contains the PEM.
    pub(in crate::auth) fn from_pem(key: &PublicKey) -> Result<Key, String> {
        let algorithm = Algorithm::from(key.algorithm);
        let decoding = pem::public_key(&key.pem, algorithm).map_err(|problem| match &key.kid {
            Some(kid) => format!("key \"{kid}\": {problem}"),
            None => format!("the key without an id: {problem}"),
        })?;
        Ok(Key::new(key.kid.clone(), algorithm, decoding))
    }

    /// Whether `signature` (canonical base64url without padding) is this key's over `message`.
    pub(in crate::auth) fn verifies(&self, message: &str, signature: &str) -> bool {
        let algorithm = match self.algorithm {
            Algorithm::HS256 => jsonwebtoken::Algorithm::HS256,
            Algorithm::RS256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::ES256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::EdDSA => jsonwebtoken::Algorithm::EdDSA,
        };
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.decoding, algorithm)
            .unwrap_or(false)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = self.algorithm;
        write!(f, "Key {{ kid: {:?}, {algorithm:?} }}", self.kid)
    }
}

/// All keys of one issuer.
#[derive(Debug)]
pub(in crate::auth) struct KeySet {
    keys: Vec<Arc<Key>>,
}

impl KeySet {
    /// The set of these keys, and the ids that occur more than once. No key with such an id is kept, because a token can't say
    /// which of them it means.
    pub(in crate::auth) fn new(keys: Vec<Key>) -> (KeySet, Vec<Option<String>>) {
        let mut count: HashMap<Option<String>, usize> = HashMap::new();
        for key in &keys {
            *count.entry(key.kid.clone()).or_default() += 1;
        }
        let keys = keys
            .into_iter()
            .filter(|key| count[&key.kid] == 1)
            .map(Arc::new)
            .collect();
        let repeated = count.into_iter().filter(|(_, times)| *times > 1);
        (KeySet { keys }, repeated.map(|(kid, _)| kid).collect())
    }

    /// The key with this id. Without an id: the key of a set that has only one.
    pub(in crate::auth) fn find(&self, kid: Option<&str>) -> Option<Arc<Key>> {
        match (kid, self.keys.as_slice()) {
            (Some(_), keys) => keys
                .iter()
                .find(|key| key.kid.as_deref() == kid)
                .map(Arc::clone),
            (None, [only]) => Some(Arc::clone(only)),
            (None, _) => None,
        }
    }

    fn len(&self) -> usize {
        self.keys.len()
    }
}
