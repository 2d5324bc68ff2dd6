//! `typ` and `aud` keep callers' tokens, grants and receipts apart, although the broker signs two of them with one key.

use bytepass::auth::{GrantToken, Signer};
use bytepass::config::{ReceiptKey, Receipts};
use bytepass::domain::attachment::ObjectId;
use bytepass::domain::field::FieldName;
use bytepass::domain::ids::GrantId;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::receipt_of;
use crate::support::receipts::{self, AUDIENCE, ISSUER, KID, OTHER_PEM, PEM};
use crate::support::statuses::BYTES;
use crate::support::test_env::{Broker, TestEnv, sign_backend, sign_user, user_token};
use crate::support::tokens::now_secs;

/// The signer that all test brokers use by default.
fn signer() -> Signer {
    let receipts = Receipts {
        issuer: None,
        audience: AUDIENCE.to_owned(),
        lifetime_secs: 60,
        keys: vec![ReceiptKey {
            kid: KID.to_owned(),
            pem: PEM.into(),
        }],
    };
    Signer::new(&receipts, ISSUER).expect("a good key")
}

/// The token of a grant without a database row, for product images of user 1.
fn grant(expires_at: DateTime<Utc>) -> String {
    let id = GrantId::new(Utc::now(), &rand::random());
    signer().grant_token(&GrantToken {
        id,
        field: &FieldName::parse("Product.image").expect("a field"),
        owner: "user:1",
        object_id: Some(&ObjectId::parse("42").expect("an id")),
        issued_at: expires_at - TimeDelta::minutes(5),
        expires_at,
    })
}

fn soon() -> DateTime<Utc> {
    Utc::now() + TimeDelta::minutes(5)
}

/// Whether the broker accepts this bearer token: a 401 means no.
async fn is_accepted(broker: &Broker, token: &str) -> bool {
    let answer = broker
        .anonymous()
        .with_token(token)
        .get("/v1/uploads")
        .await;
    if answer.status == 401 {
        answer.expect_problem(401, "token-invalid");
        return false;
    }
    true
}

/// The claims of a caller's token for user 1, with this issuer and audience.
fn callers_claims(iss: &str, aud: &str) -> Value {
    json!({"iss": iss, "aud": aud, "sub": "1", "scope": "uploads:write", "iat": now_secs(), "exp": now_secs() + 300})
}

#[tokio::test]
async fn receipt_as_bearer_token_is_refused() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let confirmed = broker
        .user()
        .upload("Product.image", BYTES, "image/png")
        .await;
    let receipt = receipt_of(&confirmed);
    assert!(!is_accepted(&broker, &receipt).await);
    let (header, claims) = receipts::read(&receipt);
    // With a grant's `typ`, the audience is wrong; with a grant's audience too, the grant's id is missing.
    for typ in ["grant+jwt", "JWT", "at+jwt", "RECEIPT+JWT"] {
        let mut other = header.clone();
        other["typ"] = json!(typ);
        assert!(
            !is_accepted(&broker, &receipts::sign(PEM, &other, &claims)).await,
            "{typ}"
        );
    }
    let mut grants = claims.clone();
    grants["aud"] = json!(format!("{ISSUER}/grants"));
    let mut other = header;
    other["typ"] = json!("grant+jwt");
    assert!(!is_accepted(&broker, &receipts::sign(PEM, &other, &grants)).await);
}

#[tokio::test]
async fn grant_as_bearer_token_must_be_unchanged_and_unexpired() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let token = grant(soon());
    assert!(
        is_accepted(&broker, &token).await,
        "a valid grant is accepted"
    );
    let (header, claims) = receipts::read(&token);
    assert_eq!(claims["aud"], format!("{ISSUER}/grants"));
    assert_eq!(claims["sub"], "user:1");
    assert_eq!(
        (&claims["field"], &claims["object_id"]),
        (&json!("Product.image"), &json!("42"))
    );
    assert!(
        claims["jti"]
            .as_str()
            .is_some_and(|jti| jti.starts_with("grt_"))
    );
    assert!(!is_accepted(&broker, &grant(Utc::now() - TimeDelta::seconds(1))).await);
    for typ in [json!("receipt+jwt"), json!("JWT"), json!(null)] {
        let mut other = header.clone();
        other["typ"] = typ;
        assert!(
            !is_accepted(&broker, &receipts::sign(PEM, &other, &claims)).await,
            "{other}"
        );
    }
    for (name, value) in [
        ("aud", json!(AUDIENCE)),
        ("aud", json!("bytepass")),
        ("aud", json!([format!("{ISSUER}/grants"), AUDIENCE])),
        ("iss", json!("users")),
        ("jti", json!("upl_01knavb5w8e59a3fjc8w6qgp7z")),
        ("field", json!("Product.*")),
        ("sub", json!(null)),
        ("exp", json!(null)),
    ] {
        let forged = receipts::with_claim(&token, name, value.clone());
        assert!(!is_accepted(&broker, &forged).await, "{name}: {value}");
    }
    assert!(!is_accepted(&broker, &receipts::sign(OTHER_PEM, &header, &claims)).await);
    let mut unknown = header;
    unknown["kid"] = json!("another");
    assert!(!is_accepted(&broker, &receipts::sign(PEM, &unknown, &claims)).await);
}

#[tokio::test]
async fn issuer_keys_sign_no_grant_and_broker_keys_sign_no_caller_token() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    // A grant's header and claims, signed with an issuer's key.
    let (_, claims) = receipts::read(&grant(soon()));
    for iss in [ISSUER, "users"] {
        let mut forged = user_token("1")
            .header("typ", json!("grant+jwt"))
            .claim("iss", json!(iss));
        for name in ["aud", "sub", "jti", "field"] {
            forged = forged.claim(name, claims[name].clone());
        }
        assert!(!is_accepted(&broker, &sign_user(&forged)).await, "{iss}");
        let forged = forged.header("kid", json!(KID));
        assert!(!is_accepted(&broker, &sign_user(&forged)).await, "{iss}");
        assert!(!is_accepted(&broker, &sign_backend(&forged)).await, "{iss}");
    }
    // A caller's header and claims, signed with the broker's key.
    let header = json!({"alg": "EdDSA", "kid": KID, "typ": "JWT"});
    for (iss, aud) in [
        ("users", "bytepass"),
        (ISSUER, "bytepass"),
        (ISSUER, AUDIENCE),
    ] {
        let forged = receipts::sign(PEM, &header, &callers_claims(iss, aud));
        assert!(!is_accepted(&broker, &forged).await, "{iss} {aud}");
    }
    assert!(is_accepted(&broker, &sign_user(&user_token("1"))).await);
}

#[tokio::test]
async fn grant_of_a_broker_with_other_keys_is_refused() {
    let test_env = TestEnv::new().await;
    let here = test_env.broker().await;
    let other = json!({"receipts": {"keys": [{"kid": KID, "pem": OTHER_PEM}]}});
    let elsewhere = test_env.broker_with(other).await;
    let renamed = json!({"receipts": {"issuer": "https://elsewhere.test"}});
    let renamed = test_env.broker_with(renamed).await;
    let token = grant(soon());
    assert!(is_accepted(&here, &token).await);
    assert!(!is_accepted(&elsewhere, &token).await);
    assert!(!is_accepted(&renamed, &token).await);
}
