//! Invalid input about records: each gets a problem document and changes nothing.

use serde_json::{Value, json};

use crate::attachments::confirmed;
use crate::support::statuses::{BYTES, path};
use crate::support::test_env::TestEnv;

/// Invalid ids of records.
fn bad_ids() -> [String; 5] {
    [
        String::new(),
        "x".repeat(300),
        "ü".repeat(128),
        "a\nb".to_owned(),
        "a\u{0}b".to_owned(),
    ]
}

#[tokio::test]
async fn object_id_of_300_characters_is_refused_everywhere() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let (user, backend) = (broker.user(), broker.service());
    let id = confirmed(&user, "Product.image").await;
    let before = user.read(&id).await.expect(200);
    for bad in bad_ids() {
        let answer = backend.attach(&id, &bad).await;
        let answer = answer.expect_problem(400, "invalid-request");
        assert_eq!(answer.json["errors"][0]["pointer"], "/object_id");
        let body = json!({"field": "Product.image", "filename": "cat.jpg", "content_type": "image/jpeg",
            "size": BYTES.len(), "object_id": bad});
        let answer = user.post("/v1/uploads", &body).await;
        let answer = answer.expect_problem(400, "invalid-request");
        assert_eq!(answer.json["errors"][0]["pointer"], "/object_id");
        let encoded: String = bad.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let list = user.get(&format!("/v1/uploads?object_id={encoded}")).await;
        list.expect_problem(400, "invalid-request");
        let list = user
            .get(&format!("/v1/attachments/Product/{encoded}"))
            .await;
        match bad.is_empty() {
            true => list.expect_problem(404, "not-found"),
            false => list.expect_problem(400, "invalid-request"),
        };
    }
    let longest = "x".repeat(255);
    assert_eq!(user.read(&id).await.json, before.json);
    let attached = backend.attach(&id, &longest).await.expect(200);
    assert_eq!(attached.json["object_id"], longest);
    let list = user.get("/v1/uploads").await.expect(200);
    assert_eq!(
        list.json["data"],
        json!([attached.json]),
        "nothing else was made"
    );
}

#[tokio::test]
async fn unknown_record_type_is_a_problem_and_not_an_empty_list() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    for model in [
        "Prodct",
        "product",
        "Product.image",
        "Product%2Fimage",
        "%20",
        "_",
        "*",
    ] {
        for caller in [broker.user(), broker.service(), broker.ops()] {
            let list = caller.get(&format!("/v1/attachments/{model}/42")).await;
            let list = list.expect_problem(422, "unknown-field");
            let detail = list.json["detail"].as_str().expect("a text");
            assert!(
                detail.contains("Deposit, Order, Product, ProductImage"),
                "{detail}"
            );
        }
    }
    let broken = broker.user().get("/v1/attachments/%ff/42").await;
    broken.expect_problem(400, "invalid-request");
    for path in [
        "/v1/attachments",
        "/v1/attachments/Product",
        "/v1/attachments/Product/1/2",
    ] {
        let nothing = broker.user().get(path).await;
        nothing.expect_problem(404, "not-found");
    }
}

#[tokio::test]
async fn wrong_scopes_attach_and_detach_nothing() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let id = confirmed(&user, "Product.image").await;
    for scopes in [
        "uploads:write",
        "uploads:confirm",
        "grants:write",
        "ops",
        "",
        "attachments",
    ] {
        let caller = broker.backend(scopes);
        let refused = caller.attach(&id, "42").await;
        let refused = refused.expect_problem(403, "scope-insufficient");
        let detail = refused.json["detail"].as_str().expect("a text");
        assert!(detail.contains("attachments:write"), "{detail}");
        let refused = caller.detach(&id).await;
        refused.expect_problem(403, "scope-insufficient");
    }
    user.attach(&id, "42")
        .await
        .expect_problem(403, "scope-insufficient");
    let nobody = broker.anonymous();
    let refused = nobody.attach(&id, "42").await;
    refused.expect_problem(401, "token-missing");
    let read = user.read(&id).await.expect(200);
    assert_eq!(read.json["status"], "confirmed");
}

#[tokio::test]
async fn attach_body_must_be_one_string() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let id = confirmed(&broker.user(), "Product.image").await;
    let attach = format!("{}/attach", path(&id));
    let bodies: [Value; 7] = [
        json!({}),
        json!({"object_id": 42}),
        json!({"object_id": null}),
        json!({"object_id": ["42"]}),
        json!({"objectId": "42"}),
        json!({"object_id": "42", "field": "Product.image"}),
        json!(["42"]),
    ];
    for body in bodies {
        let answer = broker.service().post(&attach, &body).await;
        answer.expect_problem(400, "invalid-request");
    }
    let empty = broker.service().post_empty(&attach).await;
    assert_eq!((empty.status, empty.code()), (400, "invalid-request"));
    let read = broker.user().read(&id).await.expect(200);
    assert_eq!(read.json["status"], "confirmed");
}

#[tokio::test]
async fn upload_of_a_removed_field_can_be_detached_and_not_attached() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let ids = [
        confirmed(&broker.user(), "Product.image").await,
        confirmed(&broker.user(), "Product.image").await,
    ];
    broker.service().attach(&ids[0], "42").await.expect(200);
    drop(broker);
    let only = json!({"fields": {"Order.txid_proof": {
        "upload_to": "txid_proofs/", "content_types": ["image/png"], "max_size": 1000,
    }}});
    let broker = test_env.broker_with(only).await;
    let refused = broker.service().attach(&ids[1], "42").await;
    refused.expect_problem(422, "unknown-field");
    let detached = broker.service().detach(&ids[0]).await.expect(200);
    assert_eq!(detached.json["status"], "detached");
}
