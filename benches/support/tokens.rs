//! ES256 tokens, each of another user, and the key that verifies them.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;

use super::{Outcome, failed};

/// The issuer's name.
pub const ISSUER: &str = "https://shop.example";
/// How long the tokens live, in seconds.
const LIFETIME_SECS: u64 = 7_200;
/// What stands before the point in a P-256 public key (SubjectPublicKeyInfo).
const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Tokens and their key.
pub struct Tokens {
    /// The tokens.
    pub all: Vec<String>,
    /// The public key, as an operator would paste it.
    pub public_key_pem: String,
}

impl Tokens {
    /// `count` tokens for these scopes, signed now.
    pub fn sign(count: usize, scope: &str) -> Outcome<Tokens> {
        let (rng, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &rng).map_err(failed("a key"))?;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &rng)
            .map_err(failed("a key"))?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_err(failed("the clock"))?
            .as_secs();
        let token = |number: usize| {
            let claims = json!({
                "iss": ISSUER, "aud": "bytepass", "sub": number.to_string(),
                "scope": scope, "iat": now, "exp": now + LIFETIME_SECS,
            });
            let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
            let message = format!(
                "{}.{}",
                part(json!({"alg": "ES256", "typ": "JWT"})),
                part(claims)
            );
            let signature = key.sign(&rng, message.as_bytes());
            let signature = signature.map_err(failed("signing a token"))?;
            Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
        };
        let der = [&P256_PREFIX, key.public_key().as_ref()].concat();
        Ok(Tokens {
            all: (0..count.max(1)).map(token).collect::<Outcome<_>>()?,
            public_key_pem: format!(
                "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
                STANDARD.encode(der)
            ),
        })
    }
}
