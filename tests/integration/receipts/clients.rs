//! The verifiers in `clients/` accept a valid receipt and refuse every other, with stock libraries.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};

use super::{proof, receipt_of};
use crate::support::needs;
use crate::support::receipts::{self, AUDIENCE, ISSUER, KID, OTHER_PEM, P256_PEM, PEM};
use crate::support::test_env::{Broker, TestEnv, sign_user, user_token};
use crate::support::tokens::now_secs;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn case(name: &str, receipt: &str) -> Value {
    json!({"name": name, "receipt": receipt, "field": "Deposit.deposit_proof", "owner": "user:1", "object_id": null})
}

/// The same receipt with another header.
fn with_header(receipt: &str, pem: &str, change: Value) -> String {
    let (mut header, claims) = receipts::read(receipt);
    for (name, value) in change.as_object().expect("a change") {
        header[name] = value.clone();
    }
    receipts::sign(pem, &header, &claims)
}

/// Signed by HMAC with the public key as the secret, which a careless library accepts.
fn confused(receipt: &str, keys: &Value) -> String {
    let (header, claims) = receipts::read(receipt);
    let header = json!({"alg": "HS256", "kid": header["kid"], "typ": header["typ"]});
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(&header), part(&claims));
    let public = URL_SAFE_NO_PAD.decode(keys["keys"][0]["x"].as_str().expect("x"));
    let key = hmac::Key::new(hmac::HMAC_SHA256, &public.expect("base64url"));
    let tag = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// Receipts to refuse, by name: each differs from a valid receipt in one thing.
fn bad(receipt: &str, keys: &Value) -> Vec<Value> {
    let (_, claims) = receipts::read(receipt);
    let with = |name: &str, value: Value| receipts::with_claim(receipt, name, value);
    let unsigned = {
        let none = with_header(receipt, PEM, json!({"alg": "none"}));
        let (message, _) = none.rsplit_once('.').expect("a signature");
        format!("{message}.")
    };
    let mut broken = receipt.to_owned();
    let last = broken.pop().expect("a signature");
    let at = broken.len() - 20;
    let other = if broken.as_bytes()[at] == b'A' {
        "B"
    } else {
        "A"
    };
    broken.replace_range(at..=at, other);
    broken.push(last);
    let grant = {
        let header = json!({"alg": "EdDSA", "kid": KID, "typ": "grant+jwt"});
        let mut claims = claims.clone();
        claims["aud"] = json!(format!("{ISSUER}/grants"));
        receipts::sign(PEM, &header, &claims)
    };
    let mut all: Vec<Value> = [
        ("another field", with("field", json!("Order.txid_proof"))),
        ("another owner", with("sub", json!("user:2"))),
        ("expired", with("exp", json!(now_secs() - 5))),
        ("without an end", with("exp", json!(null))),
        ("another audience", with("aud", json!("somebody-else"))),
        (
            "another issuer",
            with("iss", json!("https://elsewhere.test")),
        ),
        (
            "another type",
            with_header(receipt, PEM, json!({"typ": "JWT"})),
        ),
        (
            "a grant's type",
            with_header(receipt, PEM, json!({"typ": "grant+jwt"})),
        ),
        ("a grant", grant),
        ("another key", with_header(receipt, OTHER_PEM, json!({}))),
        (
            "an unknown key",
            with_header(receipt, PEM, json!({"kid": "k9"})),
        ),
        (
            "another key's id",
            with_header(receipt, PEM, json!({"kid": "next"})),
        ),
        (
            "another algorithm",
            with_header(receipt, PEM, json!({"alg": "ES256"})),
        ),
        ("no signature", unsigned),
        ("the public key as a secret", confused(receipt, keys)),
        ("a broken signature", broken),
        ("a caller's token", sign_user(&user_token("1"))),
        ("no token", "a receipt".to_owned()),
        ("nothing", String::new()),
    ]
    .iter()
    .map(|(name, receipt)| case(name, receipt))
    .collect();
    for (name, member, value) in [
        ("asked for another field", "field", "Order.txid_proof"),
        ("asked for another owner", "owner", "user:2"),
        ("asked for another record", "object_id", "8"),
    ] {
        let mut asked = case(name, receipt);
        asked[member] = json!(value);
        all.push(asked);
    }
    all
}

/// Runs a verifier with these cases on standard input; returns its answer to each.
fn run(mut command: Command, cases: &Value) -> Value {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin
        .write_all(cases.to_string().as_bytes())
        .expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let answers = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {answers}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Asserts that the sample accepts the valid receipts of this broker and refuses all others.
async fn judge(broker: &Broker, command: Command) {
    let sound = proof(&broker.user(), Some("7")).await;
    let receipt = receipt_of(&sound);
    let jwks_url = format!("{}/.well-known/jwks.json", broker.url);
    let keys = broker.anonymous().get("/.well-known/jwks.json").await.json;
    let bad = bad(&receipt, &keys);
    let mut record = case("sound, for its record", &receipt);
    record["object_id"] = json!("7");
    let mut cases = vec![case("sound", &receipt), record];
    cases.extend(bad.iter().cloned());
    let input =
        json!({"jwks_url": jwks_url, "issuer": ISSUER, "audience": AUDIENCE, "cases": cases});
    let answers = tokio::task::spawn_blocking(move || run(command, &input));
    let answers = answers.await.expect("no panic");
    let (_, claims) = receipts::read(&receipt);
    for name in ["sound", "sound, for its record"] {
        assert_eq!(answers[name]["claims"], claims, "{name}: {}", answers[name]);
    }
    assert_eq!(claims["name"], sound.json["name"]);
    for case in &bad {
        let name = case["name"].as_str().expect("a name");
        assert!(
            answers[name]["refused"].is_string(),
            "{name}: {}",
            answers[name]
        );
    }
}

/// A broker that publishes two keys and signs with the first.
async fn broker_of(test_env: &TestEnv) -> Broker {
    let keys = json!([{"kid": KID, "pem": PEM}, {"kid": "next", "pem": P256_PEM}]);
    test_env
        .broker_with(json!({"receipts": {"keys": keys}}))
        .await
}

#[tokio::test]
async fn python_verifier_accepts_a_valid_receipt_and_refuses_every_other() {
    let Some(python) = needs("BYTEPASS_TEST_PYTHON") else {
        return;
    };
    let test_env = TestEnv::new().await;
    let broker = broker_of(&test_env).await;
    let mut command = Command::new(python);
    command.arg(format!("{ROOT}/tests/python/test_receipts.py"));
    judge(&broker, command).await;
}

#[tokio::test]
async fn node_verifier_accepts_a_valid_receipt_and_refuses_every_other() {
    let Some(modules) = needs("BYTEPASS_TEST_NODE_MODULES") else {
        return;
    };
    let test_env = TestEnv::new().await;
    let broker = broker_of(&test_env).await;
    // Node finds packages beside the module, and the checkout holds none.
    let folder = tempfile::tempdir().expect("a folder");
    let beside = |name: &str| folder.path().join(name);
    for file in ["clients/node/verify-receipt.mjs", "tests/node/receipts.mjs"] {
        let name = Path::new(file).file_name().and_then(|name| name.to_str());
        std::fs::copy(Path::new(ROOT).join(file), beside(name.expect("a name"))).expect("a copy");
    }
    std::os::unix::fs::symlink(modules, beside("node_modules")).expect("a link");
    let mut command = Command::new("node");
    command.arg(beside("receipts.mjs"));
    judge(&broker, command).await;
}
