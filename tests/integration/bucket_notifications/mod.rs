//! A bucket notification confirms an upload whose client died after its PUT.

mod flood;
mod forged;
mod order;
mod sns;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::api::send;
use crate::support::bucket_notifications::*;
use crate::support::gate::RequestGate;
use crate::support::s3_proxy::S3Proxy;
use crate::support::s3_script::{Action, RequestMatch};
use crate::support::sns::{CERTIFICATE, Sns};
use crate::support::test_env::{Broker, TestEnv};
use crate::support::upload_rows::{StoredUploads, is_confirmed_once, is_retryable};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes of a picture";
const PUT: &str = "ObjectCreated:Put";

#[tokio::test]
async fn upload_of_a_dead_client_is_confirmed_by_a_notification_in_each_format() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker_with(settings()).await;
    let (user, bucket) = (broker.user(), test_env.bucket.name.as_str());
    let shapes: [fn(&str, &str) -> Value; 4] = [
        |bucket, id| s3(bucket, &staged(id), PUT),
        |bucket, id| minio(bucket, &staged(id), PUT),
        |bucket, id| ceph(bucket, &staged(id), "ObjectCreated:CompleteMultipartUpload"),
        |bucket, id| eventbridge(bucket, id, "Object Created"),
    ];
    for shape in shapes {
        let created = user.stage("Product.image", JPEG, "image/jpeg").await;
        let event = shape(bucket, created.id());
        let answer = notify(&broker, &event).await.expect(200);
        assert_eq!(answer.json, json!({"taken": 1, "ignored": 0}), "{event}");
        let confirmed = settled(&user, created.id()).await;
        assert_eq!(confirmed.json["confirmed_by"], "event", "{event}");
        is_confirmed_once(&test_env, &confirmed, JPEG).await;
        // Repeated and late: no further effect.
        notify(&broker, &event).await.expect(200);
        let again = user.confirm(created.id()).await.expect(200);
        assert_eq!(again.json["confirmed_by"], "event");
        is_confirmed_once(&test_env, &again, JPEG).await;
    }
    notifications_counted(&broker, "confirmed", 4).await;
    notifications_counted(&broker, "already_settled", 4).await;
}

#[tokio::test]
async fn sns_subscription_is_confirmed_and_its_messages_confirm_uploads_in_each_format() {
    let test_env = TestEnv::new().await;
    let sns = Sns::start(CERTIFICATE).await;
    let broker = test_env.broker_with(sns.settings()).await;
    let (user, bucket) = (broker.user(), test_env.bucket.name.as_str());
    let answer = notify_as_sns(&broker, &sns.subscription())
        .await
        .expect(200);
    assert_eq!(answer.json, json!({"taken": 0, "ignored": 0}));
    let asked = sns.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(
        asked[0].starts_with("/SimpleNotificationService-"),
        "{asked:?}"
    );
    assert!(
        asked[1].starts_with("/?Action=ConfirmSubscription&"),
        "{asked:?}"
    );

    let test =
        json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": bucket}).to_string();
    notify_as_sns(&broker, &sns.notification(&test))
        .await
        .expect(200);
    for wrapped in ["s3", "eventbridge"] {
        let created = user.stage("Product.image", JPEG, "image/jpeg").await;
        let inner = match wrapped {
            "s3" => s3(bucket, &staged(created.id()), PUT),
            _ => eventbridge(bucket, created.id(), "Object Created"),
        };
        let message = sns.notification(&inner.to_string());
        let answer = notify_as_sns(&broker, &message).await.expect(200);
        assert_eq!(answer.json, json!({"taken": 1, "ignored": 0}));
        let confirmed = settled(&user, created.id()).await;
        assert_eq!(confirmed.json["confirmed_by"], "event");
        is_confirmed_once(&test_env, &confirmed, JPEG).await;
    }
    assert_eq!(sns.asked().len(), 2, "the certificate is fetched once");
    let ended = json!({"Type": "UnsubscribeConfirmation"});
    let mut message = sns.subscription();
    message["Type"] = ended["Type"].clone();
    notify_as_sns(&broker, &crate::support::sns::sign(message))
        .await
        .expect(200);
    let text = broker.metrics.render();
    for outcome in ["subscribed", "unsubscribed"] {
        let line = format!("bytepass_s3_events_total{{outcome=\"{outcome}\",shape=\"sns\"}} 1");
        assert!(text.contains(&line), "{text}");
    }
}

