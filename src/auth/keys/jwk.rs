//! Parses a published key set (RFC 7517) into the keys that may verify tokens.
//!
//! A key that may not is skipped with a reason, so that an issuer may publish other keys too; a document that is not a key set is
//! refused. Not jsonwebtoken's `jwk` module: it refuses the whole set for one unknown `alg` or `kty`, accepts repeated members and
//! private keys, checks no sizes, and passes on the leading zeros that some issuers send and ring refuses.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use super::pem::bit_length;
use super::{Algorithm, Key, KeySet, MAX_KID_BYTES, RSA_BITS};
use crate::auth::strict_json;

/// The most keys in a set.
const MAX_KEYS: usize = 50;
/// Members of a private key. A published private key is compromised.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The usable keys of a key set, and why the others are skipped.
pub(super) struct ParsedKeySet {
    pub(super) keys: KeySet,
    pub(super) skipped: Vec<String>,
}

/// Parses a key set. The error says what is wrong with the document.
pub(super) fn parse(document: &[u8]) -> Result<ParsedKeySet, &'static str> {
    let members =
        strict_json::object(document).ok_or("it must be a JSON object with distinct members")?;
    let Some(Value::Array(published)) = members.get("keys") else {
        return Err("it must have a list `keys`");
    };
    if published.len() > MAX_KEYS {
        return Err("it must have at most 50 keys");
    }
    let mut keys = Vec::new();
    let mut skipped = Vec::new();
    for (index, jwk) in published.iter().enumerate() {
        match jwk
            .as_object()
            .ok_or("it must be an object")
            .and_then(parse_key)
        {
            Ok(key) => keys.push(key),
            Err(reason) => skipped.push(format!("keys[{index}]: {reason}")),
        }
    }
    let (keys, repeated) = KeySet::new(keys);
    for kid in repeated {
        skipped.push(match kid {
            Some(kid) => format!("all keys with the repeated id {kid:?}"),
            None => "all keys without an id: at most one key may have none".to_owned(),
        });
    }
    Ok(ParsedKeySet { keys, skipped })
}

fn parse_key(jwk: &Map<String, Value>) -> Result<Key, &'static str> {
    if jwk.get("kty").and_then(Value::as_str) == Some("oct") {
        return Err("a key set must not contain a shared secret");
    }
    if PRIVATE_MEMBERS.iter().any(|name| jwk.contains_key(*name)) {
        return Err("it contains a private key");
    }
    if jwk.get("use").is_some_and(|value| value != "sig") {
        return Err("its `use` must be `sig`");
    }
    let verifies = |operations: &Value| {
        let operations = operations.as_array();
        operations.is_some_and(|list| list.iter().any(|operation| operation == "verify"))
    };
    if jwk.get("key_ops").is_some_and(|value| !verifies(value)) {
        return Err("its `key_ops` must contain `verify`");
    }
    let kid = match jwk.get("kid") {
        None => None,
        Some(Value::String(kid)) if (1..=MAX_KID_BYTES).contains(&kid.len()) => Some(kid.clone()),
        Some(_) => return Err("its `kid` must be a string of 1 to 256 bytes"),
    };
    let (algorithm, decoding) = match jwk.get("kty").and_then(Value::as_str) {
        Some("RSA") => (Algorithm::RS256, rsa(jwk)?),
        Some("EC") => (Algorithm::ES256, p256(jwk)?),
        Some("OKP") => (Algorithm::EdDSA, ed25519(jwk)?),
        _ => return Err("its `kty` must be RSA, EC or OKP"),
    };
    if jwk
        .get("alg")
        .is_some_and(|value| value != algorithm.as_str())
    {
        return Err("its `alg` must be RS256, ES256 or EdDSA and fit its `kty`");
    }
    Ok(Key::new(kid, algorithm, decoding))
}

fn rsa(jwk: &Map<String, Value>) -> Result<DecodingKey, &'static str> {
    let modulus = number(jwk, "n")?;
    let exponent = number(jwk, "e")?;
    if !RSA_BITS.contains(&bit_length(&modulus)) {
        return Err("an RSA key must have 2048 to 8192 bits");
    }
    let odd = exponent.last().is_some_and(|byte| byte % 2 == 1);
    if !odd || exponent == [1] || exponent.len() > 4 {
        return Err("its RSA exponent must be odd, at least 3 and below 2^32");
    }
    Ok(DecodingKey::from_rsa_raw_components(&modulus, &exponent))
}

fn p256(jwk: &Map<String, Value>) -> Result<DecodingKey, &'static str> {
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if jwk.get("crv").is_none_or(|curve| curve != "P-256") || x.len() != 32 || y.len() != 32 {
        return Err("it must be a point of P-256");
    }
    let point = [&[0x04][..], &x, &y].concat();
    Ok(DecodingKey::from_ec_der(&point))
}

fn ed25519(jwk: &Map<String, Value>) -> Result<DecodingKey, &'static str> {
    let x = bytes(jwk, "x")?;
    if jwk.get("crv").is_none_or(|curve| curve != "Ed25519") || x.len() != 32 {
        return Err("it must be a key of Ed25519");
    }
    Ok(DecodingKey::from_ed_der(&x))
}

/// A big-endian number, without leading zeros.
fn number(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, &'static str> {
    let mut number = bytes(jwk, name)?;
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    Ok(number.split_off(zeros))
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, &'static str> {
    let text = jwk.get(name).and_then(Value::as_str);
    text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
        .ok_or("a member is missing or not base64url")
}
