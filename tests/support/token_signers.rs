//! Issuers: one signer for each algorithm, and tokens that differ from a valid one in one thing.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytepass::auth::{Algorithm, AuthError, AuthSetupError, Authenticator};
use bytepass::config::{Auth, Issuer, IssuerKeys, KeyAlgorithm, PublicKey};
use bytepass::domain::principal::Scope;
use bytepass::outbound::Outbound;
use chrono::{DateTime, Utc};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use ring::{hmac, rsa};
use serde_json::{Value, json};

pub const SECRET: &str = "a-test-secret-of-more-than-32-bytes";
pub const ISS: &str = "https://idp.example";
pub const AUD: &str = "bytepass";
pub const KID: &str = "key-1";
/// The time of the tests, seconds since 1970.
pub const NOW: i64 = 1_800_000_000;

pub fn at(secs: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(secs, 0).unwrap()
}

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

enum Private {
    Hs(hmac::Key),
    Rs(RsaKeyPair),
    Es(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// An issuer's private side.
pub struct Signer {
    pub algorithm: Algorithm,
    private: Private,
}

impl Signer {
    pub fn new(algorithm: Algorithm) -> Signer {
        let rng = SystemRandom::new();
        let private = match algorithm {
            Algorithm::HS256 => Private::Hs(hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes())),
            Algorithm::RS256 => {
                let pem = include_str!("../fixtures/rsa-2048-private.pem");
                Private::Rs(RsaKeyPair::from_pkcs8(&pem_body(pem)).unwrap())
            }
            Algorithm::ES256 => {
                let alg = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let document = EcdsaKeyPair::generate_pkcs8(alg, &rng).unwrap();
                Private::Es(EcdsaKeyPair::from_pkcs8(alg, document.as_ref(), &rng).unwrap())
            }
            Algorithm::EdDSA => {
                let document = Ed25519KeyPair::generate_pkcs8(&rng).unwrap();
                Private::Ed(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
            }
        };
        Signer { algorithm, private }
    }

    /// One for each algorithm.
    pub fn all() -> Vec<Signer> {
        use Algorithm::{ES256, EdDSA, HS256, RS256};
        [HS256, RS256, ES256, EdDSA].map(Signer::new).into()
    }

    pub fn sign(&self, message: &str) -> Vec<u8> {
        let (rng, message) = (SystemRandom::new(), message.as_bytes());
        match &self.private {
            Private::Hs(key) => hmac::sign(key, message).as_ref().to_vec(),
            Private::Rs(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &rng, message, &mut signature)
                    .unwrap();
                signature
            }
            Private::Es(key) => key.sign(&rng, message).unwrap().as_ref().to_vec(),
            Private::Ed(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    /// The public key as its library keeps it: PKCS#1, point, or the secret itself.
    pub fn public(&self) -> Vec<u8> {
        match &self.private {
            Private::Hs(_) => SECRET.as_bytes().to_vec(),
            Private::Rs(key) => key.public().as_ref().to_vec(),
            Private::Es(key) => key.public_key().as_ref().to_vec(),
            Private::Ed(key) => key.public_key().as_ref().to_vec(),
        }
    }

    /// The public key as an operator would paste it.
    pub fn pem(&self) -> String {
        let prefix: &[u8] = match self.algorithm {
            Algorithm::ES256 => &[
                0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
                0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
            ],
            Algorithm::EdDSA => &[
                0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
            ],
            Algorithm::RS256 => return include_str!("../fixtures/rsa-2048-public.pem").to_owned(),
            Algorithm::HS256 => return SECRET.to_owned(),
        };
        pem("PUBLIC KEY", &[prefix, &self.public()].concat())
    }

    /// The public key as a key set publishes it.
    pub fn jwk(&self, kid: &str) -> Value {
        let public = self.public();
        match &self.private {
            Private::Hs(_) => json!({"kty": "oct", "kid": kid, "k": b64(SECRET)}),
            Private::Rs(key) => {
                let parts = rsa::PublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({"kty": "RSA", "kid": kid, "n": b64(parts.n), "e": b64(parts.e)})
            }
            Private::Es(_) => json!({"kty": "EC", "crv": "P-256", "kid": kid,
                "x": b64(&public[1..33]), "y": b64(&public[33..])}),
            Private::Ed(_) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(public)})
            }
        }
    }

    /// The header of a good token.
    pub fn header(&self) -> Value {
        json!({"alg": self.algorithm.as_str(), "kid": KID, "typ": "JWT"})
    }

    /// A token of exactly this header and these claims, signed honestly.
    pub fn raw(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", b64(header), b64(claims));
        let signature = b64(self.sign(&message));
        format!("{message}.{signature}")
    }

    /// A good token but for what the claims say.
    pub fn token(&self, claims: &Value) -> String {
        self.raw(&self.header().to_string(), &claims.to_string())
    }

    pub fn source(&self) -> IssuerKeys {
        match self.algorithm {
            Algorithm::HS256 => IssuerKeys::Secret {
                kid: Some(KID.to_owned()),
                secret: SECRET.to_owned().into(),
            },
            algorithm => IssuerKeys::Public(vec![PublicKey {
                kid: Some(KID.to_owned()),
                algorithm: match algorithm {
                    Algorithm::RS256 => KeyAlgorithm::Rs256,
                    Algorithm::ES256 => KeyAlgorithm::Es256,
                    _ => KeyAlgorithm::EdDsa,
                },
                pem: self.pem(),
            }]),
        }
    }
}

/// The claims of a good token: an hour, all scopes.
pub fn claims() -> Value {
    json!({"iss": ISS, "aud": AUD, "sub": "1", "iat": NOW, "exp": NOW + 3600,
        "scope": "uploads:write uploads:confirm attachments:write grants:write ops"})
}

/// The same object with one member set, or removed where the value is `Value::Null`.
pub fn with(mut object: Value, name: &str, value: Value) -> Value {
    let members = object.as_object_mut().unwrap();
    match value {
        Value::Null => members.remove(name),
        value => members.insert(name.to_owned(), value),
    };
    object
}

pub fn options(keys: IssuerKeys) -> Issuer {
    Issuer {
        name: "shop".to_owned(),
        issuer: ISS.to_owned(),
        audience: AUD.to_owned(),
        owner_prefix: "user:".to_owned(),
        scopes: vec![Scope::UploadsWrite, Scope::UploadsConfirm],
        keys,
    }
}

/// The section `[auth]` with these issuers.
pub fn auth(issuers: Vec<Issuer>) -> Auth {
    Auth {
        leeway_secs: 30,
        max_token_lifetime_secs: 86_400,
        issuers,
    }
}

pub fn authenticator(issuers: Vec<Issuer>) -> Result<Authenticator, AuthSetupError> {
    Authenticator::new(&auth(issuers), Outbound::new().unwrap())
}

/// An authenticator with this one signer behind it.
pub fn trusting(signer: &Signer) -> Authenticator {
    authenticator(vec![options(signer.source())]).unwrap()
}

/// Why a token is refused; panics with `case` where it is accepted or something else happens.
pub fn reason<T: std::fmt::Debug>(outcome: Result<T, AuthError>, case: &str) -> &'static str {
    match outcome {
        Err(AuthError::Invalid { reason }) => reason,
        other => panic!("{case}: {other:?}"),
    }
}

pub fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

pub fn pem_body(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(body).unwrap()
}
