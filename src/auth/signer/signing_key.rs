//! One key of the broker's own. A private key (PKCS#8) signs and is published; a public key (SubjectPublicKeyInfo) is a retired key
//! that is only published. No `Debug` shows a key, no error contains a PEM.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::auth::keys::{Algorithm, Key, decode_pem, decode_spki};

/// PKCS#8 up to the 32 bytes of an Ed25519 seed, as `openssl genpkey -algorithm ed25519` writes it.
const ED25519_PRIVATE_BEGINS: &[u8] =
    b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
const NEEDED: &str = "must be an Ed25519 or P-256 key in PEM: a private one in PKCS#8 (`openssl genpkey -algorithm ed25519`), \
     or for a retired key its public one (`openssl pkey -pubout`)";

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair, SystemRandom),
}

/// A key with its id, its public half, and the private half unless it is retired.
pub(super) struct SigningKey {
    pub(super) kid: String,
    algorithm: Algorithm,
    /// Ed25519: 32 bytes. P-256: the uncompressed point, 65 bytes.
    public: Vec<u8>,
    pair: Option<Pair>,
}

impl SigningKey {
    /// Reads a PEM. The error continues a sentence that begins with the key's name.
    pub(super) fn read(kid: &str, pem: &SecretString) -> Result<SigningKey, String> {
        let (label, der) = decode_pem(pem.expose_secret()).ok_or(NEEDED)?;
        let (algorithm, public, pair) = match label {
            "PRIVATE KEY" => private(&der)?,
            "PUBLIC KEY" => public(&der)?,
            _ => return Err(NEEDED.to_owned()),
        };
        Ok(SigningKey {
            kid: kid.to_owned(),
            algorithm,
            public,
            pair,
        })
    }

    pub(super) fn is_retired(&self) -> bool {
        self.pair.is_none()
    }

    /// The name of its algorithm, for a token's header.
    pub(super) fn algorithm(&self) -> &'static str {
        self.algorithm.as_str()
    }

    /// Signs a message; `None` if the key is retired.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self.pair.as_ref()? {
            Pair::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
            Pair::P256(pair, random) => Some(
                pair.sign(random, message)
                    .expect("the system provides random bytes")
                    .as_ref()
                    .to_vec(),
            ),
        }
    }

    /// The public half as a JSON Web Key (RFC 7517, RFC 8037).
    pub(super) fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (kid, alg) = (&self.kid, self.algorithm());
        match self.algorithm {
            Algorithm::EdDSA => json!({"kty": "OKP", "crv": "Ed25519", "x": text(&self.public),
                "kid": kid, "alg": alg, "use": "sig"}),
            _ => {
                json!({"kty": "EC", "crv": "P-256", "x": text(&self.public[1..33]), "y": text(&self.public[33..]),
                "kid": kid, "alg": alg, "use": "sig"})
            }
        }
    }

    /// The public half, which verifies grants.
    pub(super) fn verification_key(&self) -> Key {
        let decoding = match self.algorithm {
            Algorithm::EdDSA => DecodingKey::from_ed_der(&self.public),
            _ => DecodingKey::from_ec_der(&self.public),
        };
        Key::new(Some(self.kid.clone()), self.algorithm, decoding)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kid, algorithm) = (&self.kid, self.algorithm);
        write!(f, "SigningKey {{ kid: {kid:?}, {algorithm:?} }}")
    }
}

/// A new Ed25519 key, in the PEM that `openssl genpkey -algorithm ed25519` writes.
pub fn new_signing_key_pem() -> SecretString {
    let der = [ED25519_PRIVATE_BEGINS, &rand::random::<[u8; 32]>()].concat();
    let body = STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n").into()
}

type Parts = (Algorithm, Vec<u8>, Option<Pair>);

fn private(der: &[u8]) -> Result<Parts, String> {
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
        let public = pair.public_key().as_ref().to_vec();
        return Ok((Algorithm::EdDSA, public, Some(Pair::Ed25519(pair))));
    }
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random)
        .map_err(|_| NEEDED)?;
    let public = pair.public_key().as_ref().to_vec();
    Ok((Algorithm::ES256, public, Some(Pair::P256(pair, random))))
}

fn public(der: &[u8]) -> Result<Parts, String> {
    match decode_spki(der) {
        Some((algorithm @ (Algorithm::EdDSA | Algorithm::ES256), key)) => {
            Ok((algorithm, key.to_vec(), None))
        }
        _ => Err(NEEDED.to_owned()),
    }
}
