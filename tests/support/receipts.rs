//! The key with which brokers of tests sign receipts, and tokens signed with it that no broker would sign.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, Ed25519KeyPair, UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::Value;

/// `iss` of every broker of the tests, so that each accepts the others' grants.
pub const ISSUER: &str = "https://broker.test";
/// The default `aud` of receipts.
pub const AUDIENCE: &str = "bytepass-receipts";
/// The key's id.
pub const KID: &str = "test-1";
/// The key of the tests' brokers.
pub const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAeFcwkC2jxYkxYLJgQQknIMr/4wG6X8qmNOINte1rn9\n-----END PRIVATE KEY-----\n";
/// The public half of a key that was retired.
pub const RETIRED_PEM: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEADw6kVaGZWoN/qA2aZyRVchNVgsMXivGJBe7GkenMGV4=\n-----END PUBLIC KEY-----\n";
/// A P-256 key.
pub const P256_PEM: &str = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgUUomiF2iVZzVCE3T\nJo+GBh64D7V0fsSKHR1aKYs+LgOhRANCAATJ54/Z8NN1jlCLijawB27K24HW///X\nRrqsOgj5drS3S9nOaygRoT+Ay4vXpZxo6FthwdoukKqxK98zlSIkhVGH\n-----END PRIVATE KEY-----\n";
/// Another key.
pub const OTHER_PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEICkHp0zfCR2ysYf6OIvBppGZc6sIGCpvGPJwjtlCDHHD\n-----END PRIVATE KEY-----\n";

/// A token's header and claims, unverified.
pub fn read(token: &str) -> (Value, Value) {
    let mut parts = token.split('.').map(|part| {
        let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
        serde_json::from_slice::<Value>(&bytes).unwrap_or(Value::Null)
    });
    let mut next = || parts.next().expect("three parts");
    (next(), next())
}

/// A token with this header and these claims, signed with an Ed25519 key in PEM.
pub fn sign(pem: &str, header: &Value, claims: &Value) -> String {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(body).expect("base64");
    let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).expect("an Ed25519 key");
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// Whether the token is signed by the key of this set which its header names, checked with ring.
pub fn verifies(token: &str, keys: &Value) -> bool {
    let (header, _) = read(token);
    let mut set = keys["keys"].as_array().expect("keys").iter();
    let Some(key) = set.find(|key| key["kid"] == header["kid"] && key["alg"] == header["alg"])
    else {
        return false;
    };
    let bytes = |name: &str| {
        let text = key[name].as_str().expect("a text");
        URL_SAFE_NO_PAD.decode(text).expect("base64url")
    };
    let (algorithm, public): (&dyn VerificationAlgorithm, Vec<u8>) = match key["kty"].as_str() {
        Some("OKP") => (&ED25519, bytes("x")),
        _ => (
            &ECDSA_P256_SHA256_FIXED,
            [vec![4], bytes("x"), bytes("y")].concat(),
        ),
    };
    let (message, signature) = token.rsplit_once('.').expect("a signature");
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    UnparsedPublicKey::new(algorithm, public)
        .verify(message.as_bytes(), &signature)
        .is_ok()
}

/// The same token with one claim changed, signed with the right key.
pub fn with_claim(token: &str, name: &str, value: Value) -> String {
    let (header, mut claims) = read(token);
    claims[name] = value;
    sign(PEM, &header, &claims)
}
