//! Webhooks: every status change is delivered, signed by Standard Webhooks, with the upload as in the API.

mod failures;
mod kills;

use std::process::Command;

use serde_json::{Value, json};

use crate::support::api::Answer;
use crate::support::needs;
use crate::support::rows::Rows;
use crate::support::test_env::{Broker, TestEnv};
use crate::support::webhook_receiver::{NEXT_SECRET, Received, Receiver, Reply, SECRET, webhooks};

const JPEG: &[u8] = b"a picture";

async fn attach(broker: &Broker, id: &str, object_id: &str) -> Answer {
    let body = json!({"object_id": object_id});
    let path = format!("/v1/uploads/{id}/attach");
    broker.service().post(&path, &body).await.expect(200)
}

/// An upload as in a webhook: without members for one caller only or with a short life.
fn as_told(answer: &Answer) -> Value {
    let mut upload = answer.json.clone();
    let members = upload.as_object_mut().expect("an upload");
    for own in ["presigned", "confirm_url", "url", "receipt"] {
        members.remove(own);
    }
    upload
}

fn data(received: &Received) -> Value {
    let mut data = received.json["data"].clone();
    let members = data.as_object_mut().expect("data");
    let event_id = members.remove("event_id").expect("event_id");
    assert_eq!(event_id, received.id());
    members.remove("seq").expect("seq");
    data
}

