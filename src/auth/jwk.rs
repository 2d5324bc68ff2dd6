//! A key set as an issuer publishes it (RFC 7517): which of its keys may verify tokens. `remote` calls it.
//!
//! A key that is no verification key is left out with its reason, so that an issuer may publish other keys beside; a
//! document that is no key set at all is refused whole.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use super::json;
use super::keys::{Key, KeySet, RSA_BITS};
use super::options::Algorithm;
use super::pem::bit_length;

/// The most keys in a set.
const MAX_KEYS: usize = 50;
/// The longest key id, in bytes.
pub(super) const MAX_KID_BYTES: usize = 256;
/// Members that make a key private. Whoever publishes one has lost the key.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The usable keys of a key set, and why others were left out.
pub(super) struct ParsedKeySet {
    pub(super) keys: KeySet,
    pub(super) left_out: Vec<String>,
}

/// Reads a key set. The error says what the document is not.
pub(super) fn parse(document: &[u8]) -> Result<ParsedKeySet, &'static str> {
    let members = json::object(document).ok_or("it is no JSON object with distinct members")?;
    let Some(Value::Array(published)) = members.get("keys") else {
        return Err("it has no list `keys`");
    };
    if published.len() > MAX_KEYS {
        return Err("it has more than 50 keys");
    }
    let mut keys = Vec::new();
    let mut left_out = Vec::new();
    for (index, jwk) in published.iter().enumerate() {
        match jwk.as_object().ok_or("it is no object").and_then(parse_key) {
            Ok(key) => keys.push(key),
            Err(reason) => left_out.push(format!("keys[{index}]: {reason}")),
        }
    }
    let (keys, repeated) = KeySet::new(keys);
    for kid in repeated {
        left_out.push(match kid {
            Some(kid) => format!("every key with the repeated id {kid:?}"),
            None => "the keys without an id, of which there may be one".to_owned(),
        });
    }
    Ok(ParsedKeySet { keys, left_out })
}

fn parse_key(jwk: &Map<String, Value>) -> Result<Key, &'static str> {
    if jwk.get("kty").and_then(Value::as_str) == Some("oct") {
        return Err("a shared secret has no place in a key set");
    }
    if PRIVATE_MEMBERS.iter().any(|name| jwk.contains_key(*name)) {
        return Err("it holds private parts");
    }
    if jwk.get("use").is_some_and(|value| value != "sig") {
        return Err("its `use` is not `sig`");
    }
    let verifies = |operations: &Value| {
        let operations = operations.as_array();
        operations.is_some_and(|list| list.iter().any(|operation| operation == "verify"))
    };
    if jwk.get("key_ops").is_some_and(|value| !verifies(value)) {
        return Err("its `key_ops` do not hold `verify`");
    }
    let kid = match jwk.get("kid") {
        None => None,
        Some(Value::String(kid)) if (1..=MAX_KID_BYTES).contains(&kid.len()) => Some(kid.clone()),
        Some(_) => return Err("its `kid` is no text of 1 to 256 bytes"),
    };
    let (algorithm, decoding) = match jwk.get("kty").and_then(Value::as_str) {
        Some("RSA") => (Algorithm::RS256, rsa(jwk)?),
        Some("EC") => (Algorithm::ES256, p256(jwk)?),
        Some("OKP") => (Algorithm::EdDSA, ed25519(jwk)?),
        _ => return Err("its `kty` is not RSA, EC or OKP"),
    };
    if jwk
        .get("alg")
        .is_some_and(|value| value != algorithm.as_str())
    {
        return Err("its `alg` is not RS256, ES256 or EdDSA, or does not fit its type");
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
        return Err("it is no point of P-256");
    }
    let point = [&[0x04][..], &x, &y].concat();
    Ok(DecodingKey::from_ec_der(&point))
}

fn ed25519(jwk: &Map<String, Value>) -> Result<DecodingKey, &'static str> {
    let x = bytes(jwk, "x")?;
    if jwk.get("crv").is_none_or(|curve| curve != "Ed25519") || x.len() != 32 {
        return Err("it is no key of Ed25519");
    }
    Ok(DecodingKey::from_ed_der(&x))
}

/// A big-endian number, without the leading zeros that some issuers send and ring refuses.
fn number(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, &'static str> {
    let mut number = bytes(jwk, name)?;
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    Ok(number.split_off(zeros))
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, &'static str> {
    let text = jwk.get(name).and_then(Value::as_str);
    text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
        .ok_or("a part of it is missing or no base64url")
}
