//! The body of every problem document, as a snapshot: these texts are part of the API.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use bytepass::domain::upload::Status;

use crate::support::api::{Answer, send};
use crate::support::broker_process::free_address;
use crate::support::raw_http::RawHttp;
use crate::support::statuses::{BYTES, in_status, path};
use crate::support::test_env::{Broker, TestEnv, sign_user, user_token};
use crate::support::tokens::Token;

/// A code with an answer that has it.
type ProblemCase = (&'static str, Answer);

fn body(change: &Value) -> Value {
    let mut body = json!({"field": "Product.image", "filename": "cat.jpg", "content_type": "image/jpeg", "size": 5});
    for (name, value) in change.as_object().expect("members") {
        body[name] = value.clone();
    }
    body
}

async fn of_declarations(broker: &Broker) -> Vec<ProblemCase> {
    let user = broker.user();
    let post = async |change: Value| user.post("/v1/uploads", &body(&change)).await;
    let narrowed = sign_user(&user_token("1").fields(&["Order.*"]));
    let narrowed = broker.anonymous().with_token(&narrowed);
    let long = user
        .request(Method::POST, "/v1/uploads")
        .header("content-type", "application/json");
    let text = user
        .request(Method::POST, "/v1/uploads")
        .header("content-type", "text/plain");
    vec![
        ("invalid-request", post(json!({"size": "5"})).await),
        (
            "field-not-allowed",
            narrowed.post("/v1/uploads", &body(&json!({}))).await,
        ),
        (
            "payload-too-large",
            send(long.body(" ".repeat(20_000))).await,
        ),
        ("unsupported-media-type", send(text.body("hello")).await),
        (
            "unknown-field",
            post(json!({"field": "Product.picture"})).await,
        ),
        (
            "media-type-not-allowed",
            post(json!({"content_type": "image/svg+xml"})).await,
        ),
        ("size-not-allowed", post(json!({"size": 99_999_999})).await),
        (
            "checksum-required",
            post(json!({"field": "Deposit.deposit_proof"})).await,
        ),
    ]
}

async fn of_callers(test_env: &TestEnv, broker: &Broker) -> Vec<ProblemCase> {
    let nobody = broker.anonymous();
    let missing = "/v1/uploads/upl_01knavb5w8e59a3fjc8w6qgp7z";
    let keyless = json!({
        "name": "shop", "issuer": "shop", "audience": "bytepass", "owner_prefix": "shop:", "scopes": ["ops"],
        "jwks_url": format!("http://{}/keys", free_address()),
    });
    let deaf = test_env
        .broker_with(json!({"auth": {"issuers": [keyless]}}))
        .await;
    let limits = json!({"requests_per_owner_per_sec": 1, "requests_per_owner_burst": 1});
    let strict = test_env.broker_with(json!({ "limits": limits })).await;
    let mut hasty = strict.user().get("/v1/uploads").await;
    while hasty.status != 429 {
        hasty = strict.user().get("/v1/uploads").await;
    }
    let stranger = Token::new("shop", "bytepass", "1")
        .header("kid", json!("a"))
        .header("alg", json!("ES256"));
    let stranger = deaf.anonymous().with_token(&stranger.sign(b"whatever"));
    vec![
        ("token-missing", nobody.get("/v1/uploads").await),
        (
            "token-invalid",
            nobody.with_token("a.b.c").get("/v1/uploads").await,
        ),
        ("issuer-unavailable", stranger.get("/v1/uploads").await),
        ("rate-limited", hasty),
        ("scope-insufficient", broker.user().get("/v1/stats").await),
        ("not-found", nobody.get("/v2/uploads").await),
        ("upload-not-found", broker.user().get(missing).await),
        ("method-not-allowed", nobody.delete("/livez").await),
    ]
}

async fn of_uploads(test_env: &TestEnv, broker: &Broker) -> Vec<ProblemCase> {
    let user = broker.user();
    let pending = in_status(test_env, &user, Status::Pending).await;
    let expired = in_status(test_env, &user, Status::Expired).await;
    let canceled = in_status(test_env, &user, Status::Canceled).await;
    let rejected = in_status(test_env, &user, Status::Rejected).await;
    let attached = in_status(test_env, &user, Status::Attached).await;
    let broken = in_status(test_env, &user, Status::Pending).await;
    let damage = format!("UPDATE uploads SET content_type = 'no/such' WHERE id = '{broken}'");
    test_env.database.execute(&damage);
    vec![
        ("object-missing", user.confirm(&pending).await),
        ("upload-expired", user.confirm(&expired).await),
        (
            "wrong-status",
            user.post_empty(&format!("{}/presign", path(&canceled)))
                .await,
        ),
        (
            "already-attached",
            broker.service().attach(&attached, "43").await,
        ),
        ("object-mismatch", user.confirm(&rejected).await),
        ("internal", user.read(&broken).await),
    ]
}

async fn of_faults(test_env: &TestEnv, broker: &Broker) -> Vec<ProblemCase> {
    let user = broker.user();
    let change = json!({
        "storage": {"endpoint": format!("http://{}", free_address()), "attempt_timeout_ms": 300, "operation_timeout_ms": 500},
        "database": {"write_wait_ms": 300},
    });
    let lame = test_env.broker_with(change).await;
    let change = json!({"server": {"shutdown_delay_secs": 1}});
    let mut ending = test_env.broker_with(change).await;
    let stopping = ending.begin_stop().await;
    let pending = in_status(test_env, &user, Status::Pending).await;
    let no_store = lame.user().confirm(&pending).await;
    let held = test_env.database.block_writes();
    let no_database = lame
        .user()
        .create("Product.image", BYTES, "image/jpeg")
        .await;
    drop(held);
    vec![
        ("store-unavailable", no_store),
        ("database-unavailable", no_database),
        ("stopping", stopping),
    ]
}

async fn of_requests(test_env: &TestEnv, broker: &Broker) -> Vec<ProblemCase> {
    let service = broker.service();
    let minted = json!({"field": "Product.image", "owner": "user:1"});
    let minted = service.post("/v1/grants", &minted).await.expect(201);
    let page = minted.json["grant"].as_str().expect("a grant");
    let page = broker.anonymous().with_token(page);
    let keyed = async |change: Value| {
        let request = page.request(Method::POST, "/v1/uploads");
        send(request.header("idempotency-key", "k").json(&body(&change))).await
    };
    keyed(json!({})).await.expect(201);
    let reused = keyed(json!({"size": 6})).await;
    let used_up = page.post("/v1/uploads", &body(&json!({}))).await;
    let held = test_env.database.block_writes();
    // A fresh key: the first of two requests waits for the database, the second gets the problem.
    let user = broker.user();
    let twice = async || {
        let request = user.request(Method::POST, "/v1/uploads");
        send(
            request
                .header("idempotency-key", "fresh")
                .json(&body(&json!({}))),
        )
        .await
    };
    let both = [(); 2].map(|()| Box::pin(twice()));
    let (in_progress, _, _) = futures::future::select_all(both).await;
    drop(held);
    vec![
        ("idempotency-key-reused", reused),
        ("quota-exceeded", used_up),
        ("request-in-progress", in_progress),
    ]
}

/// The 408 of a body that stops, which no client library would wait for.
async fn of_slowness(broker: &Broker) -> Value {
    let (url, token) = (broker.url.clone(), sign_user(&user_token("1")));
    let heard = tokio::task::spawn_blocking(move || {
        let mut line = RawHttp::to(&url);
        line.say(format!(
            "POST /v1/uploads HTTP/1.1\r\nhost: b\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{{"
        ));
        line.hear()
    });
    let heard = heard.await.expect("the thread lives");
    let (_, body) = heard.split_once("\r\n\r\n").expect("a head");
    serde_json::from_str(body).expect("JSON")
}

fn snapshot(code: &str, mut document: Value, broker_url: &str) {
    let kind = document["type"].as_str().expect("a type");
    let fragment = kind.split_once('#').expect("a fragment").1;
    assert!(
        kind.starts_with("http://127.0.0.1:"),
        "{kind} of {broker_url}"
    );
    document["type"] = json!(format!("https://broker.example/problems#{fragment}"));
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_sort_maps(true);
    settings.bind(|| {
        insta::assert_json_snapshot!(format!("problem-{code}"), document, {".instance" => "urn:request:…"});
    });
}

#[tokio::test]
async fn every_problem_has_the_body_of_its_snapshot() {
    let test_env = TestEnv::new().await;
    let broker = test_env
        .broker_with(json!({"server": {"body_timeout_ms": 200}}))
        .await;
    let slow = of_slowness(&broker).await;
    let mut cases = of_declarations(&broker).await;
    cases.extend(of_callers(&test_env, &broker).await);
    cases.extend(of_uploads(&test_env, &broker).await);
    cases.extend(of_requests(&test_env, &broker).await);
    cases.extend(of_faults(&test_env, &broker).await);
    let page = broker.anonymous().get("/problems").await.expect(200);
    let there: BTreeSet<&str> = page
        .text
        .split("class=\"problem\" id=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(there.len() > 20, "{there:?}");
    let shown: BTreeSet<&str> = cases
        .iter()
        .map(|(code, _)| *code)
        .chain(["request-timeout"])
        .collect();
    assert_eq!(shown, there, "a code without a snapshot");

    snapshot("request-timeout", slow, &broker.url);
    for (code, answer) in cases {
        assert_eq!(answer.code(), code, "{}", answer.text);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json["status"], answer.status);
        let has = |name: &str| !answer.header(name).is_empty();
        assert_eq!(has("www-authenticate"), answer.status == 401, "{code}");
        let later = [429, 503].contains(&answer.status) || code == "request-in-progress";
        assert_eq!(has("retry-after"), later, "{code}");
        assert_eq!(has("allow"), answer.status == 405, "{code}");
        snapshot(code, answer.json, &broker.url);
    }
}
