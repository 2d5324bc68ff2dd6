//! Which grants can be created, what they allow, and when they end.

use std::time::{Duration, Instant};

use super::*;
use crate::support::test_env::{backend_token, sign_backend};

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn invalid_grant_is_refused_and_not_stored() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let long = "x".repeat(300);
    let cases = [
        (
            json!({"field": "Product.nothing"}),
            422,
            "unknown-field",
            "/field",
        ),
        (
            json!({"field": "Nothing"}),
            400,
            "invalid-request",
            "/field",
        ),
        (json!({"owner": ""}), 400, "invalid-request", "/owner"),
        (json!({"owner": long}), 400, "invalid-request", "/owner"),
        (json!({"owner": null}), 400, "invalid-request", "/owner"),
        (
            json!({"object_id": ""}),
            400,
            "invalid-request",
            "/object_id",
        ),
        (
            json!({"object_id": long}),
            400,
            "invalid-request",
            "/object_id",
        ),
        (
            json!({"object_id": 42}),
            400,
            "invalid-request",
            "/object_id",
        ),
        (
            json!({"max_uploads": 0}),
            400,
            "invalid-request",
            "/max_uploads",
        ),
        (
            json!({"max_uploads": 1001}),
            400,
            "invalid-request",
            "/max_uploads",
        ),
        (
            json!({"max_uploads": -1}),
            400,
            "invalid-request",
            "/max_uploads",
        ),
        (
            json!({"max_uploads": "1"}),
            400,
            "invalid-request",
            "/max_uploads",
        ),
        (json!({"max_size": 0}), 422, "size-not-allowed", "/max_size"),
        (
            json!({"max_size": 10_485_761}),
            422,
            "size-not-allowed",
            "/max_size",
        ),
        (
            json!({"max_size": 1.5}),
            400,
            "invalid-request",
            "/max_size",
        ),
        (
            json!({"expires_in": 0}),
            400,
            "invalid-request",
            "/expires_in",
        ),
        (
            json!({"expires_in": 86_401}),
            400,
            "invalid-request",
            "/expires_in",
        ),
    ];
    for (change, status, code, pointer) in cases {
        let answer = broker.service().post("/v1/grants", &asked(&change)).await;
        let answer = answer.expect_problem(status, code);
        assert_eq!(answer.json["errors"][0]["pointer"], pointer, "{change}");
    }
    let unknown = asked(&json!({"key": "media/x.jpg"}));
    let answer = broker.service().post("/v1/grants", &unknown).await;
    answer.expect_problem(400, "invalid-request");
    for caller in [
        broker.user(),
        broker.ops(),
        broker.backend("uploads:confirm attachments:write"),
    ] {
        let answer = caller.post("/v1/grants", &asked(&json!({}))).await;
        answer.expect_problem(403, "scope-insufficient");
    }
    let narrowed = sign_backend(&backend_token("grants:write").fields(&["Order.*"]));
    let narrowed = broker.anonymous().with_token(&narrowed);
    let answer = narrowed.post("/v1/grants", &asked(&json!({}))).await;
    answer.expect_problem(403, "field-not-allowed");
    let sql = "SELECT id AS line FROM grants";
    assert_eq!(Rows::of(&test_env).lines(sql), [""; 0]);
    for change in [
        json!({"max_uploads": 1000, "expires_in": 86_400}),
        json!({"max_size": 10_485_760}),
    ] {
        mint(&broker, change).await;
    }
}

#[tokio::test]
async fn grant_is_limited_to_its_field_size_record_and_owner() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let minted = mint(&broker, json!({"max_size": 30, "object_id": "42"})).await;
    let page = holder(&broker, &minted);
    let body = |change: Value| {
        let mut body = json!({"field": "Product.image", "filename": "a.jpg", "content_type": "image/jpeg", "size": 30});
        for (name, value) in change.as_object().expect("members") {
            body[name] = value.clone();
        }
        body
    };
    let cases = [
        (
            json!({"field": "ProductImage.image"}),
            403,
            "field-not-allowed",
        ),
        (
            json!({"field": "Product.nothing"}),
            403,
            "field-not-allowed",
        ),
        (json!({"size": 31}), 422, "size-not-allowed"),
        (json!({"object_id": "43"}), 400, "invalid-request"),
        (json!({"owner": "user:1"}), 403, "scope-insufficient"),
        (json!({"owner": "user:2"}), 403, "scope-insufficient"),
        (
            json!({"content_type": "text/html"}),
            422,
            "media-type-not-allowed",
        ),
    ];
    for (change, status, code) in cases {
        let answer = page.post("/v1/uploads", &body(change)).await;
        answer.expect_problem(status, code);
    }
    // Refused creates did not count.
    let same = body(json!({"object_id": "42"}));
    page.post("/v1/uploads", &same).await.expect(201);
}

#[tokio::test]
async fn expired_grant_answers_401_and_its_uploads_stay() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let minted = mint(&broker, json!({"expires_in": 2, "max_uploads": 9})).await;
    let page = holder(&broker, &minted);
    let created = create(&page).await.expect(201);
    page.put(&created, JPEG).await.expect(200);
    let limit = Instant::now() + Duration::from_secs(20);
    let refused = loop {
        let answer = page.read(created.id()).await;
        if answer.status != 200 {
            break answer;
        }
        assert!(Instant::now() < limit, "it doesn't end");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    refused.expect_problem(401, "token-invalid");
    create(&page).await.expect_problem(401, "token-invalid");
    page.confirm(created.id())
        .await
        .expect_problem(401, "token-invalid");
    assert_eq!(used(&test_env, created.id()), "1");
    let confirmed = broker.user().confirm(created.id()).await.expect(200);
    assert_eq!(confirmed.json["status"], "confirmed", "nothing is lost");
}

#[tokio::test]
async fn grant_without_its_row_is_refused_at_once() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let page = holder(&broker, &mint(&broker, json!({"max_uploads": 5})).await);
    create(&page).await.expect(201);
    test_env.database.execute("DELETE FROM grants");
    create(&page).await.expect_problem(401, "token-invalid");
    let sql = "SELECT id AS line FROM uploads";
    assert_eq!(Rows::of(&test_env).lines(sql).len(), 1);
}
