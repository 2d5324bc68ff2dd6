//! Sizes of RSA keys, published keys, and ring behind the library.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Value, json};

use super::pem::bit_length;
use super::{Algorithm, Key, jwk, ring_provider};

#[test]
fn bit_length_ignores_leading_zeros() {
    for (bytes, bits) in [
        (&[][..], 0),
        (&[0, 0], 0),
        (&[1], 1),
        (&[0x80], 8),
        (&[0, 0x80, 0], 16),
    ] {
        assert_eq!(bit_length(bytes), bits, "{bytes:?}");
    }
}

fn published(key: Value) -> Vec<String> {
    let document = json!({ "keys": [key] }).to_string();
    jwk::parse(document.as_bytes()).unwrap().skipped
}

#[test]
fn published_rsa_key_with_a_bad_size_or_exponent_is_skipped() {
    let key = |modulus_bytes: usize, exponent: &[u8]| {
        let modulus = vec![0xff; modulus_bytes];
        json!({"kty": "RSA", "kid": "r", "n": URL_SAFE_NO_PAD.encode(modulus),
            "e": URL_SAFE_NO_PAD.encode(exponent)})
    };
    assert!(published(key(256, &[1, 0, 1])).is_empty());
    assert!(published(key(1024, &[3])).is_empty());
    assert!(
        published(key(256, &[0, 1, 0, 1])).is_empty(),
        "a leading zero"
    );
    for (bytes, exponent) in [
        (128, &[1, 0, 1][..]),
        (255, &[1, 0, 1]),
        (1025, &[1, 0, 1]),
        (256, &[1]),
        (256, &[2]),
        (256, &[0]),
        (256, &[]),
        (256, &[1, 0, 0, 0, 1]),
    ] {
        let skipped = published(key(bytes, exponent));
        assert_eq!(skipped.len(), 1, "{bytes} {exponent:?}");
    }
}

#[test]
fn reason_for_a_skipped_key_does_not_contain_the_key() {
    let secret = URL_SAFE_NO_PAD.encode("a shared secret that was published");
    let skipped = published(json!({"kty": "oct", "kid": "o", "k": secret}));
    assert_eq!(
        skipped,
        ["keys[0]: a key set must not contain a shared secret"]
    );
}

#[test]
fn key_of_another_family_verifies_nothing() {
    ring_provider::install();
    let secret = [7; 32];
    let mac = ring::hmac::sign(
        &ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret),
        b"message",
    );
    let signature = URL_SAFE_NO_PAD.encode(mac.as_ref());
    let hs = Key::new(None, Algorithm::HS256, DecodingKey::from_secret(&secret));
    assert!(hs.verifies("message", &signature));
    // The secret used as a public key, and the public key used as a secret.
    let ed = Key::new(None, Algorithm::EdDSA, DecodingKey::from_secret(&secret));
    assert!(!ed.verifies("message", &signature));
    let confused = Key::new(None, Algorithm::HS256, DecodingKey::from_ed_der(&secret));
    assert!(!confused.verifies("message", &signature));
}

#[test]
fn example_key_of_rfc_8037_verifies_its_example() {
    ring_provider::install();
    // RFC 8037, appendix A.4: Ed25519.
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let ed = Key::new(
        None,
        Algorithm::EdDSA,
        DecodingKey::from_ed_components(x).unwrap(),
    );
    let message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert!(ed.verifies(message, signature));
    assert!(!ed.verifies(&message[1..], signature));
}
