//! Which of the keys that an issuer publishes verify its tokens.

use bytepass::auth::Algorithm;
use serde_json::{Value, json};

use crate::support::jwks_broker::*;
use crate::support::token_signers::*;

#[tokio::test]
async fn tokens_of_each_public_key_algorithm_are_verified_with_published_keys() {
    for signer in Signer::all().iter().skip(1) {
        let broker = Broker::publishing(&[signer.jwk(KID)]).await;
        let token = signer.token(&claims());
        assert_eq!(broker.ask(&token).await.unwrap().owner, "user:1");
    }
}

#[tokio::test]
async fn published_keys_not_meant_for_verifying_are_not_used() {
    let (signer, token) = es();
    let jwk = || signer.jwk(KID);
    let hs = Signer::new(Algorithm::HS256);
    let unusable = [
        ("use=enc", with(jwk(), "use", json!("enc"))),
        ("use=1", with(jwk(), "use", json!(1))),
        ("key_ops=sign", with(jwk(), "key_ops", json!(["sign"]))),
        ("key_ops=text", with(jwk(), "key_ops", json!("verify"))),
        ("alg=ES384", with(jwk(), "alg", json!("ES384"))),
        ("alg=RS256", with(jwk(), "alg", json!("RS256"))),
        ("alg=HS256", with(jwk(), "alg", json!("HS256"))),
        ("crv=P-384", with(jwk(), "crv", json!("P-384"))),
        ("kty=OKP", with(jwk(), "kty", json!("OKP"))),
        ("private", with(jwk(), "d", json!("AAAA"))),
        ("no x", with(jwk(), "x", Value::Null)),
        (
            "padded x",
            with(
                jwk(),
                "x",
                json!(format!("{}=", jwk()["x"].as_str().unwrap())),
            ),
        ),
        ("kid=7", with(jwk(), "kid", json!(7))),
        ("oct", hs.jwk(KID)),
    ];
    for (case, key) in unusable {
        let broker = Broker::publishing(&[key]).await;
        assert_eq!(reason(broker.ask(&token).await, case), UNKNOWN, "{case}");
    }
    let spelled_out = with(with(jwk(), "use", json!("sig")), "alg", json!("ES256"));
    let spelled_out = with(spelled_out, "key_ops", json!(["sign", "verify"]));
    let enc = with(signer.jwk("enc-1"), "use", json!("enc"));
    let broker = Broker::publishing(&[enc, spelled_out]).await;
    assert!(broker.ask(&token).await.is_ok());
}

#[tokio::test]
async fn published_keys_with_the_same_id_are_not_used() {
    let ((one, token), (two, _)) = (es(), es());
    let broker = Broker::publishing(&[one.jwk(KID), two.jwk(KID)]).await;
    assert_eq!(reason(broker.ask(&token).await, "twice"), UNKNOWN);
}

#[tokio::test]
async fn token_without_key_id_needs_an_issuer_with_one_key() {
    let ((one, _), (two, _)) = (es(), es());
    let header = with(one.header(), "kid", Value::Null).to_string();
    let token = one.raw(&header, &claims().to_string());
    let alone = Broker::publishing(&[one.jwk(KID)]).await;
    assert!(alone.ask(&token).await.is_ok());
    let both = Broker::publishing(&[one.jwk(KID), two.jwk("key-2")]).await;
    assert_eq!(reason(both.ask(&token).await, "two keys"), UNKNOWN);
}
