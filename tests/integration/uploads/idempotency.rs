//! `Idempotency-Key`: a repeated request has one effect, and its answer shows the current state of the same upload.

use std::time::Duration;

use futures::future::{join_all, select_all};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api, send};
use crate::support::rows::Rows;
use crate::support::test_env::TestEnv;

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes of a picture";

fn body() -> Value {
    json!({"field": "Product.image", "filename": "a.jpg", "content_type": "image/jpeg", "size": JPEG.len()})
}

async fn post(api: &Api, path: &str, key: &str, body: &Value) -> Answer {
    let request = api.request(Method::POST, path);
    send(request.header("idempotency-key", key).json(body)).await
}

async fn create(api: &Api, key: &str, body: &Value) -> Answer {
    post(api, "/v1/uploads", key, body).await
}

fn uploads(test_env: &TestEnv) -> usize {
    let sql = "SELECT id AS line FROM uploads";
    Rows::of(test_env).lines(sql).len()
}

#[tokio::test]
async fn repeated_request_returns_the_same_upload_presigned_afresh() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let first = create(&user, "k1", &body()).await.expect(201);
    let again = create(&user, "k1", &body()).await.expect(201);
    assert_eq!(again.id(), first.id());
    assert_eq!(again.header("location"), first.header("location"));
    assert!(again.json["presigned"]["url"].is_string());
    // Another spelling of the same: other order, a null, white space.
    let spelled = format!(
        " {{\"size\": {}, \"checksum\": null, \"content_type\":\"image\\/jpeg\", \"filename\":\"a.jpg\", \"field\":\"Product.image\"}} ",
        JPEG.len()
    );
    let request = user.request(Method::POST, "/v1/uploads");
    let request = request.header("idempotency-key", "k1");
    let request = request
        .header("content-type", "application/json")
        .body(spelled);
    assert_eq!(send(request).await.expect(201).id(), first.id());
    user.put(&again, JPEG).await.expect(200);
    let confirmed = user.confirm(first.id()).await.expect(200);
    let late = create(&user, "k1", &body()).await.expect(201);
    assert_eq!(late.json["status"], "confirmed");
    assert_eq!(late.json["key"], confirmed.json["key"]);
    assert!(late.json["presigned"].is_null() && late.json["confirm_url"].is_null());
    assert_eq!(uploads(&test_env), 1);
    assert_ne!(
        create(&user, "k2", &body()).await.expect(201).id(),
        first.id()
    );
    let stranger = create(&broker.user_named("2"), "k1", &body()).await;
    assert_ne!(
        stranger.expect(201).id(),
        first.id(),
        "keys are a caller's own"
    );
}

#[tokio::test]
async fn repeated_key_with_another_body_is_refused_and_only_successes_are_kept() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let mut wrong = body();
    wrong["content_type"] = json!("text/html");
    create(&user, "k", &wrong)
        .await
        .expect_problem(422, "media-type-not-allowed");
    let first = create(&user, "k", &body()).await.expect(201);
    let mut other = body();
    other["size"] = json!(JPEG.len() + 1);
    create(&user, "k", &other)
        .await
        .expect_problem(422, "idempotency-key-reused");
    assert_eq!(
        create(&user, "k", &body()).await.expect(201).id(),
        first.id()
    );
    for key in ["a b", "", &"k".repeat(256)] {
        create(&user, key, &body())
            .await
            .expect_problem(400, "invalid-request");
    }
    assert_eq!(uploads(&test_env), 1);
}

