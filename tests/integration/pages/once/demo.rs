//! `/demo` of `bytepass dev` in a browser, and its token, which other sites don't get.

use std::process::Command;

use serde_json::{Value, json};

use crate::commands::once::dev::claims;
use crate::support::broker_process::BrokerProcess;
use crate::support::browser::play;
use crate::support::command::run;
use crate::support::test_env::TestEnv;

#[tokio::test]
async fn demo_uploads_a_picture_and_blocks_five_attacks_without_browser_errors() {
    let broker = BrokerProcess::dev();
    let input = json!({"url": broker.url, "origins": [broker.url, broker.bucket_url()]});
    let Some(result) = play("pages_demo", &input) else {
        return;
    };
    // The curl command that the page shows works.
    let folder = tempfile::tempdir().expect("a folder");
    let token = demo_token(&broker, &broker.url).await;
    let token = token["token"].as_str().expect("a token");
    let create = result["commands"]["create"].as_str().expect("a command");
    let pasted = format!("TOKEN={token}\n{create}");
    let mut shell = Command::new("sh");
    shell.args(["-c", &pasted]).current_dir(folder.path());
    let answer: Value = serde_json::from_str(&run(&mut shell).expect(0).stdout).expect("JSON");
    assert_eq!(answer["status"], "pending", "{answer}");
    assert_eq!(answer["filename"], "<img src=x onerror=window.ran=1>.png");
    assert_eq!(answer["owner"], "user:demo");
    let list = broker.api("ops").get("/v1/uploads?limit=100").await;
    let all = list.expect(200).json["data"].clone();
    let all = all.as_array().expect("uploads");
    let of = |status: &str| all.iter().filter(|it| it["status"] == status).count();
    // Confirmed in each of five runs: the flow and the overwrite attack. Blocked and abandoned uploads stay pending.
    assert_eq!((of("confirmed"), of("pending")), (10, 9), "{all:?}");
}

/// Asks for the demo's token as a page of this origin would.
async fn demo_token(broker: &BrokerProcess, origin: &str) -> Value {
    let ask = broker.api("user");
    let request = ask.request(reqwest::Method::POST, "/demo/token");
    let answer = request.header("origin", origin).send().await;
    let text = answer.expect("an answer").text().await.expect("a body");
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test]
async fn demo_token_is_valid_ten_minutes_for_one_field_and_other_sites_get_none() {
    let broker = BrokerProcess::dev();
    let url = format!("{}/demo", broker.url);
    assert_eq!(broker.ready["demo_url"], url);
    let given = demo_token(&broker, &broker.url).await;
    let token = given["token"].as_str().expect("a token");
    let claims = claims(token);
    assert_eq!(claims["scope"], "uploads:write");
    assert_eq!(claims["fields"], json!(["Product.image"]));
    let life = claims["exp"].as_i64().zip(claims["iat"].as_i64());
    assert_eq!(life.map(|(exp, iat)| exp - iat), Some(600));
    let demo = broker.as_caller(token);
    demo.upload("Product.image", b"\x89PNG a picture", "image/png")
        .await;
    demo.create("ProductImage.image", b"x", "image/png")
        .await
        .expect_problem(403, "field-not-allowed");
    demo.get("/v1/stats")
        .await
        .expect_problem(403, "scope-insufficient");
    for origin in ["https://evil.example", "null", "http://localhost:3000"] {
        let refused = demo_token(&broker, origin).await;
        assert_eq!(refused["code"], "invalid-request", "{origin}");
    }
}

#[tokio::test]
async fn serve_has_no_demo() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    for path in ["/demo", "/demo/demo.js", "/demo/seen", "/demo/token"] {
        let answer = broker.anonymous().get(path).await;
        answer.expect_problem(404, "not-found");
    }
}
