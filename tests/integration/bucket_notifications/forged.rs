//! Notifications with a missing, wrong or foreign secret are refused.

use reqwest::Method;
use serde_json::json;

use crate::support::api::send;
use crate::support::bucket_notifications::*;
use crate::support::test_env::{TestEnv, backend_token, sign_backend};
use crate::support::upload_rows::StoredUploads;

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes of a picture";

#[tokio::test]
async fn notification_without_the_right_secret_is_refused_without_effect() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker_with(settings()).await;
    let created = broker
        .user()
        .stage("Product.image", JPEG, "image/jpeg")
        .await;
    let event = s3(
        &test_env.bucket.name,
        &staged(created.id()),
        "ObjectCreated:Put",
    );
    let ask = || post(&broker, &event);
    let jwt = sign_backend(&backend_token("uploads:confirm ops"));
    let almost = format!("{}x", &SECRET[..SECRET.len() - 1]);
    let refused = [
        ask().bearer_auth(&almost),
        ask().bearer_auth(format!("{SECRET}x")),
        ask().bearer_auth(&SECRET[1..]),
        ask().bearer_auth(""),
        ask().bearer_auth(&jwt),
        ask().basic_auth(SECRET, Some("")),
        ask().basic_auth(SECRET, None::<&str>),
        ask().basic_auth("bytepass", Some(&almost)),
        ask().header("authorization", format!("Digest {SECRET}")),
        ask().header("authorization", "Basic %%%"),
        ask().header("authorization", "a".repeat(5000)),
        ask()
            .bearer_auth(SECRET)
            .header("authorization", "Bearer x"),
        ask()
            .bearer_auth(&almost)
            .header("x-amz-sns-message-type", "Notification"),
    ];
    for request in refused {
        let answer = send(request).await.expect_problem(401, "token-invalid");
        assert!(!answer.text.contains(&SECRET[..20]), "{}", answer.text);
    }
    let missing = [
        ask(),
        ask().header("x-amz-sns-message-type", "Notification"),
        broker
            .anonymous()
            .request(Method::POST, &format!("{PATH}?secret={SECRET}"))
            .json(&event),
    ];
    for request in missing {
        send(request).await.expect_problem(401, "token-missing");
    }
    StoredUploads::of(&test_env.database).untouched(created.id());
    notify(&broker, &event).await.expect(200);
    settled(&broker.user(), created.id()).await;
}

#[tokio::test]
async fn both_secrets_are_accepted_during_rotation_and_none_without_configuration() {
    let test_env = TestEnv::new().await;
    let next = "the-next-secret-of-the-tests-32-bytes-long";
    let change = json!({"events": {"secret": next, "previous_secret": SECRET}});
    let both = test_env.broker_with(change).await;
    let event = json!({"Event": "s3:TestEvent"});
    notify(&both, &event).await.expect(200);
    send(post(&both, &event).bearer_auth(next))
        .await
        .expect(200);
    // MinIO's `auth_token` may stand in the header as it is.
    send(post(&both, &event).header("authorization", next))
        .await
        .expect(200);
    let none = test_env.broker().await;
    notify(&none, &event)
        .await
        .expect_problem(401, "token-invalid");
    send(post(&none, &event).bearer_auth(""))
        .await
        .expect_problem(401, "token-invalid");
}
