//! The broker's own keys: reading them from PEM, making one, signing with them, and publishing their public halves.
//!
//! `signer` holds them. A file with a private key (PKCS#8) signs and is published; one with a public key
//! (SubjectPublicKeyInfo) is a retired key that is only published. No `Debug` shows a key, no error holds a PEM.

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

use super::keys::Key;
use super::options::Algorithm;

/// What stands before the 32 bytes of an Ed25519 seed in PKCS#8, as `openssl genpkey -algorithm ed25519` writes it.
const ED25519_PRIVATE_BEGINS: &[u8] =
    b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
/// What stands before the 32 bytes of an Ed25519 public key in SubjectPublicKeyInfo.
const ED25519_PUBLIC_BEGINS: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
/// What stands before the 65 bytes of an uncompressed P-256 point in SubjectPublicKeyInfo.
const P256_PUBLIC_BEGINS: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";

const NEEDED: &str = "must be an Ed25519 or P-256 key in PEM: a private one in PKCS#8 (`openssl genpkey -algorithm ed25519`), \
     or for a retired key its public one (`openssl pkey -pubout`)";

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair, SystemRandom),
}

/// One key of the broker's own: its id, its public half, and the private one unless it is retired.
pub(super) struct SigningKey {
    pub(super) kid: String,
    algorithm: Algorithm,
    /// Ed25519: 32 bytes. P-256: the uncompressed point, 65 bytes.
    public: Vec<u8>,
    pair: Option<Pair>,
}

impl SigningKey {
    /// Reads a PEM. The error follows the key's name and says what is needed.
    pub(super) fn read(kid: &str, pem: &SecretString) -> Result<SigningKey, String> {
        let (label, der) = decode(pem.expose_secret()).ok_or(NEEDED)?;
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
                    .expect("the system has random bytes, or nothing here was started")
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

    /// The public half, to verify what the broker itself signed.
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

/// Makes a new Ed25519 key, in the PEM that `openssl genpkey -algorithm ed25519` would write.
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
    let after = |begins: &[u8], len: usize| der.strip_prefix(begins).filter(|key| key.len() == len);
    if let Some(key) = after(ED25519_PUBLIC_BEGINS, 32) {
        return Ok((Algorithm::EdDSA, key.to_vec(), None));
    }
    match after(P256_PUBLIC_BEGINS, 65) {
        Some(point) if point[0] == 4 => Ok((Algorithm::ES256, point.to_vec(), None)),
        _ => Err(NEEDED.to_owned()),
    }
}

/// The label and the bytes of a PEM that holds one block and nothing else.
fn decode(pem: &str) -> Option<(&str, Vec<u8>)> {
    let (label, rest) = pem
        .trim()
        .strip_prefix("-----BEGIN ")?
        .split_once("-----")?;
    let body = rest.strip_suffix("-----")?.strip_suffix(label)?;
    let body = body.strip_suffix("-----END ")?;
    let text: String = body.split_ascii_whitespace().collect();
    Some((label, STANDARD.decode(text).ok()?))
}
