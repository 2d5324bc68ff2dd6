//! The pinned map from key id to key and algorithm. A key verifies under its own algorithm only.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use jsonwebtoken::DecodingKey;
use secrecy::{ExposeSecret, SecretString};

use super::options::Algorithm;

/// RSA keys outside these sizes are refused: shorter ones can be factored, longer ones only cost time.
pub(super) const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// One verification key, pinned to its id and its algorithm. `Debug` shows these two and no key.
pub(super) struct Key {
    pub(super) kid: Option<String>,
    pub(super) algorithm: Algorithm,
    decoding: DecodingKey,
}

impl Key {
    pub(super) fn new(kid: Option<String>, algorithm: Algorithm, decoding: DecodingKey) -> Key {
        Key {
            kid,
            algorithm,
            decoding,
        }
    }

    pub(super) fn from_secret(kid: Option<String>, secret: &SecretString) -> Key {
        let decoding = DecodingKey::from_secret(secret.expose_secret().as_bytes());
        Key::new(kid, Algorithm::HS256, decoding)
    }

    /// Whether `signature` (base64url, canonical, without padding) is this key's over `message`.
    pub(super) fn verifies(&self, message: &str, signature: &str) -> bool {
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
pub(super) struct KeySet {
    keys: Vec<Arc<Key>>,
}

impl KeySet {
    /// A set of these keys. The ids that more than one of them has come back beside it: no key is kept under such an id,
    /// because nothing says which of them a token means.
    pub(super) fn new(keys: Vec<Key>) -> (KeySet, Vec<Option<String>>) {
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

    /// The key that a token with this id means. A token without an id means the only key there is.
    pub(super) fn find(&self, kid: Option<&str>) -> Option<Arc<Key>> {
        match (kid, self.keys.as_slice()) {
            (Some(_), keys) => keys
                .iter()
                .find(|key| key.kid.as_deref() == kid)
                .map(Arc::clone),
            (None, [only]) => Some(Arc::clone(only)),
            (None, _) => None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}
