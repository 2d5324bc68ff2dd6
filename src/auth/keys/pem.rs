//! Public keys in PEM. Each refusal says what is wrong and never contains the PEM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::DecodingKey;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Decode as _, Reader as _, SliceReader};
use x509_cert::spki::SubjectPublicKeyInfoRef;

use super::{Algorithm, RSA_BITS};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The label and the bytes of a PEM with exactly one block.
pub(in crate::auth) fn decode_pem(pem: &str) -> Option<(&str, Vec<u8>)> {
    let (label, rest) = pem
        .trim()
        .strip_prefix("-----BEGIN ")?
        .split_once("-----")?;
    let body = rest.strip_suffix("-----")?.strip_suffix(label)?;
    let body = body.strip_suffix("-----END ")?;
    let text: String = body.split_ascii_whitespace().collect();
    Some((label, STANDARD.decode(text).ok()?))
}

/// The algorithm and the key of a SubjectPublicKeyInfo: PKCS#1 for RSA, the uncompressed point for P-256, 32 bytes for Ed25519.
pub(in crate::auth) fn decode_spki(der: &[u8]) -> Option<(Algorithm, &[u8])> {
    let info = SubjectPublicKeyInfoRef::from_der(der).ok()?;
    let key = info.subject_public_key.as_bytes()?;
    let algorithm = match info.algorithm.oid {
        RSA => Algorithm::RS256,
        EC if info.algorithm.parameters_oid() == Ok(P256) && key.len() == 65 && key[0] == 4 => {
            Algorithm::ES256
        }
        ED25519 if key.len() == 32 => Algorithm::EdDSA,
        _ => return None,
    };
    Some((algorithm, key))
}

/// Reads a public key of this algorithm.
pub(super) fn public_key(pem: &str, algorithm: Algorithm) -> Result<DecodingKey, String> {
    let (labels, wrong) = match algorithm {
        Algorithm::RS256 => (
            &["PUBLIC KEY", "RSA PUBLIC KEY"][..],
            "RS256 needs an RSA public key in PEM",
        ),
        Algorithm::ES256 => (&["PUBLIC KEY"][..], "ES256 needs a P-256 public key in PEM"),
        _ => (
            &["PUBLIC KEY"][..],
            "EdDSA needs an Ed25519 public key in PEM",
        ),
    };
    let first = pem.trim().lines().next().unwrap_or_default();
    if first.ends_with("PRIVATE KEY-----") {
        return Err("this is a private key; the broker needs only the public one".to_owned());
    }
    if !labels
        .iter()
        .any(|label| first.trim() == format!("-----BEGIN {label}-----"))
    {
        return Err(format!(
            "the PEM must begin with -----BEGIN {}-----",
            labels.join("----- or -----BEGIN ")
        ));
    }
    let (label, der) = decode_pem(pem).ok_or(wrong)?;
    let key = match decode_spki(&der) {
        Some((found, key)) if label == "PUBLIC KEY" && found == algorithm => key,
        None if label == "RSA PUBLIC KEY" => &der,
        _ => return Err(wrong.to_owned()),
    };
    match algorithm {
        Algorithm::ES256 => Ok(DecodingKey::from_ec_der(key)),
        Algorithm::EdDSA => Ok(DecodingKey::from_ed_der(key)),
        _ => {
            let bits = modulus_bits(key).ok_or(wrong)?;
            if !RSA_BITS.contains(&bits) {
                let (least, most) = (RSA_BITS.start(), RSA_BITS.end());
                return Err(format!(
                    "an RSA key of {bits} bits; {least} to {most} are allowed"
                ));
            }
            Ok(DecodingKey::from_rsa_der(key))
        }
    }
}

/// The size of the modulus in PKCS#1's `SEQUENCE { INTEGER n, INTEGER e }`.
fn modulus_bits(der: &[u8]) -> Option<usize> {
    let mut reader = SliceReader::new(der).ok()?;
    let bits = reader.sequence(|members| {
        let modulus = UintRef::decode(members)?;
        UintRef::decode(members)?;
        Ok::<_, x509_cert::der::Error>(bit_length(modulus.as_bytes()))
    });
    bits.ok().filter(|_| reader.is_finished())
}

/// The number of bits of a big-endian number, without leading zeros.
pub(super) fn bit_length(number: &[u8]) -> usize {
    let significant = number.iter().position(|byte| *byte != 0);
    significant.map_or(0, |zeros| {
        (number.len() - zeros) * 8 - number[zeros].leading_zeros() as usize
    })
}