#[tokio::test]
async fn sns_raw_delivery_is_challenged_and_accepted_with_its_password() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker_with(settings()).await;
    let user = broker.user();
    let created = user.stage("Product.image", JPEG, "image/jpeg").await;
    let event = s3(&test_env.bucket.name, &staged(created.id()), PUT);
    let first = send(post(&broker, &event)).await;
    let first = first.expect_problem(401, "token-missing");
    assert_eq!(first.header("www-authenticate"), "Basic realm=\"bytepass\"");
    assert_eq!(user.read(created.id()).await.json["status"], "pending");
    let second = post(&broker, &event).basic_auth("sns", Some(SECRET));
    send(second.header("x-amz-sns-rawdelivery", "true"))
        .await
        .expect(200);
    assert_eq!(
        settled(&user, created.id()).await.json["confirmed_by"],
        "event"
    );
}

#[tokio::test]
async fn unrelated_notification_is_answered_with_200_counted_and_has_no_effect() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker_with(settings()).await;
    let (user, bucket) = (broker.user(), test_env.bucket.name.as_str());
    let created = user.stage("Product.image", JPEG, "image/jpeg").await;
    let key = staged(created.id());
    let unknown = staged("upl_01knavb5w8e59a3fjc8w6qgp7z");
    let cases = [
        ("other_event", s3(bucket, &key, "ObjectRemoved:Delete")),
        ("other_event", minio(bucket, &key, "ObjectAccessed:Get")),
        (
            "other_event",
            eventbridge(bucket, created.id(), "Object Deleted"),
        ),
        ("other_bucket", s3("another-bucket", &key, PUT)),
        ("other_bucket", s3("", &key, PUT)),
        ("other_key", s3(bucket, "media/products/x.jpg", PUT)),
        ("other_key", s3(bucket, &format!("{key}x"), PUT)),
        ("other_key", s3(bucket, &format!("other/{key}"), PUT)),
        ("other_key", s3(bucket, &key.to_uppercase(), PUT)),
        (
            "test",
            json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": bucket}),
        ),
        ("unreadable", json!({"Records": [{"eventName": PUT}]})),
        ("unreadable", json!({"hello": "test_env"})),
    ];
    for (outcome, event) in &cases {
        let answer = notify(&broker, event).await.expect(200);
        assert_eq!(
            answer.json,
            json!({"taken": 0, "ignored": 1}),
            "{outcome}: {event}"
        );
    }
    // Of an upload that never was.
    notify(&broker, &s3(bucket, &unknown, PUT))
        .await
        .expect(200);
    notifications_counted(&broker, "unknown_upload", 1).await;
    let text = broker.metrics.render();
    for (outcome, shape, count) in [
        ("other_event", "s3", 1),
        ("other_event", "eventbridge", 1),
        ("other_bucket", "s3", 2),
        ("other_key", "s3", 4),
        ("test", "s3", 1),
        ("unreadable", "unknown", 2),
    ] {
        let line = format!(
            "bytepass_s3_events_total{{outcome=\"{outcome}\",shape=\"{shape}\"}} {count}\n"
        );
        assert!(text.contains(&line), "{line} in {text}");
    }
    StoredUploads::of(&test_env.database).untouched(created.id());
    // Several records in one body, each for itself.
    let mut many = s3("another-bucket", &key, PUT);
    let more = s3(bucket, &key, PUT)["Records"][0].clone();
    many["Records"].as_array_mut().expect("records").push(more);
    let answer = notify(&broker, &many).await.expect(200);
    assert_eq!(answer.json, json!({"taken": 1, "ignored": 1}));
    settled(&user, created.id()).await;
}

