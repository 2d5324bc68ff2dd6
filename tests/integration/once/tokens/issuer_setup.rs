//! Issuers with an invalid configuration: the error names the issuer, the mistake and what is allowed.

use bytepass::auth::{Algorithm, IssuerOptions, KeySource, PemKey};

use crate::support::issuers::*;

fn secret(text: &str) -> KeySource {
    KeySource::Secret {
        kid: None,
        secret: text.to_owned().into(),
    }
}

fn pem_key(algorithm: Algorithm, pem: impl Into<String>) -> KeySource {
    KeySource::Pem(vec![PemKey {
        kid: None,
        algorithm,
        pem: pem.into(),
    }])
}

fn problem(issuers: Vec<IssuerOptions>) -> String {
    let error = authenticator(issuers).expect_err("this was accepted");
    error.to_string()
}

#[test]
fn secret_shorter_than_the_hash_is_refused() {
    let error = problem(vec![options(secret(&"x".repeat(31)))]);
    assert_eq!(
        error,
        "issuer `shop`: a secret of 31 bytes; at least 32 are needed"
    );
    assert!(authenticator(vec![options(secret(&"x".repeat(32)))]).is_ok());
}

#[test]
fn issuers_with_overlapping_owner_prefixes_are_refused() {
    let second = |iss: &str, prefix: &str| {
        let mut second = options(secret(SECRET));
        second.name = "partner".to_owned();
        second.issuer = iss.to_owned();
        second.owner_prefix = prefix.to_owned();
        vec![options(secret(SECRET)), second]
    };
    for prefix in ["user:", "user:a:", "us", ""] {
        let error = problem(second("https://other.example", prefix));
        assert!(
            error.starts_with("issuer `partner`: its owner prefix"),
            "{error}"
        );
        assert!(error.contains("`shop`"), "{error}");
    }
    let error = problem(second(ISS, "partner:"));
    assert!(error.contains("each issuer is configured once"), "{error}");
    assert!(authenticator(second("https://other.example", "partner:")).is_ok());
}

#[test]
fn leeway_above_30_s_is_refused() {
    let mut issuer = options(secret(SECRET));
    issuer.leeway_secs = 31;
    assert!(problem(vec![issuer]).contains("at most 30 s"));
}

#[test]
fn zero_lifetime_empty_issuer_and_missing_key_are_refused() {
    let good = options(secret(SECRET));
    let cases = [
        IssuerOptions {
            max_lifetime_secs: 0,
            ..good.clone()
        },
        IssuerOptions {
            issuer: String::new(),
            ..good.clone()
        },
        IssuerOptions {
            audience: String::new(),
            ..good.clone()
        },
        IssuerOptions {
            keys: KeySource::Pem(vec![]),
            ..good
        },
    ];
    for issuer in cases {
        assert!(problem(vec![issuer]).starts_with("issuer `shop`: "));
    }
}

#[test]
fn weak_private_and_mismatched_keys_are_refused() {
    let rsa = include_str!("../../../fixtures/rsa-2048-public.pem");
    let p256 = Signer::new(Algorithm::ES256).pem();
    let ed = Signer::new(Algorithm::EdDSA).pem();
    let cases = [
        (
            Algorithm::RS256,
            include_str!("../../../fixtures/rsa-1024-public.pem"),
            "1024 bits; 2048 to 8192",
        ),
        (
            Algorithm::RS256,
            include_str!("../../../fixtures/rsa-2048-private.pem"),
            "private key",
        ),
        (Algorithm::RS256, &p256, "no RSA public key"),
        (Algorithm::RS256, &ed, "no RSA public key"),
        (Algorithm::ES256, rsa, "no P-256 public key"),
        (Algorithm::ES256, &ed, "no P-256 public key"),
        (
            Algorithm::ES256,
            include_str!("../../../fixtures/secp256k1-public.pem"),
            "no P-256 public key",
        ),
        (Algorithm::EdDSA, rsa, "no Ed25519 public key"),
        (Algorithm::EdDSA, &p256, "no Ed25519 public key"),
        (Algorithm::HS256, rsa, "HS256 takes a secret"),
        (
            Algorithm::RS256,
            "",
            "must begin with -----BEGIN PUBLIC KEY-----",
        ),
        (
            Algorithm::RS256,
            "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----",
            "must begin with",
        ),
        (
            Algorithm::RS256,
            "-----BEGIN PUBLIC KEY-----\n!!\n-----END PUBLIC KEY-----",
            "no RSA public key",
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
    let source = pem_key(Algorithm::RS256, pem("RSA PUBLIC KEY", &der));
    assert!(authenticator(vec![options(source)]).is_ok());
}

#[test]
fn keys_with_the_same_id_are_refused() {
    let key = |kid: Option<&str>| PemKey {
        kid: kid.map(str::to_owned),
        algorithm: Algorithm::ES256,
        pem: Signer::new(Algorithm::ES256).pem(),
    };
    let named = KeySource::Pem(vec![key(Some("a")), key(Some("a"))]);
    assert!(problem(vec![options(named)]).contains("two keys have the id \"a\""));
    let unnamed = KeySource::Pem(vec![key(None), key(None)]);
    assert!(problem(vec![options(unnamed)]).contains("two keys have no id"));
}

#[test]
fn key_set_url_must_be_https_or_loopback_and_not_link_local() {
    let jwks = |url: &str| {
        options(KeySource::Jwks {
            url: url.to_owned(),
        })
    };
    for url in [
        "http://idp.example/keys",
        "http://10.0.0.1/keys",
        "https://169.254.169.254/keys",
        "https://[fe80::1]/keys",
        "https://a:b@idp.example/keys",
        "file:///keys",
        "keys",
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
