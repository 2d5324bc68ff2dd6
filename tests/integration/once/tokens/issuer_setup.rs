//! Issuers whose keys can't be used: the error names the issuer, what is wrong and what is allowed. `config` tests the rest.

use bytepass::auth::Algorithm;
use bytepass::config::{Issuer, IssuerKeys, KeyAlgorithm, PublicKey};

use crate::support::token_signers::*;

fn secret(text: &str) -> IssuerKeys {
    IssuerKeys::Secret {
        kid: None,
        secret: text.to_owned().into(),
    }
}

fn pem_key(algorithm: KeyAlgorithm, pem: impl Into<String>) -> IssuerKeys {
    IssuerKeys::Public(vec![PublicKey {
        kid: None,
        algorithm,
        pem: pem.into(),
    }])
}

fn problem(issuers: Vec<Issuer>) -> String {
    let error = authenticator(issuers).expect_err("this is refused");
    error.to_string()
}

#[test]
fn weak_private_and_mismatched_keys_are_refused() {
    let rsa = include_str!("../../../fixtures/rsa-2048-public.pem");
    let p256 = Signer::new(Algorithm::ES256).pem();
    let ed = Signer::new(Algorithm::EdDSA).pem();
    let cases = [
        (
            KeyAlgorithm::Rs256,
            include_str!("../../../fixtures/rsa-1024-public.pem"),
            "1024 bits; 2048 to 8192",
        ),
        (
            KeyAlgorithm::Rs256,
            include_str!("../../../fixtures/rsa-2048-private.pem"),
            "private key",
        ),
        (KeyAlgorithm::Rs256, &p256, "RS256 needs an RSA public key"),
        (KeyAlgorithm::Rs256, &ed, "RS256 needs an RSA public key"),
        (KeyAlgorithm::Es256, rsa, "ES256 needs a P-256 public key"),
        (KeyAlgorithm::Es256, &ed, "ES256 needs a P-256 public key"),
        (
            KeyAlgorithm::Es256,
            include_str!("../../../fixtures/secp256k1-public.pem"),
            "ES256 needs a P-256 public key",
        ),
        (
            KeyAlgorithm::EdDsa,
            rsa,
            "EdDSA needs an Ed25519 public key",
        ),
        (
            KeyAlgorithm::EdDsa,
            &p256,
            "EdDSA needs an Ed25519 public key",
        ),
        (
            KeyAlgorithm::Rs256,
            "",
            "must begin with -----BEGIN PUBLIC KEY-----",
        ),
        (
            KeyAlgorithm::Rs256,
            "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----",
            "must begin with",
        ),
        (
            KeyAlgorithm::Rs256,
            "-----BEGIN PUBLIC KEY-----\n!!\n-----END PUBLIC KEY-----",
            "RS256 needs an RSA public key",
        ),
    ];
    for (algorithm, pem, expected) in cases {
        let error = problem(vec![options(pem_key(algorithm, pem))]);
        assert!(error.contains(expected), "{algorithm:?}: {error}");
        assert!(!error.contains("MI"), "the error shows the key: {error}");
    }
}

#[test]
fn rsa_key_in_pkcs1_is_accepted() {
    let der = Signer::new(Algorithm::RS256).public();
    let source = pem_key(KeyAlgorithm::Rs256, pem("RSA PUBLIC KEY", &der));
    assert!(authenticator(vec![options(source)]).is_ok());
}

#[test]
fn key_set_url_must_be_https_or_loopback_and_not_link_local() {
    let jwks = |url: &str| options(IssuerKeys::Jwks(url.parse().expect("a URL")));
    for url in [
        "http://idp.example/keys",
        "http://10.0.0.1/keys",
        "https://169.254.169.254/keys",
        "https://[fe80::1]/keys",
        "https://a:b@idp.example/keys",
        "file:///keys",
    ] {
        let error = problem(vec![jwks(url)]);
        assert!(
            error.starts_with("issuer `shop`: the key set's URL: "),
            "{error}"
        );
        assert!(!error.contains("a:b"), "{error}");
    }
    for url in [
        "https://idp.example/keys",
        "https://10.0.0.1/keys",
        "http://127.0.0.1:9/keys",
        "http://localhost/keys",
    ] {
        assert!(authenticator(vec![jwks(url)]).is_ok(), "{url}");
    }
}

#[test]
fn debug_output_shows_no_secret_and_no_key() {
    let es = Signer::new(Algorithm::ES256);
    let pem = es.pem();
    for source in [secret(SECRET), es.source()] {
        let options = options(source);
        let shown = format!("{options:?} {:?}", authenticator(vec![options.clone()]));
        assert!(!shown.contains(SECRET), "{shown}");
        assert!(!shown.contains(&pem[40..80]), "{shown}");
    }
}
