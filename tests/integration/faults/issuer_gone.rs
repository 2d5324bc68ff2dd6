//! An issuer's key server is down: its unknown tokens get a 503, its cached tokens keep working, and other issuers are not affected.

use bytepass::auth::Algorithm;
use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::key_server::{Answer, KeyServer, key_set};
use crate::support::test_env::TestEnv;
use crate::support::token_signers::{KID, Signer};
use crate::support::tokens::now_secs;

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes of a picture";

/// A token of the issuer `shop`.
fn token(signer: &Signer, subject: &str) -> String {
    signer.token(&json!({
        "iss": "shop", "aud": "bytepass", "sub": subject, "scope": "uploads:write",
        "iat": now_secs(), "exp": now_secs() + 600,
    }))
}

/// The usual issuers, and one more that publishes its keys at this URL.
fn with_shop(test_env: &TestEnv, url: &str) -> Value {
    let mut issuers = test_env.settings(json!({}))["auth"]["issuers"].clone();
    let shop = json!({
        "name": "shop", "issuer": "shop", "audience": "bytepass", "owner_prefix": "shop:",
        "scopes": ["uploads:write"], "jwks_url": url,
    });
    issuers.as_array_mut().expect("a list").push(shop);
    json!({"auth": {"issuers": issuers}})
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_tokens_of_an_unreachable_issuer_get_503_and_other_issuers_work() {
    let test_env = TestEnv::new().await;
    let signer = Signer::new(Algorithm::ES256);
    let server = KeyServer::start(Answer::Status(503, None)).await;
    let broker = test_env
        .broker_with(with_shop(&test_env, &server.url))
        .await;
    let shopper = Api::new(&broker.url, &token(&signer, "1"));
    let refused = shopper.create("Product.image", JPEG, "image/jpeg").await;
    let refused = refused.expect_problem(503, "issuer-unavailable");
    assert!(
        refused
            .header("retry-after")
            .parse::<u32>()
            .is_ok_and(|secs| secs >= 1)
    );
    assert_eq!(test_env.bucket.list("").await.len(), 0);
    broker
        .user()
        .upload("Product.image", JPEG, "image/jpeg")
        .await;
    broker.anonymous().get("/readyz").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn cached_token_of_an_unreachable_issuer_keeps_working() {
    let test_env = TestEnv::new().await;
    let signer = Signer::new(Algorithm::ES256);
    let keys = Answer::Body(key_set(&[signer.jwk(KID)]));
    let server = KeyServer::start(keys).await;
    let broker = test_env
        .broker_with(with_shop(&test_env, &server.url))
        .await;
    let shopper = Api::new(&broker.url, &token(&signer, "1"));
    let staged = shopper.stage("Product.image", JPEG, "image/jpeg").await;
    assert_eq!(staged.json["owner"], "shop:1");
    server.answers(Answer::Status(503, None));
    shopper.confirm(staged.id()).await.expect(200);
    // Its keys are kept for longer than its tokens: a new one of the same key is judged too.
    let other = Api::new(&broker.url, &token(&signer, "2"));
    other
        .create("Product.image", JPEG, "image/jpeg")
        .await
        .expect(201);
    assert_eq!(server.fetches(), 1);
}