#[tokio::test]
async fn retried_grant_and_retried_attach_return_the_first_outcome() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let service = broker.service();
    let ask = json!({"field": "Product.image", "owner": "user:1", "max_uploads": 2});
    let first = post(&service, "/v1/grants", "k", &ask).await.expect(201);
    let again = post(&service, "/v1/grants", "k", &ask).await.expect(201);
    assert_eq!(again.json["expires_at"], first.json["expires_at"]);
    let id = |answer: &Answer| claims(answer)["jti"].clone();
    assert_eq!(id(&again), id(&first));
    let other = json!({"field": "Product.image", "owner": "user:2", "max_uploads": 2});
    post(&service, "/v1/grants", "k", &other)
        .await
        .expect_problem(422, "idempotency-key-reused");
    // Routes have keys of their own.
    let mut own = body();
    own["owner"] = json!("user:1");
    create(&service, "k", &own).await.expect(201);

    let user = broker.user();
    let upload = user.upload("Product.image", JPEG, "image/jpeg").await;
    let path = format!("/v1/uploads/{}/attach", upload.id());
    let record = json!({"object_id": "42"});
    post(&service, &path, "k", &record).await.expect(200);
    let detach = format!("/v1/uploads/{}/detach", upload.id());
    let again = post(&service, &path, "k", &record).await.expect(200);
    assert_eq!(again.json["status"], "attached");
    post(&service, &path, "k", &json!({"object_id": "43"}))
        .await
        .expect_problem(422, "idempotency-key-reused");
    service.post_empty(&detach).await.expect(200);
    let late = post(&service, &path, "k", &record).await.expect(200);
    assert_eq!(late.json["status"], "detached", "as it is by then");
    let events = Rows::of(&test_env).events(upload.id());
    assert_eq!(
        events,
        [
            "1 upload.confirmed",
            "2 upload.attached",
            "3 upload.detached"
        ]
    );
}

fn claims(minted: &Answer) -> Value {
    use base64::Engine as _;
    let token = minted.json["grant"].as_str().expect("a grant");
    let part = token.split('.').nth(1).expect("claims");
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part);
    serde_json::from_slice(&text.expect("base64")).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_with_one_key_on_two_brokers_make_one_upload() {
    let test_env = TestEnv::new().await;
    let brokers = [test_env.broker().await, test_env.broker().await];
    let users = brokers.each_ref().map(|broker| broker.user());
    for round in 0..5 {
        let (key, body) = (format!("k{round}"), body());
        let answers = join_all((0..24).map(|n| create(&users[n % 2], &key, &body))).await;
        let mut ids = Vec::new();
        for answer in answers {
            if answer.status == 201 {
                ids.push(answer.id().to_owned());
            } else {
                let answer = answer.expect_problem(409, "request-in-progress");
                assert_eq!(answer.header("retry-after"), "1");
            }
        }
        ids.push(
            create(&users[0], &key, &body)
                .await
                .expect(201)
                .id()
                .to_owned(),
        );
        ids.dedup();
        assert_eq!(ids.len(), 1, "{ids:?}");
        assert_eq!(uploads(&test_env), round + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn second_request_during_the_first_answers_in_progress() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let held = test_env.database.block_writes();
    let body = body();
    let mut both = Vec::new();
    for _ in 0..2 {
        both.push(Box::pin(create(&user, "k", &body)));
    }
    let (refused, _, mut left) = select_all(both).await;
    let refused = refused.expect_problem(409, "request-in-progress");
    assert_eq!(refused.header("retry-after"), "1");
    drop(held);
    let first = left.remove(0).await.expect(201);
    assert_eq!(create(&user, "k", &body).await.expect(201).id(), first.id());
}

#[tokio::test]
async fn key_is_reusable_after_a_day() {
    let test_env = TestEnv::new().await;
    let broker = test_env
        .broker_with(json!({"workers": {"prune_interval_secs": 1}}))
        .await;
    let user = broker.user();
    let first = create(&user, "k", &body()).await.expect(201);
    let past = "UPDATE idempotency_keys SET expires_at = created_at WHERE key = 'k'";
    Rows::of(&test_env).change_one(past);
    let second = create(&user, "k", &body()).await.expect(201);
    assert_ne!(second.id(), first.id());
    Rows::of(&test_env).change_one(past);
    let keys = || Rows::of(&test_env).lines("SELECT key AS line FROM idempotency_keys");
    for _ in 0..200 {
        if keys().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the pruner forgets nothing: {:?}", keys());
}
