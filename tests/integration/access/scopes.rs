//! Backends that act for users, tokens narrowed to fields, and issuers with a ceiling of scopes.

use super::*;
use crate::support::test_env::{backend_token, sign_backend, sign_user, user_token};

fn create_body(owner: Option<&str>) -> Value {
    let mut body = json!({
        "field": "Product.image", "filename": "cat.jpg", "content_type": "image/jpeg", "size": BYTES.len(),
    });
    if let Some(owner) = owner {
        body["owner"] = json!(owner);
    }
    body
}

#[tokio::test]
async fn upload_created_by_a_backend_for_a_user_is_confirmed_by_the_user() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let (service, user) = (broker.service(), broker.user());
    let created = service
        .post("/v1/uploads", &create_body(Some("user:1")))
        .await
        .expect(201);
    assert_eq!(created.json["owner"], "user:1");
    broker
        .user_named("2")
        .read(created.id())
        .await
        .expect_problem(404, "upload-not-found");
    user.put(&created, BYTES).await.expect(200);
    let confirmed = user.confirm(created.id()).await.expect(200);
    assert_eq!(confirmed.json["confirmed_by"], "client");

    let staged = user.stage("Product.image", BYTES, "image/jpeg").await;
    let confirmed = service.confirm(staged.id()).await.expect(200);
    assert_eq!(confirmed.json["confirmed_by"], "service");
    assert_eq!(confirmed.json["owner"], "user:1");
}

#[tokio::test]
async fn owner_is_required_from_a_backend_and_refused_from_a_user() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    for owner in ["user:1", "user:2", ""] {
        for caller in [broker.user(), broker.ops(), broker.backend("grants:write")] {
            let answer = caller.post("/v1/uploads", &create_body(Some(owner))).await;
            answer.expect_problem(403, "scope-insufficient");
        }
    }
    let answer = broker
        .service()
        .post("/v1/uploads", &create_body(None))
        .await;
    let answer = answer.expect_problem(403, "scope-insufficient");
    assert!(
        answer.json["detail"]
            .as_str()
            .is_some_and(|it| it.contains("`owner`"))
    );
    let long = "o".repeat(256);
    for owner in ["", "a\nb", "a\u{0}b", long.as_str()] {
        let body = create_body(Some(owner));
        let answer = broker.service().post("/v1/uploads", &body).await;
        let answer = answer.expect_problem(400, "invalid-request");
        assert_eq!(answer.json["errors"][0]["pointer"], "/owner", "{owner:?}");
    }
    let both = broker.backend("uploads:write uploads:confirm");
    let own = both
        .post("/v1/uploads", &create_body(None))
        .await
        .expect(201);
    assert_eq!(own.json["owner"], "service:shop");
}

#[tokio::test]
async fn fields_claim_narrows_create_list_and_statistics() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let product = user.create("Product.image", BYTES, "image/jpeg").await;
    let gallery = user.create("ProductImage.image", BYTES, "image/jpeg").await;
    let cases = [
        (&["Product.image"][..], vec![product.id()]),
        (&["Product.*"], vec![product.id()]),
        (&["ProductImage.*"], vec![gallery.id()]),
        (
            &["Product.*", "ProductImage.*"],
            vec![gallery.id(), product.id()],
        ),
        (&["Order.*"], vec![]),
        (&[], vec![]),
    ];
    for (fields, expected) in cases {
        let user = broker
            .anonymous()
            .with_token(&sign_user(&user_token("1").fields(fields)));
        let ops = backend_token("ops").fields(fields);
        let ops = broker.anonymous().with_token(&sign_backend(&ops));
        for caller in [&user, &ops] {
            let list = caller.get("/v1/uploads").await.expect(200);
            let ids: Vec<&Value> = list.json["data"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|one| &one["id"])
                .collect();
            assert_eq!(ids, expected, "{fields:?}");
        }
        let stats = ops.get("/v1/stats").await.expect(200);
        let counted = stats.json["data"].as_array().map(Vec::len);
        assert_eq!(counted, Some(expected.len()), "{fields:?}: {}", stats.text);
        let oldest = stats.json["oldest_pending"].as_array().map(Vec::len);
        assert_eq!(oldest, Some(expected.len()), "{fields:?}: {}", stats.text);
        let created = user.create("Product.image", BYTES, "image/jpeg").await;
        if expected.contains(&product.id()) {
            let id = created.expect(201).id().to_owned();
            user.delete(&statuses::path(&id)).await.expect(204);
            let mut connection = test_env.database.connect();
            connection.execute(&format!("DELETE FROM events WHERE upload_id = '{id}'"));
            connection.execute(&format!("DELETE FROM uploads WHERE id = '{id}'"));
            // Statistics read the counters, which only the broker changes.
            connection.execute("DELETE FROM upload_counts WHERE status = 'canceled'");
        } else {
            created.expect_problem(403, "field-not-allowed");
        }
    }
}

#[tokio::test]
async fn scopes_above_the_issuers_ceiling_are_ignored() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let greedy = "ops uploads:confirm attachments:write grants:write uploads:write";
    let token = sign_user(&user_token("1").scope(greedy));
    let caller = broker.anonymous().with_token(&token);
    caller
        .get("/v1/stats")
        .await
        .expect_problem(403, "scope-insufficient");
    let id = statuses::in_status(&test_env, &broker.user_named("2"), Status::Pending).await;
    caller
        .read(&id)
        .await
        .expect_problem(404, "upload-not-found");
    caller
        .post("/v1/uploads", &create_body(Some("user:2")))
        .await
        .expect_problem(403, "scope-insufficient");
    caller
        .post("/v1/uploads", &create_body(None))
        .await
        .expect(201);
}
