//! Bucket notifications in the formats of the stores, and requests that send them.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::api::{Answer, Api, send};
use super::test_env::Broker;

/// The path of notifications.
pub const PATH: &str = "/v1/events/s3";
/// The secret of the senders in the tests.
pub const SECRET: &str = "events-secret-of-the-tests-32-bytes-long";
/// The time limit for the effect of a notification.
const LIMIT: Duration = Duration::from_secs(30);

/// The settings of a broker that knows the secret.
pub fn settings() -> Value {
    json!({"events": {"secret": SECRET}})
}

/// The key that an upload is staged under, as forms encode it.
pub fn staged(id: &str) -> String {
    format!("staging%2F{id}")
}

/// The format of S3.
pub fn s3(bucket: &str, key: &str, name: &str) -> Value {
    notification("aws:s3", bucket, key, name)
}

/// The format of MinIO's webhook target.
pub fn minio(bucket: &str, key: &str, name: &str) -> Value {
    let name = format!("s3:{name}");
    let mut body = notification("minio:s3", bucket, key, &name);
    body["EventName"] = json!(name);
    body["Key"] = json!(format!("{bucket}/{}", key.replace("%2F", "/")));
    body
}

/// The format of Ceph's radosgw.
pub fn ceph(bucket: &str, key: &str, name: &str) -> Value {
    let mut body = notification("ceph:s3", bucket, key, name);
    body["Records"][0]["eventId"] = json!("1785062455.394951.f5bd9d4ac2ec");
    body["Records"][0]["opaqueData"] = json!("");
    body
}

fn notification(source: &str, bucket: &str, key: &str, name: &str) -> Value {
    json!({"Records": [{
        "eventVersion": "2.1", "eventSource": source, "awsRegion": "us-east-1", "eventTime": "2026-11-23T22:00:00.000Z",
        "eventName": name, "userIdentity": {"principalId": "A1"}, "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "s3": {
            "s3SchemaVersion": "1.0", "configurationId": "uploads",
            "bucket": {"name": bucket, "arn": format!("arn:aws:s3:::{bucket}"), "ownerIdentity": {"principalId": "A1"}},
            "object": {"key": key, "size": 3, "eTag": "d41d8cd98f00b204e9800998ecf8427e", "sequencer": "0055AED6DCD90281E5"},
        },
    }]})
}

/// The format of EventBridge; its keys are not encoded.
pub fn eventbridge(bucket: &str, id: &str, kind: &str) -> Value {
    json!({
        "version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103", "detail-type": kind, "source": "aws.s3",
        "account": "123456789012", "time": "2026-11-23T22:00:00Z", "region": "us-east-1", "resources": [],
        "detail": {
            "version": "0", "bucket": {"name": bucket}, "reason": "PutObject",
            "object": {"key": format!("staging/{id}"), "size": 3, "etag": "d41d8cd98f00b204e9800998ecf8427e"},
        },
    })
}

/// A POST of this event without any proof, to be completed.
pub fn post(broker: &Broker, body: &Value) -> RequestBuilder {
    broker.anonymous().request(Method::POST, PATH).json(body)
}

/// A POST by a sender that knows the secret.
pub async fn notify(broker: &Broker, body: &Value) -> Answer {
    send(post(broker, body).bearer_auth(SECRET)).await
}

/// A POST as SNS does it: JSON that is called text.
pub async fn notify_as_sns(broker: &Broker, message: &Value) -> Answer {
    let request = broker
        .anonymous()
        .request(Method::POST, PATH)
        .header("content-type", "text/plain; charset=UTF-8")
        .header(
            "x-amz-sns-message-type",
            message["Type"].as_str().unwrap_or_default(),
        )
        .body(message.to_string());
    send(request).await
}

/// Waits until the upload has left `pending`; fails the test if it does not.
pub async fn settled(api: &Api, id: &str) -> Answer {
    let end = Instant::now() + LIMIT;
    loop {
        let answer = api.read(id).await.expect(200);
        if answer.json["status"] != "pending" {
            return answer;
        }
        assert!(Instant::now() < end, "{id} is still pending");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// Waits until the broker has counted this many notifications with this outcome.
pub async fn notifications_counted(broker: &Broker, outcome: &str, count: usize) {
    let line = format!("bytepass_s3_event_hints_total{{outcome=\"{outcome}\"}} {count}\n");
    let end = Instant::now() + LIMIT;
    while !broker.metrics.render().contains(&line) {
        assert!(
            Instant::now() < end,
            "no {line} in {}",
            broker.metrics.render()
        );
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}
