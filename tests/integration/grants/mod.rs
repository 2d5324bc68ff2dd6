//! Grants: a page without a token of its own uploads within the limits that its backend set.

mod access;
mod limits;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::rows::Rows;
use crate::support::test_env::{Broker, TestEnv};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes of a picture";

/// The body of a grant request, with these changes.
fn asked(changes: &Value) -> Value {
    let mut body = json!({"field": "Product.image", "owner": "user:1"});
    for (name, value) in changes.as_object().expect("members") {
        body[name] = value.clone();
    }
    body
}

async fn mint(broker: &Broker, changes: Value) -> Answer {
    let body = asked(&changes);
    broker.service().post("/v1/grants", &body).await.expect(201)
}

/// A client with the grant in this answer.
fn holder(broker: &Broker, minted: &Answer) -> Api {
    let token = minted.json["grant"].as_str().expect("a grant");
    broker.anonymous().with_token(token)
}

async fn create(page: &Api) -> Answer {
    page.create("Product.image", JPEG, "image/jpeg").await
}

/// `used` of the grant that this upload was made under.
fn used(test_env: &TestEnv, upload: &str) -> String {
    let sql = format!(
        "SELECT CAST(used AS text) AS line FROM grants WHERE id = (SELECT grant_id FROM uploads WHERE id = '{upload}')"
    );
    Rows::of(test_env).lines(&sql).remove(0)
}

#[tokio::test]
async fn confirm_under_a_grant_with_a_record_attaches_the_upload() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let minted = mint(&broker, json!({"object_id": "42"})).await;
    let token = minted.json["grant"].as_str().expect("a grant");
    let endpoint = format!("{}/g/{token}", broker.url);
    assert_eq!(minted.json["uppy_endpoint"], endpoint);
    assert!(minted.json["expires_at"].is_string());
    let page = holder(&broker, &minted);
    let former = page.upload("Product.image", JPEG, "image/jpeg").await;
    assert_eq!(former.json["owner"], "user:1");
    assert_eq!(former.json["object_id"], "42");
    assert_eq!(former.json["status"], "attached");
    assert_eq!(former.json["confirmed_by"], "client");
    let events = Rows::of(&test_env).events(former.id());
    assert_eq!(events, ["1 upload.confirmed", "2 upload.attached"]);

    let second = mint(&broker, json!({"object_id": "42"})).await;
    let page = holder(&broker, &second);
    let created = create(&page).await.expect(201);
    page.put(&created, JPEG).await.expect(200);
    let again = page
        .post_empty(&format!("/v1/uploads/{}/presign", created.id()))
        .await;
    again.expect(200);
    page.confirm(created.id()).await.expect(200);
    let replaced = broker.user().read(former.id()).await.expect(200);
    assert_eq!(replaced.json["status"], "detached", "cardinality one");
}

#[tokio::test]
async fn record_named_by_the_client_of_a_grant_attaches_nothing() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let page = holder(&broker, &mint(&broker, json!({})).await);
    let body = json!({
        "field": "Product.image", "filename": "a.jpg", "content_type": "image/jpeg", "size": JPEG.len(), "object_id": "7",
    });
    let created = page.post("/v1/uploads", &body).await.expect(201);
    assert_eq!(created.json["object_id"], "7");
    page.put(&created, JPEG).await.expect(200);
    let confirmed = page.confirm(created.id()).await.expect(200);
    assert_eq!(confirmed.json["status"], "confirmed");
    let service = broker.service();
    let path = format!("/v1/uploads/{}/attach", created.id());
    let attached = service.post(&path, &json!({"object_id": "8"})).await;
    assert_eq!(attached.expect(200).json["object_id"], "8");
}

#[tokio::test(flavor = "multi_thread")]
async fn grant_above_its_uses_answers_429_across_two_brokers() {
    let test_env = TestEnv::new().await;
    let brokers = [test_env.broker().await, test_env.broker().await];
    let minted = mint(&brokers[0], json!({"max_uploads": 7})).await;
    let pages = brokers.each_ref().map(|broker| holder(broker, &minted));
    let answers = join_all((0..40).map(|n| create(&pages[n % 2]))).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|it| it.status == 201);
    assert_eq!(made.len(), 7);
    for answer in refused {
        let answer = answer.expect_problem(429, "quota-exceeded");
        let after: u32 = answer.header("retry-after").parse().expect("seconds");
        assert!((1..=900).contains(&after), "{after}");
    }
    let sql = "SELECT id AS line FROM uploads WHERE grant_id IS NOT NULL";
    assert_eq!(
        Rows::of(&test_env).lines(sql).len(),
        7,
        "nothing lost, nothing more"
    );
    assert_eq!(used(&test_env, made[0].id()), "7");

    let canceled = format!("/v1/uploads/{}", made[0].id());
    pages[1].delete(&canceled).await.expect(204);
    create(&pages[1])
        .await
        .expect_problem(429, "quota-exceeded");
    // Uploads already made are not affected.
    pages[0].put(&made[1], JPEG).await.expect(200);
    pages[1].confirm(made[1].id()).await.expect(200);
}

#[tokio::test]
async fn repeated_create_under_a_grant_counts_once() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let page = holder(&broker, &mint(&broker, json!({})).await);
    let body = json!({"field": "Product.image", "filename": "a.jpg", "content_type": "image/jpeg", "size": JPEG.len()});
    let repeated = async || {
        let request = page.request(reqwest::Method::POST, "/v1/uploads");
        crate::support::api::send(request.header("idempotency-key", "k").json(&body)).await
    };
    let first = repeated().await.expect(201);
    for _ in 0..3 {
        assert_eq!(repeated().await.expect(201).id(), first.id());
    }
    assert_eq!(used(&test_env, first.id()), "1");
    create(&page).await.expect_problem(429, "quota-exceeded");
    // Another grant's holder is another caller, whatever its key.
    let other = holder(&broker, &mint(&broker, json!({})).await);
    let request = other.request(reqwest::Method::POST, "/v1/uploads");
    let request = request.header("idempotency-key", "k").json(&body);
    let answer = crate::support::api::send(request).await.expect(201);
    assert_ne!(answer.id(), first.id());
}