#[tokio::test]
async fn notification_rejects_a_mismatched_object_and_ignores_a_missing_one() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker_with(settings()).await;
    let (user, bucket) = (broker.user(), test_env.bucket.name.as_str());
    let created = user
        .create("Product.image", JPEG, "image/jpeg")
        .await
        .expect(201);
    let event = s3(bucket, &staged(created.id()), PUT);
    // Forged with the right secret, or of an object that was removed meanwhile.
    notify(&broker, &event).await.expect(200);
    notifications_counted(&broker, "absent", 1).await;
    StoredUploads::of(&test_env.database).untouched(created.id());
    let key = format!("staging/{}", created.id());
    test_env.bucket.put(&key, b"other bytes", "text/html").await;
    notify(&broker, &event).await.expect(200);
    assert_eq!(
        settled(&user, created.id()).await.json["status"],
        "rejected"
    );
    notifications_counted(&broker, "rejected", 1).await;
}

async fn behind(test_env: &TestEnv, proxy: &S3Proxy, change: Value) -> Broker {
    let mut settings = change;
    settings["events"]["secret"] = json!(SECRET);
    settings["storage"] = json!({
        "endpoint": proxy.endpoint(), "public_endpoint": test_env.bucket.server.endpoint,
    });
    test_env.broker_with(settings).await
}

#[tokio::test(flavor = "multi_thread")]
async fn notification_is_answered_at_once_and_a_full_queue_answers_503() {
    let test_env = TestEnv::new().await;
    let proxy = S3Proxy::before(&test_env.bucket);
    let broker = behind(&test_env, &proxy, json!({"events": {"queue_len": 1}})).await;
    let (user, bucket) = (broker.user(), test_env.bucket.name.as_str());
    let hold = RequestGate::new();
    proxy.rule(RequestMatch::copy(), Action::HoldBefore(hold.clone()));
    let first = user.stage("Product.image", JPEG, "image/jpeg").await;
    let second = user.stage("Product.image", JPEG, "image/jpeg").await;
    let event = |id: &str| s3(bucket, &staged(id), PUT);
    // Answered, although its copy hangs.
    notify(&broker, &event(first.id())).await.expect(200);
    hold.arrived().await;
    let answer = notify(&broker, &event(second.id())).await;
    assert_eq!(answer.code(), "store-unavailable", "{answer:?}");
    is_retryable(&answer);
    hold.release();
    let confirmed = settled(&user, first.id()).await;
    is_confirmed_once(&test_env, &confirmed, JPEG).await;
    notifications_counted(&broker, "confirmed", 1).await;
    assert_eq!(user.read(second.id()).await.json["status"], "pending");
    notify(&broker, &event(second.id())).await.expect(200);
    settled(&user, second.id()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notification_during_a_short_bucket_outage_is_not_lost() {
    let test_env = TestEnv::new().await;
    let proxy = S3Proxy::before(&test_env.bucket);
    let broker = behind(&test_env, &proxy, json!({})).await;
    let user = broker.user();
    let created = user.stage("Product.image", JPEG, "image/jpeg").await;
    // Both copies of the first try.
    let refused = Action::Answer(503, "SlowDown");
    let rule = proxy.rule(RequestMatch::copy().times(2), refused);
    let event = s3(&test_env.bucket.name, &staged(created.id()), PUT);
    notify(&broker, &event).await.expect(200);
    let confirmed = settled(&user, created.id()).await;
    assert!(proxy.hits(rule) > 0);
    assert_eq!(confirmed.json["confirmed_by"], "event");
    is_confirmed_once(&test_env, &confirmed, JPEG).await;
}

#[tokio::test]
async fn head_request_is_answered_and_other_methods_are_refused() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let ask = |method: Method| send(broker.anonymous().request(method, PATH));
    ask(Method::HEAD).await.expect(200);
    let answer = ask(Method::GET)
        .await
        .expect_problem(405, "method-not-allowed");
    assert_eq!(answer.header("allow"), "HEAD, POST");
}
