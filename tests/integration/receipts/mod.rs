//! A confirm returns a receipt: a signed statement of what was recorded, which a backend verifies without a request.

mod apart;
mod clients;
mod rotation;
mod setup;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::api::{Answer, Api};
use crate::support::receipts::{self, AUDIENCE, ISSUER, KID};
use crate::support::statuses::BYTES;
use crate::support::test_env::TestEnv;
use crate::support::tokens::now_secs;

/// The receipt of an answer to a confirm.
fn receipt_of(confirmed: &Answer) -> String {
    let receipt = confirmed.json["receipt"].as_str();
    receipt.expect("a receipt").to_owned()
}

/// A payment proof of `user` for this record, put and confirmed.
async fn proof(user: &Api, object_id: Option<&str>) -> Answer {
    let mut body = json!({
        "field": "Deposit.deposit_proof", "filename": "proof.jpg", "content_type": "image/jpeg", "size": BYTES.len(),
        "checksum": {"algorithm": "sha256", "value": STANDARD.encode(Sha256::digest(BYTES))},
    });
    if let Some(object_id) = object_id {
        body["object_id"] = json!(object_id);
    }
    let created = user.post("/v1/uploads", &body).await.expect(201);
    user.put(&created, BYTES).await.expect(200);
    user.confirm(created.id()).await.expect(200)
}

/// The claims that restate an upload, as its answer has them.
fn restated(upload: &Value) -> Value {
    let same = [
        "field",
        "object_id",
        "bucket",
        "key",
        "name",
        "size",
        "content_type",
        "checksum",
        "etag",
    ];
    let mut claims: serde_json::Map<String, Value> = same
        .into_iter()
        .map(|name| (name.to_owned(), upload[name].clone()))
        .collect();
    claims.insert("sub".to_owned(), upload["owner"].clone());
    claims.insert("jti".to_owned(), upload["id"].clone());
    Value::Object(claims)
}

#[tokio::test]
async fn receipt_states_the_confirmed_object_its_owner_and_its_expiry() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let keys = broker.anonymous().get("/.well-known/jwks.json").await;
    let began = now_secs();
    let with_all = proof(&broker.user(), Some("Order 17/ä")).await;
    let with_least = broker
        .user()
        .upload("Product.image", BYTES, "image/png")
        .await;
    for confirmed in [with_all, with_least] {
        let receipt = receipt_of(&confirmed);
        assert!(receipts::verifies(&receipt, &keys.json), "{receipt}");
        let (header, mut claims) = receipts::read(&receipt);
        assert_eq!(
            header,
            json!({"alg": "EdDSA", "kid": KID, "typ": "receipt+jwt"})
        );
        let claim = claims.as_object_mut().expect("claims");
        let issued = claim.remove("iat").and_then(|it| it.as_i64());
        let issued = issued.expect("iat");
        assert!((began..=now_secs()).contains(&issued), "{issued}");
        assert_eq!(claim.remove("exp"), Some(json!(issued + 86_400)));
        assert_eq!(claim.remove("iss"), Some(json!(ISSUER)));
        assert_eq!(claim.remove("aud"), Some(json!(AUDIENCE)));
        assert_eq!(claims, restated(&confirmed.json));
    }
}

#[tokio::test]
async fn every_confirm_returns_a_fresh_receipt_and_no_other_response_has_one() {
    let test_env = TestEnv::new().await;
    let change = json!({"receipts": {"lifetime_secs": 60, "audience": "shop", "issuer": ""}});
    let broker = test_env.broker_with(change).await;
    let (user, service) = (broker.user(), broker.service());
    let created = user.stage("Product.image", BYTES, "image/png").await;
    assert!(created.json.get("receipt").is_none());
    let id = created.id();
    for caller in [&user, &service, &user] {
        let confirmed = caller.confirm(id).await.expect(200);
        let (_, claims) = receipts::read(&receipt_of(&confirmed));
        assert_eq!(claims["sub"], "user:1");
        assert_eq!(
            (&claims["aud"], &claims["jti"]),
            (&json!("shop"), &json!(id))
        );
        assert_eq!(claims["iss"], broker.url.as_str(), "what nobody configured");
        let lives = claims["exp"].as_i64().zip(claims["iat"].as_i64());
        assert_eq!(lives.map(|(end, start)| end - start), Some(60));
    }
    for answer in [user.read(id).await, user.get("/v1/uploads").await] {
        assert!(!answer.expect(200).text.contains("receipt"));
    }
    let path = format!("/v1/uploads/{id}");
    let record = json!({"object_id": "42"});
    let attached = service.post(&format!("{path}/attach"), &record).await;
    assert!(attached.expect(200).json.get("receipt").is_none());
    let attached = user.confirm(id).await.expect(200);
    let (_, claims) = receipts::read(&receipt_of(&attached));
    assert_eq!(
        claims["object_id"], "42",
        "the record that it is attached to"
    );
    let detach = format!("{path}/detach");
    service.post_empty(&detach).await.expect(200);
    let late = user.confirm(id).await.expect_problem(409, "wrong-status");
    assert!(!late.text.contains("receipt"), "{}", late.text);
}

#[tokio::test]
async fn public_keys_are_readable_without_a_token_and_cached_for_five_minutes() {
    let test_env = TestEnv::new().await;
    let shop = json!({"cors": {"allowed_origins": ["https://shop.example"]}});
    let broker = test_env.broker_with(shop).await;
    let ask = broker
        .anonymous()
        .request(reqwest::Method::GET, "/.well-known/jwks.json")
        .header("origin", "https://shop.example");
    let keys = crate::support::api::send(ask).await.expect(200);
    assert_eq!(keys.header("cache-control"), "public, max-age=300");
    assert_eq!(
        keys.header("access-control-allow-origin"),
        "https://shop.example"
    );
    assert_eq!(keys.header("content-type"), "application/json");
    let set = keys.json["keys"].as_array().expect("keys");
    assert_eq!(set.len(), 1);
    let mut members: Vec<_> = set[0].as_object().expect("a key").keys().collect();
    members.sort();
    assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x"]);
}
