//! False sizes and checksums: the store refuses a PUT that differs from what was signed, and confirm rejects what the store accepted.

use futures::stream;
use reqwest::Body;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api, http_client, presigned, send};
use crate::support::rows::Rows;
use crate::support::test_env::TestEnv;
use crate::support::upload_steps::{ALGORITHMS, create_with, plant, staging_key};

const RIGHT: &[u8] = b"\x89PNG the bytes that were meant";
const OTHER: &[u8] = b"\x89PNG the bytes of somebody!!!!";
const _: () = assert!(RIGHT.len() == OTHER.len(), "the length is signed");

fn refused_by_store(answer: &Answer) -> bool {
    [400, 403, 411].contains(&answer.status)
}

/// Fails the test unless the upload was rejected for this reason alone, for good, and left nothing in the bucket.
async fn assert_rejected(test_env: &TestEnv, user: &Api, id: &str, pointer: &str) {
    let first = user.confirm(id).await;
    let first = first.expect_problem(422, "object-mismatch");
    let errors = first.json["errors"].as_array().expect("differences");
    assert_eq!(errors.len(), 1, "{}", first.text);
    assert_eq!(errors[0]["pointer"], pointer, "{}", first.text);
    let again = user
        .confirm(id)
        .await
        .expect_problem(422, "object-mismatch");
    assert_eq!(again.json["errors"], first.json["errors"]);
    let read = user.read(id).await.expect(200);
    assert_eq!(read.json["status"], "rejected");
    assert_eq!(read.json["key"], Value::Null);
    let staged = test_env.bucket.head(&staging_key(id)).await;
    assert!(staged.is_none(), "the staged object is gone");
    let rows = Rows::of(test_env);
    assert_eq!(rows.events(id), ["1 upload.rejected"]);
    let attempts = rows.attempts(id);
    assert_eq!(attempts.len(), 1, "{attempts:?}");
    assert_eq!(attempts[0].1, "abandoned");
    let copy = test_env.bucket.head(&attempts[0].0).await;
    assert!(copy.is_none(), "the copy is gone");
}

#[tokio::test]
async fn put_of_another_size_is_refused_and_leaves_nothing_to_confirm() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let created = user.create("Product.image", RIGHT, "image/png").await;
    let id = created.clone().expect(201).id().to_owned();
    for size in [RIGHT.len() - 1, RIGHT.len() + 1, 0, RIGHT.len() * 10] {
        let answer = user.put(&created, &vec![7; size]).await;
        assert!(refused_by_store(&answer), "{size}: {answer:?}");
    }
    let request = presigned(&http_client(), &created.json["presigned"]);
    let chunks = RIGHT.chunks(7).map(Ok::<_, std::io::Error>);
    let chunked = Body::wrap_stream(stream::iter(chunks));
    let answer = send(request.body(chunked)).await;
    assert!(refused_by_store(&answer), "without a length: {answer:?}");
    assert!(test_env.bucket.list("").await.is_empty());
    let missing = user.confirm(&id).await;
    missing.expect_problem(409, "object-missing");
    user.put(&created, RIGHT).await.expect(200);
    user.confirm(&id).await.expect(200);
}

#[tokio::test]
async fn object_of_another_size_in_the_bucket_is_rejected() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    for size in [RIGHT.len() - 1, RIGHT.len() + 1, 0, RIGHT.len() * 10] {
        let created = user.create("Product.image", RIGHT, "image/png").await;
        plant(&test_env.bucket, created.id(), &vec![7; size], None).await;
        assert_rejected(&test_env, &user, created.id(), "/size").await;
    }
}

#[tokio::test]
async fn put_of_other_bytes_is_refused_by_the_store_for_every_algorithm() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    for algorithm in ALGORITHMS {
        let created = create_with(&user, "Product.image", RIGHT, "image/png", algorithm).await;
        let id = created.clone().expect(201).id().to_owned();
        let answer = user.put(&created, OTHER).await;
        assert!(refused_by_store(&answer), "{algorithm}: {answer:?}");
        let missing = user.confirm(&id).await;
        missing.expect_problem(409, "object-missing");
        user.put(&created, RIGHT).await.expect(200);
        let confirmed = user.confirm(&id).await.expect(200);
        assert_eq!(confirmed.json["checksum"]["algorithm"], algorithm);
    }
}

