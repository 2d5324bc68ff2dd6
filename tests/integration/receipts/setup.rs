//! The key that signs receipts: what `serve` requires, and the key that `dev` makes.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::receipt_of;
use crate::support::broker_process::BrokerProcess;
use crate::support::command::bytepass;
use crate::support::receipts::{self, ISSUER, KID, PEM, RETIRED_PEM};
use crate::support::statuses::BYTES;
use crate::support::test_env::TestEnv;

/// The one line with which `serve` and `check-config` refuse these settings.
fn refused(settings: &Value) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let toml = toml::to_string(settings).expect("TOML");
    std::fs::write(folder.path().join("b.toml"), toml).expect("a file");
    let serve = bytepass(folder.path(), &["serve", "--config", "b.toml"], &[]).expect_line(2);
    let check = bytepass(folder.path(), &["check-config", "--config", "b.toml"], &[]).expect(2);
    let body = PEM.lines().nth(1).expect("a body");
    assert!(!serve.contains(body) && !format!("{check:?}").contains(body));
    serve
}

#[tokio::test]
async fn serve_without_a_key_explains_how_to_make_one() {
    let test_env = TestEnv::new().await;
    let line = refused(&test_env.settings(json!({"receipts": {"keys": []}})));
    for part in ["receipts.keys", "openssl genpkey -algorithm ed25519"] {
        assert!(line.contains(part), "{line}");
    }
}

#[tokio::test]
async fn key_that_cannot_sign_is_refused_with_its_id_and_what_is_needed() {
    let test_env = TestEnv::new().await;
    let damaged = PEM.replace("MC4C", "MC5C");
    let rsa = include_str!("../../fixtures/rsa-2048-private.pem");
    let key = |pem: &str| json!({"kid": "k1", "pem": pem});
    for (keys, part) in [
        (
            json!([key(&damaged)]),
            "key \"k1\" must be an Ed25519 or P-256 key",
        ),
        (
            json!([key(rsa)]),
            "key \"k1\" must be an Ed25519 or P-256 key",
        ),
        (json!([key(RETIRED_PEM)]), "no private key"),
        (json!([key(PEM), key(RETIRED_PEM)]), "receipts.keys[1].kid"),
        (json!([key("canary")]), "receipts.keys[0].pem"),
        (
            json!([{"kid": "k1"}]),
            "exactly one of file, pem and pem_env",
        ),
        (json!([{"kid": "k1", "file": "missing.pem"}]), "missing.pem"),
        (
            json!([{"kid": "k1", "pem_env": "NO_SUCH_KEY"}]),
            "receipts.keys[0].pem_env",
        ),
        (json!([{"kid": "", "pem": PEM}]), "receipts.keys[0].kid"),
    ] {
        let line = refused(&test_env.settings(json!({"receipts": {"keys": keys}})));
        assert!(line.contains(part), "{line}");
        assert!(!line.contains("canary"), "{line}");
    }
}

#[tokio::test]
async fn issuer_with_the_name_of_the_broker_is_refused() {
    let test_env = TestEnv::new().await;
    let mut settings = test_env.settings(json!({}));
    settings["auth"]["issuers"][0]["issuer"] = json!(ISSUER);
    let line = refused(&settings);
    assert!(line.contains("`users`") && line.contains(ISSUER), "{line}");
    let mut settings = test_env.settings(json!({}));
    settings["auth"]["issuers"][1]["name"] = json!("grant");
    let line = refused(&settings);
    assert!(line.contains("the broker's own grants"), "{line}");
    let mut settings = test_env.settings(json!({"receipts": {"issuer": ""}}));
    settings["server"]["public_url"] = json!("https://uploads.example/");
    settings["auth"]["issuers"][0]["issuer"] = json!("https://uploads.example");
    let line = refused(&settings);
    assert!(line.contains("server.public_url"), "{line}");
}

#[tokio::test]
async fn key_is_read_from_a_file_beside_the_configuration_or_a_variable() {
    let test_env = TestEnv::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("receipts.pem");
    std::fs::write(&path, PEM).expect("a file");
    // A variable may have lost its line breaks.
    let env = [("RECEIPTS_KEY", &*PEM.replace('\n', " "))];
    for key in [
        json!({"kid": KID, "file": path}),
        json!({"kid": KID, "pem_env": "RECEIPTS_KEY"}),
    ] {
        let change = json!({"receipts": {"keys": [key]}});
        let broker = test_env.process(change, &env);
        let keys = reqwest::get(format!("{}/.well-known/jwks.json", broker.url)).await;
        let keys: Value = keys.expect("an answer").json().await.expect("JSON");
        let token = receipts::sign(PEM, &json!({"alg": "EdDSA", "kid": KID}), &json!({}));
        assert!(receipts::verifies(&token, &keys), "{key}");
    }
}

#[tokio::test]
async fn dev_makes_a_key_readable_only_by_its_user_and_keeps_it() {
    let broker = BrokerProcess::dev();
    let path = broker.folder().join("data/receipts.pem");
    let made = std::fs::metadata(&path).expect("a key");
    assert_eq!(made.permissions().mode() & 0o777, 0o600);
    let pem = std::fs::read_to_string(&path).expect("a key");
    assert!(!broker.log().contains(pem.lines().nth(1).expect("a body")));
    let confirmed = broker
        .api("user")
        .upload("Product.image", BYTES, "image/png")
        .await;
    let receipt = receipt_of(&confirmed);
    let mut broker = broker;
    assert_eq!(broker.terminate().code(), Some(0));
    let broker = broker.restart();
    let keys = broker
        .api("user")
        .get("/.well-known/jwks.json")
        .await
        .expect(200);
    assert!(receipts::verifies(&receipt, &keys.json));
    assert_eq!(std::fs::read_to_string(&path).expect("a key"), pem);
}
