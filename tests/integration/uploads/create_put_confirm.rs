//! The main path: create, PUT, confirm.

use serde_json::json;

use crate::support::test_env::TestEnv;

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes of a picture";

#[tokio::test]
async fn create_put_and_confirm_records_the_object() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();

    let created = user
        .create("Product.image", JPEG, "image/jpeg")
        .await
        .expect(201);
    assert_eq!(
        created.header("location"),
        format!("{}/v1/uploads/{}", broker.url, created.id())
    );
    assert_eq!(created.json["status"], "pending");
    assert_eq!(created.json["owner"], "user:1");
    assert_eq!(created.json["key"], json!(null));
    user.put(&created, JPEG).await.expect(200);

    let confirmed = user.confirm(created.id()).await.expect(200);
    assert_eq!(confirmed.json["status"], "confirmed");
    assert_eq!(confirmed.json["confirmed_by"], "client");
    let key = confirmed.json["key"].as_str().expect("a key");
    assert_eq!(
        key,
        format!("media/{}", confirmed.json["name"].as_str().expect("a name"))
    );
    assert!(
        key.starts_with("media/products/") && key.ends_with(".jpg"),
        "{key}"
    );

    assert_eq!(
        test_env.bucket.get(key).await.expect("the object").as_ref(),
        JPEG
    );
    let head = test_env.bucket.head(key).await.expect("the object");
    assert_eq!(head.content_type(), Some("image/jpeg"));
    assert_eq!(head.content_disposition(), Some("inline"));
    assert_eq!(
        head.cache_control(),
        Some("public, max-age=31536000, immutable")
    );

    let again = user.confirm(created.id()).await.expect(200);
    assert_eq!(
        again.upload(),
        confirmed.upload(),
        "a repeated confirm answers the same"
    );
    assert_eq!(
        user.read(created.id()).await.expect(200).json,
        confirmed.upload()
    );
}

#[tokio::test]
async fn confirm_before_the_put_is_refused_and_succeeds_after_it() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let created = user
        .create("Product.image", JPEG, "image/jpeg")
        .await
        .expect(201);
    user.confirm(created.id())
        .await
        .expect_problem(409, "object-missing");
    assert_eq!(user.read(created.id()).await.json["status"], "pending");
    user.put(&created, JPEG).await.expect(200);
    user.confirm(created.id()).await.expect(200);
}