#[tokio::test]
async fn put_without_its_checksum_or_with_another_is_refused() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let created = create_with(&user, "Product.image", RIGHT, "image/png", "sha256").await;
    let url = created.json["presigned"]["url"].as_str().expect("a URL");
    let bare = http_client().put(url).header("content-type", "image/png");
    let answer = send(bare.body(OTHER)).await;
    assert!(refused_by_store(&answer), "{answer:?}");
    let lie = crate::support::upload_steps::digest("sha256", OTHER);
    let lying = http_client()
        .put(url)
        .header("content-type", "image/png")
        .header("x-amz-checksum-sha256", lie);
    let answer = send(lying.body(OTHER)).await;
    assert!(refused_by_store(&answer), "{answer:?}");
    assert!(test_env.bucket.list("").await.is_empty());
}

#[tokio::test]
async fn other_bytes_in_the_bucket_are_rejected_for_every_algorithm() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    for algorithm in ALGORITHMS {
        let created = create_with(&user, "Product.image", RIGHT, "image/png", algorithm).await;
        plant(&test_env.bucket, created.id(), OTHER, Some(algorithm)).await;
        assert_rejected(&test_env, &user, created.id(), "/checksum").await;
    }
}

#[tokio::test]
async fn object_without_the_declared_checksum_is_neither_confirmed_nor_rejected() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let created = create_with(&user, "Product.image", RIGHT, "image/png", "sha256").await;
    plant(&test_env.bucket, created.id(), OTHER, None).await;
    let unproven = user.confirm(created.id()).await;
    unproven.expect_problem(503, "store-unavailable");
    assert_eq!(user.read(created.id()).await.json["status"], "pending");
    assert!(test_env.bucket.list("media/").await.is_empty());
    user.put(&created, RIGHT).await.expect(200);
    user.confirm(created.id()).await.expect(200);
}

#[tokio::test]
async fn sizes_at_the_bounds_of_a_field_are_decided_at_create() {
    const GIB: u64 = 1 << 30;
    let test_env = TestEnv::new().await;
    let field = |name: &str, min: u64, max: u64| json!({"upload_to": format!("{name}/"), "content_types": ["image/png"], "min_size": min, "max_size": max});
    let fields = json!({
        "Small.file": field("small", 5, 2048), "Big.file": field("big", 1, 5 * GIB), "Empty.file": field("empty", 0, 1),
    });
    let broker = test_env.broker_with(json!({"fields": fields})).await;
    let user = broker.user();
    let allowed = [("Small.file", 5), ("Small.file", 6), ("Small.file", 2048)];
    let allowed = allowed.into_iter().chain([
        ("Big.file", 1),
        ("Big.file", 5 * GIB - 1),
        ("Big.file", 5 * GIB),
        ("Empty.file", 0),
        ("Empty.file", 1),
    ]);
    let refused = [("Small.file", 0), ("Small.file", 4), ("Small.file", 2049)];
    let refused = refused.into_iter().chain([
        ("Big.file", 0),
        ("Big.file", 5 * GIB + 1),
        ("Empty.file", 2),
    ]);
    let ask = |field: &str, size: Value| json!({"field": field, "filename": "f", "content_type": "image/png", "size": size});
    for (field, size) in allowed {
        let answer = user.post("/v1/uploads", &ask(field, json!(size))).await;
        assert_eq!(answer.status, 201, "{field} {size}: {}", answer.text);
    }
    for (field, size) in refused {
        let answer = user.post("/v1/uploads", &ask(field, json!(size))).await;
        let answer = answer.expect_problem(422, "size-not-allowed");
        assert_eq!(answer.json["errors"][0]["pointer"], "/size");
    }
    let no_sizes = [json!(-1), json!(1.5), json!("5"), json!(null), json!(1e300)];
    for size in no_sizes.into_iter().chain([json!((1u64 << 53) + 1)]) {
        let answer = user.post("/v1/uploads", &ask("Small.file", size)).await;
        answer.expect_problem(400, "invalid-request");
    }
    let tables = Rows::of(&test_env).lines("SELECT CAST(count(*) AS text) AS line FROM uploads");
    assert_eq!(tables, ["8"], "a refusal leaves no row");
}

#[tokio::test]
async fn objects_at_the_bounds_of_a_field_are_confirmed() {
    let test_env = TestEnv::new().await;
    let field = json!({"upload_to": "edges/", "content_types": ["image/png"], "min_size": 0, "max_size": 70_000});
    let change = json!({"fields": {"Edge.file": field}});
    let broker = test_env.broker_with(change).await;
    let user = broker.user();
    for size in [0, 1, 69_999, 70_000] {
        let bytes = vec![9; size];
        let confirmed = user.upload("Edge.file", &bytes, "image/png").await;
        let key = confirmed.json["key"].as_str().expect("a key");
        assert_eq!(test_env.bucket.get(key).await.expect("the object"), bytes);
    }
}
