//! Notifications that arrive twice, out of order or not at all, and notifications with oversized bodies.

use rand::seq::SliceRandom as _;
use serde_json::json;

use crate::support::api::send;
use crate::support::bucket_notifications::*;
use crate::support::setting;
use crate::support::sns::{CERTIFICATE, Sns};
use crate::support::test_env::TestEnv;
use crate::support::upload_rows::is_confirmed_once;

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes of a picture";

#[tokio::test(flavor = "multi_thread")]
async fn shuffled_repeated_and_dropped_notifications_end_in_the_same_state() {
    let test_env = TestEnv::new().await;
    let brokers = [
        test_env.broker_with(settings()).await,
        test_env.broker_with(settings()).await,
    ];
    let (user, bucket) = (brokers[0].user(), test_env.bucket.name.as_str());
    let count = setting("BYTEPASS_TEST_EVENTS").map_or(30, |text| text.parse().expect("a number"));
    let (mut ids, mut events) = (Vec::new(), Vec::new());
    for number in 0..count {
        let staged_upload = user.stage("ProductImage.image", JPEG, "image/jpeg").await;
        let (id, key) = (staged_upload.id().to_owned(), staged(staged_upload.id()));
        // One in ten is lost; of the others come two, a deletion and one of the broker's own copy.
        if number % 10 != 0 {
            let put = s3(bucket, &key, "ObjectCreated:Put");
            events.extend([put.clone(), put, s3(bucket, &key, "ObjectRemoved:Delete")]);
            events.push(s3(bucket, "media%2Fproducts%2Fx.jpg", "ObjectCreated:Copy"));
        }
        ids.push(id);
    }
    events.shuffle(&mut rand::rng());
    let sending = events.iter().enumerate().map(|(place, event)| {
        let broker = &brokers[place % 2];
        async move { notify(broker, event).await.expect(200) }
    });
    futures::future::join_all(sending).await;
    for (number, id) in ids.iter().enumerate() {
        let (upload, by) = match number % 10 {
            // The client continues without any notification.
            0 => (user.confirm(id).await.expect(200), "client"),
            _ => (settled(&user, id).await, "event"),
        };
        assert_eq!(upload.json["confirmed_by"], by, "{}", upload.text);
        is_confirmed_once(&test_env, &upload, JPEG).await;
    }
}

#[tokio::test]
async fn long_sns_message_is_accepted_and_an_endless_or_compressed_one_is_refused() {
    let test_env = TestEnv::new().await;
    let sns = Sns::start(CERTIFICATE).await;
    let mut change = sns.settings();
    change["events"]["secret"] = json!(SECRET);
    let broker = test_env.broker_with(change).await;
    // 256 KiB is the longest that SNS takes.
    let long = sns.notification(&"x".repeat(256 * 1024));
    let answer = notify_as_sns(&broker, &long).await.expect(200);
    assert_eq!(answer.json, json!({"taken": 0, "ignored": 1}));
    let longer = sns.notification(&"x".repeat(400 * 1024));
    notify_as_sns(&broker, &longer)
        .await
        .expect_problem(413, "payload-too-large");
    let padded = json!({"Event": "s3:TestEvent", "padding": "x".repeat(400 * 1024)});
    notify(&broker, &padded)
        .await
        .expect_problem(413, "payload-too-large");
    let packed = post(&broker, &json!({"Event": "s3:TestEvent"})).bearer_auth(SECRET);
    send(packed.header("content-encoding", "gzip"))
        .await
        .expect_problem(415, "unsupported-media-type");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = post(&broker, &json!({})).bearer_auth(SECRET).body(deep);
    assert_eq!(send(deep).await.expect(200).json["ignored"], 1);
}
