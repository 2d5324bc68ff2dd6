//! The limit of pending uploads and bytes for each owner: counted at create, freed by every final status, and shared by all brokers.

mod connections;
mod requests;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::rows::Rows;
use crate::support::test_env::{Broker, TestEnv};
use crate::support::upload_steps::{eventually, plant};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 some bytes that are limited";

fn at_most(uploads: u64) -> Value {
    json!({"limits": {"pending_uploads_per_owner": uploads}})
}

async fn create(caller: &Api) -> Answer {
    caller.create("Product.image", JPEG, "image/jpeg").await
}

/// The ids of the uploads made; every other answer must be a refusal.
fn allowed(answers: Vec<Answer>, limit: u64) -> Vec<String> {
    let mut ids = Vec::new();
    for answer in answers {
        if answer.status == 201 {
            ids.push(answer.id().to_owned());
            continue;
        }
        let refused = answer.expect_problem(429, "quota-exceeded");
        let secs: u32 = refused.header("retry-after").parse().expect("seconds");
        assert!(secs > 0);
        let limit_text = format!("has {limit} pending uploads, the limit is {limit}");
        let detail = refused.json["detail"].as_str().expect("a detail");
        assert!(detail.contains(&limit_text), "{detail}");
    }
    ids
}

fn owner_usage(test_env: &TestEnv, owner: &str) -> Vec<String> {
    Rows::of(test_env).lines(&format!(
        "SELECT CAST(pending_count AS text) || ' ' || CAST(pending_bytes AS text) AS line FROM owner_usage WHERE owner = '{owner}'"
    ))
}

async fn all_at_once(brokers: &[Broker], subject: &str, count: usize) -> Vec<Answer> {
    let callers: Vec<Api> = brokers.iter().map(|it| it.user_named(subject)).collect();
    join_all((0..count).map(|n| create(&callers[n % callers.len()]))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_concurrent_creates_at_limit_10_make_10_uploads_on_one_broker_and_two() {
    for count in [1, 2] {
        let test_env = TestEnv::new().await;
        let mut brokers = Vec::new();
        for _ in 0..count {
            brokers.push(test_env.broker_with(at_most(10)).await);
        }
        let others = brokers[0].user_named("other");
        let (answers, neighbours) = tokio::join!(
            all_at_once(&brokers, "1", 64),
            join_all((0..8).map(|_| create(&others)))
        );
        let ids = allowed(answers, 10);
        assert_eq!(ids.len(), 10);
        assert_eq!(
            allowed(neighbours, 10).len(),
            8,
            "who has room is not refused"
        );
        let bytes = 10 * JPEG.len();
        assert_eq!(owner_usage(&test_env, "user:1"), [format!("10 {bytes}")]);
        // Reading and repeating cost no quota.
        let user = brokers[0].user();
        user.read(&ids[0]).await.expect(200);
        user.post_empty(&format!("/v1/uploads/{}/presign", ids[0]))
            .await
            .expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_final_status_frees_one_pending_upload() {
    let test_env = TestEnv::new().await;
    let mut change = at_most(5);
    change["sweeper"] = json!({"enabled": true, "interval_secs": 1});
    let brokers = [
        test_env.broker_with(change.clone()).await,
        test_env.broker_with(change).await,
    ];
    let user = brokers[0].user();
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(create(&user).await.expect(201));
    }
    create(&user).await.expect_problem(429, "quota-exceeded");

    let canceled = &made[0];
    user.delete(&format!("/v1/uploads/{}", canceled.id()))
        .await
        .expect(204);
    user.delete(&format!("/v1/uploads/{}", canceled.id()))
        .await
        .expect(204);
    user.put(&made[1], JPEG).await.expect(200);
    let confirms = brokers
        .iter()
        .map(|it| async { it.user().confirm(made[1].id()).await.expect(200) });
    join_all(confirms).await;
    plant(&test_env.bucket, made[2].id(), b"shorter", None).await;
    user.confirm(made[2].id())
        .await
        .expect_problem(422, "object-mismatch");
    Rows::of(&test_env).set_deadline(made[3].id(), -5);
    eventually("it expires", async || {
        user.read(made[3].id()).await.json["status"] == "expired"
    })
    .await;
    user.delete(&format!("/v1/uploads/{}", made[1].id()))
        .await
        .expect(204);

    assert_eq!(
        owner_usage(&test_env, "user:1"),
        [format!("1 {}", JPEG.len())]
    );
    assert_eq!(allowed(all_at_once(&brokers, "1", 9).await, 5).len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_bytes_are_limited_and_counted_for_the_named_owner() {
    let test_env = TestEnv::new().await;
    let limit = 3 * JPEG.len() + 5;
    let change =
        json!({"limits": {"pending_bytes_per_owner": limit, "pending_uploads_per_owner": 0}});
    let broker = test_env.broker_with(change).await;
    let (user, backend) = (broker.user(), broker.backend("uploads:confirm"));
    let body = |size: usize| json!({"field": "Product.image", "filename": "a.jpg", "content_type": "image/jpeg", "size": size, "owner": "user:1"});
    create(&user).await.expect(201);
    for _ in 0..2 {
        backend
            .post("/v1/uploads", &body(JPEG.len()))
            .await
            .expect(201);
    }
    let refused = backend.post("/v1/uploads", &body(6)).await;
    let refused = refused.expect_problem(429, "quota-exceeded");
    let detail = refused.json["detail"].as_str().expect("a detail");
    assert!(
        detail.contains(&format!("{} bytes", 3 * JPEG.len()))
            && detail.contains(&limit.to_string()),
        "{detail}"
    );
    backend.post("/v1/uploads", &body(5)).await.expect(201);
    create(&user).await.expect_problem(429, "quota-exceeded");
    create(&broker.user_named("2")).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_create_stores_no_key_and_uses_no_grant_and_a_replay_is_never_refused() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker_with(at_most(2)).await;
    let user = broker.user();
    let asking = async |key: &str| {
        let body = json!({"field": "Product.image", "filename": "a.jpg", "content_type": "image/jpeg", "size": 9});
        let request = user.request(reqwest::Method::POST, "/v1/uploads");
        crate::support::api::send(request.header("idempotency-key", key).json(&body)).await
    };
    let first = asking("first").await.expect(201);
    let second = asking("second").await.expect(201);
    asking("third").await.expect_problem(429, "quota-exceeded");
    assert_eq!(asking("first").await.expect(201).id(), first.id());
    let grant =
        json!({"field": "Product.image", "owner": "user:1", "max_uploads": 1, "expires_in": 600});
    let grant = broker
        .service()
        .post("/v1/grants", &grant)
        .await
        .expect(201);
    let page = broker
        .anonymous()
        .with_token(grant.json["grant"].as_str().expect("a grant"));
    create(&page).await.expect_problem(429, "quota-exceeded");
    user.delete(&format!("/v1/uploads/{}", second.id()))
        .await
        .expect(204);
    let third = asking("third").await.expect(201);
    user.delete(&format!("/v1/uploads/{}", third.id()))
        .await
        .expect(204);
    create(&page).await.expect(201);
}
