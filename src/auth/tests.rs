//! The parts that no token reaches alone: strict JSON, sizes of RSA keys, published keys, and ring behind the library.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Value, json};

use super::keys::Key;
use super::options::Algorithm;
use super::pem::bit_length;
use super::{json as strict, jwk, ring_provider};

#[test]
fn an_object_with_a_repeated_member_is_refused_at_any_depth() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"a":{"b":1,"b":2}}"#,
        r#"{"a":[{"b":1},{"c":1,"c":1}]}"#,
    ] {
        assert!(strict::object(text.as_bytes()).is_none(), "{text}");
    }
}

#[test]
fn other_objects_come_back_as_they_are() {
    let text = r#"{"a":[1,-2,2.5,true,null,"x"],"b":{"a":{}},"c":18446744073709551615}"#;
    let expected: Value = serde_json::from_str(text).unwrap();
    assert_eq!(
        strict::object(text.as_bytes()).map(Value::Object),
        Some(expected)
    );
}

#[test]
fn nesting_deeper_than_the_parser_goes_is_refused_and_not_a_crash() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(4000), "]".repeat(4000));
    assert!(strict::object(deep.as_bytes()).is_none());
}

#[test]
fn a_number_has_as_many_bits_as_its_highest_one() {
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
    jwk::parse(document.as_bytes()).unwrap().left_out
}

#[test]
fn b5_a_published_rsa_key_has_a_sane_size_and_exponent() {
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
        let left_out = published(key(bytes, exponent));
        assert_eq!(left_out.len(), 1, "{bytes} {exponent:?}");
    }
}

#[test]
fn why_a_published_key_is_left_out_is_said_without_the_key() {
    let secret = URL_SAFE_NO_PAD.encode("a shared secret that was published");
    let left_out = published(json!({"kty": "oct", "kid": "o", "k": secret}));
    assert_eq!(
        left_out,
        ["keys[0]: a shared secret has no place in a key set"]
    );
}

#[test]
fn b5_a_key_verifies_nothing_under_an_algorithm_of_another_family() {
    ring_provider::install();
    let secret = [7; 32];
    let mac = ring::hmac::sign(
        &ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret),
        b"message",
    );
    let signature = URL_SAFE_NO_PAD.encode(mac.as_ref());
    let hs = Key::new(None, Algorithm::HS256, DecodingKey::from_secret(&secret));
    assert!(hs.verifies("message", &signature));
    // The same bytes, taken for a public key, and a public key taken for a secret.
    let ed = Key::new(None, Algorithm::EdDSA, DecodingKey::from_secret(&secret));
    assert!(!ed.verifies("message", &signature));
    let confused = Key::new(None, Algorithm::HS256, DecodingKey::from_ed_der(&secret));
    assert!(!confused.verifies("message", &signature));
}

#[test]
fn the_example_keys_of_the_standards_verify_their_examples() {
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