#[tokio::test(flavor = "multi_thread")]
async fn every_status_change_is_delivered_with_the_upload_as_in_the_api() {
    let (test_env, receiver) = (TestEnv::new().await, Receiver::start().await);
    let broker = test_env
        .broker_with(webhooks(3, vec![receiver.endpoint("shop")]))
        .await;
    let (user, service) = (broker.user(), broker.service());
    let confirmed = user.upload("Product.image", JPEG, "image/jpeg").await;
    let path = format!("/v1/uploads/{}", confirmed.id());
    let attached = attach(&broker, confirmed.id(), "42").await;
    let detached = service
        .post_empty(&format!("{path}/detach"))
        .await
        .expect(200);
    service.delete(&path).await.expect(204);
    let deleted = service.read(confirmed.id()).await.expect(200);
    let told = receiver.expect(4).await;

    let kinds: Vec<&str> = told.iter().map(Received::kind).collect();
    let expected =
        ["confirmed", "attached", "detached", "deleted"].map(|it| format!("upload.{it}"));
    assert_eq!(kinds, expected);
    for (n, (received, answer)) in told
        .iter()
        .zip([confirmed, attached, detached, deleted])
        .enumerate()
    {
        assert_eq!(received.seq(), n as i64 + 1);
        assert_eq!(data(received), as_told(&answer), "{}", received.kind());
        assert_eq!(received.headers["content-type"], "application/json");
        assert!(received.verifies(SECRET) && !received.verifies(NEXT_SECRET));
        let time = received.json["timestamp"].as_str().expect("a time");
        chrono::DateTime::parse_from_rfc3339(time).expect("RFC 3339");
    }
    assert_eq!(
        told[0].json["data"]["confirmed_at"],
        told[0].json["timestamp"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rejection_event_has_its_reasons_and_a_cancel_event_has_none() {
    let (test_env, receiver) = (TestEnv::new().await, Receiver::start().await);
    let broker = test_env
        .broker_with(webhooks(3, vec![receiver.endpoint("shop")]))
        .await;
    let user = broker.user();
    let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
    // Past the signature, as only the bucket's owner can.
    let key = format!("staging/{}", staged.id());
    test_env
        .bucket
        .put(&key, b"not what was declared", "image/jpeg")
        .await;
    let refused = user.confirm(staged.id()).await.expect(422);
    let rejected = receiver.expect(1).await.remove(0);
    assert_eq!(rejected.kind(), "upload.rejected");
    assert_eq!(rejected.json["data"]["errors"], refused.json["errors"]);
    assert_eq!(data(&rejected), as_told(&user.read(staged.id()).await));

    let created = user
        .create("Product.image", JPEG, "image/jpeg")
        .await
        .expect(201);
    user.delete(&format!("/v1/uploads/{}", created.id()))
        .await
        .expect(204);
    let canceled = receiver.expect(2).await.remove(1);
    assert_eq!(canceled.kind(), "upload.canceled");
    assert_eq!(data(&canceled), as_told(&user.read(created.id()).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoint_receives_only_its_event_types() {
    let (test_env, all, some) = (
        TestEnv::new().await,
        Receiver::start().await,
        Receiver::start().await,
    );
    let mut wanting = some.endpoint("some");
    wanting["types"] = json!(["upload.attached"]);
    let broker = test_env
        .broker_with(webhooks(3, vec![all.endpoint("all"), wanting]))
        .await;
    let confirmed = broker
        .user()
        .upload("Product.image", JPEG, "image/jpeg")
        .await;
    attach(&broker, confirmed.id(), "1").await;
    assert_eq!(all.expect(2).await.len(), 2);
    assert_eq!(some.expect(1).await[0].kind(), "upload.attached");
    let rows = Rows::of(&test_env)
        .lines("SELECT endpoint || ' ' || CAST(seq AS text) AS line FROM deliveries ORDER BY 1");
    assert_eq!(rows, ["all 1", "all 2", "some 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_with_either_secret_accept_during_rotation() {
    let (test_env, receiver) = (TestEnv::new().await, Receiver::start().await);
    let mut endpoint = receiver.endpoint("shop");
    endpoint["secrets"] = json!([NEXT_SECRET, SECRET]);
    let broker = test_env.broker_with(webhooks(3, vec![endpoint])).await;
    broker
        .user()
        .upload("Product.image", JPEG, "image/jpeg")
        .await;
    let told = receiver.expect(1).await.remove(0);
    assert!(told.verifies(SECRET) && told.verifies(NEXT_SECRET));
    assert_eq!(told.headers["webhook-signature"].matches("v1,").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_attempt_is_repeated_with_the_same_id_and_bytes() {
    let (test_env, canary) = (TestEnv::new().await, Receiver::start().await);
    let receiver = Receiver::start().await;
    let (elsewhere, count) = (canary.url.clone(), receiver.clone());
    receiver.now_answers(move |_| match count.received().len() {
        0 => Reply::Status(500),
        1 => Reply::Raw(format!(
            "HTTP/1.1 307 X\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n"
        )),
        2 => Reply::Drop,
        3 => Reply::Raw("HTTP/1.1 503 X\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n".into()),
        _ => Reply::Status(204),
    });
    let broker = test_env
        .broker_with(webhooks(9, vec![receiver.endpoint("shop")]))
        .await;
    broker
        .user()
        .upload("Product.image", JPEG, "image/jpeg")
        .await;
    let told = receiver.expect(5).await;
    for one in &told {
        assert_eq!((one.id(), &one.body), (told[0].id(), &told[0].body));
        assert!(one.verifies(SECRET));
    }
    let waited = told[4].at - told[3].at;
    assert!(waited.as_millis() >= 990, "Retry-After: 1, and {waited:?}");
    assert_eq!(canary.connections(), 0, "a redirect was followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_brokers_deliver_each_event_once_without_failures() {
    let (test_env, receiver) = (TestEnv::new().await, Receiver::start().await);
    let change = webhooks(3, vec![receiver.endpoint("shop")]);
    let brokers = [
        test_env.broker_with(change.clone()).await,
        test_env.broker_with(change).await,
    ];
    for n in 0..40 {
        let user = brokers[n % 2].user();
        let created = user
            .create("Product.image", JPEG, "image/jpeg")
            .await
            .expect(201);
        user.delete(&format!("/v1/uploads/{}", created.id()))
            .await
            .expect(204);
    }
    receiver.expect(40).await;
    drop(brokers);
    let told = receiver.received();
    let ids: std::collections::HashSet<&str> = told.iter().map(Received::id).collect();
    assert_eq!((told.len(), ids.len()), (40, 40));
    let open = Rows::of(&test_env)
        .lines("SELECT event_id AS line FROM deliveries WHERE state <> 'delivered'");
    assert!(open.is_empty(), "{open:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pypi_verifier_accepts_deliveries_and_refuses_a_thousand_mutations() {
    let Some(python) = needs("BYTEPASS_TEST_PYTHON") else {
        return;
    };
    let (test_env, receiver) = (TestEnv::new().await, Receiver::start().await);
    let broker = test_env
        .broker_with(webhooks(3, vec![receiver.endpoint("shop")]))
        .await;
    let user = broker.user();
    for name in ["cat.jpg", "кот \"и\" 🐈.jpg", "a\\b/c\u{202e}.png"] {
        let body = json!({"field": "Product.image", "filename": name, "content_type": "image/jpeg", "size": 9});
        let created = user.post("/v1/uploads", &body).await.expect(201);
        user.put(&created, JPEG).await.expect(200);
        user.confirm(created.id()).await.expect(200);
    }
    let told = receiver.expect(3).await;
    let told: Vec<Value> = told
        .iter()
        .map(|one| json!({"headers": one.headers, "body": one.body}))
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("deliveries.json");
    let what = json!({"secret": SECRET, "deliveries": told});
    std::fs::write(&file, what.to_string()).expect("a file");
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/python/verify_webhooks.py"
    );
    let output = Command::new(python).arg(script).arg(&file).output();
    let output = output.expect("python runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(said.trim(), "accepted 3, refused 1000", "{errors}");
}
