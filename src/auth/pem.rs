//! Public keys in PEM, from the configuration: each refused here that could not verify a token anyway, with the reason.

use jsonwebtoken::DecodingKey;

use super::keys::{Key, RSA_BITS};
use super::options::{Algorithm, PemKey};

/// How every uncompressed P-256 key begins, in base64; other curves differ here.
const P256_BEGINS: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE";

/// Reads a key, or says what is wrong with it. The text never holds the PEM.
pub(super) fn read(key: &PemKey) -> Result<Key, String> {
    let algorithm = key.algorithm;
    let named = match &key.kid {
        Some(kid) => format!("key \"{kid}\""),
        None => "the key without an id".to_owned(),
    };
    let decoding = match algorithm {
        Algorithm::HS256 => Err("HS256 takes a secret, not a PEM key".to_owned()),
        Algorithm::RS256 => read_rsa(&key.pem),
        Algorithm::ES256 => read_p256(&key.pem),
        Algorithm::EdDSA => read_ed25519(&key.pem),
    };
    decoding
        .map(|decoding| Key::new(key.kid.clone(), algorithm, decoding))
        .map_err(|problem| format!("{named}: {problem}"))
}

fn read_rsa(pem: &str) -> Result<DecodingKey, String> {
    expect_label(pem, &["PUBLIC KEY", "RSA PUBLIC KEY"])?;
    let key = DecodingKey::from_rsa_pem(pem.trim().as_bytes())
        .map_err(|_| "this is no RSA public key in PEM".to_owned())?;
    let bits = key
        .try_get_as_bytes()
        .ok()
        .and_then(modulus_bits)
        .ok_or("this is no RSA public key in PEM")?;
    if !RSA_BITS.contains(&bits) {
        let (least, most) = (RSA_BITS.start(), RSA_BITS.end());
        return Err(format!(
            "an RSA key of {bits} bits; {least} to {most} are allowed"
        ));
    }
    Ok(key)
}

fn read_p256(pem: &str) -> Result<DecodingKey, String> {
    expect_label(pem, &["PUBLIC KEY"])?;
    let wrong = "this is no P-256 public key in PEM, which ES256 needs";
    let body: String = pem
        .lines()
        .skip(1)
        .flat_map(str::split_whitespace)
        .collect();
    if !body.starts_with(P256_BEGINS) {
        return Err(wrong.to_owned());
    }
    let key = DecodingKey::from_ec_pem(pem.trim().as_bytes()).map_err(|_| wrong.to_owned())?;
    match key.try_get_as_bytes() {
        Ok(point) if point.len() == 65 => Ok(key),
        _ => Err(wrong.to_owned()),
    }
}

fn read_ed25519(pem: &str) -> Result<DecodingKey, String> {
    expect_label(pem, &["PUBLIC KEY"])?;
    let wrong = "this is no Ed25519 public key in PEM, which EdDSA needs";
    let key = DecodingKey::from_ed_pem(pem.trim().as_bytes()).map_err(|_| wrong.to_owned())?;
    match key.try_get_as_bytes() {
        Ok(point) if point.len() == 32 => Ok(key),
        _ => Err(wrong.to_owned()),
    }
}

fn expect_label(pem: &str, allowed: &[&str]) -> Result<(), String> {
    let first = pem.trim().lines().next().unwrap_or_default().trim();
    let label = first
        .strip_prefix("-----BEGIN ")
        .and_then(|rest| rest.strip_suffix("-----"));
    match label {
        Some(label) if allowed.contains(&label) => Ok(()),
        Some(label) if label.ends_with("PRIVATE KEY") => {
            Err("this is a private key; the broker needs the public one only".to_owned())
        }
        _ => Err(format!(
            "the PEM must begin with -----BEGIN {}-----",
            allowed.join("----- or -----BEGIN ")
        )),
    }
}

/// The size of the modulus in PKCS#1's `SEQUENCE { INTEGER n, INTEGER e }`.
fn modulus_bits(der: &[u8]) -> Option<usize> {
    let (members, rest) = der_value(der, 0x30)?;
    let (modulus, exponent) = der_value(members, 0x02)?;
    let (_, after) = der_value(exponent, 0x02)?;
    let whole = rest.is_empty() && after.is_empty();
    whole.then(|| bit_length(modulus))
}

/// The value of the first DER element, which must have this tag, and what follows it.
fn der_value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81 | 0x82 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let length = bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    (first == tag)
        .then(|| rest.split_at_checked(length))
        .flatten()
}

/// How many bits a big-endian number has, leading zeros aside.
pub(super) fn bit_length(number: &[u8]) -> usize {
    let significant = number.iter().position(|byte| *byte != 0);
    significant.map_or(0, |zeros| {
        (number.len() - zeros) * 8 - number[zeros].leading_zeros() as usize
    })
}
