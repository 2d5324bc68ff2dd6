//! The whole bucket is unreachable: refused, reset, swallowed or slow. Requests that need no bucket succeed, the others fail within
//! bounded time, and everything recovers without a restart.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::api::Api;
use crate::support::fault_proxy::Mode;
use crate::support::gate::RequestGate;
use crate::support::s3_proxy::S3Proxy;
use crate::support::s3_script::{Action, RequestMatch};
use crate::support::test_env::{Broker, TestEnv};
use crate::support::upload_rows::{
    EventRow, StoredUploads, confirm_within, is_confirmed_once, is_retryable,
};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes of a picture";
const BOUND: Duration = Duration::from_secs(8);
const HEALED: Duration = Duration::from_secs(15);

async fn broker_behind(test_env: &TestEnv, proxy: &S3Proxy) -> Broker {
    let storage = json!({
        "endpoint": proxy.endpoint(), "public_endpoint": test_env.bucket.server.endpoint,
        "attempt_timeout_ms": 300, "operation_timeout_ms": 700, "copy_base_ms": 500,
    });
    test_env.broker_with(json!({ "storage": storage })).await
}

async fn ready_again(api: &Api) {
    let end = Instant::now() + HEALED;
    while api.get("/readyz").await.status != 200 {
        assert!(Instant::now() < end, "not ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bucket_outage_lets_creates_succeed_and_confirms_answer_503() {
    let test_env = TestEnv::new().await;
    let proxy = S3Proxy::before(&test_env.bucket);
    let broker = broker_behind(&test_env, &proxy).await;
    let (user, anyone) = (broker.user(), broker.anonymous());
    let mut records = StoredUploads::of(&test_env.database);
    anyone.get("/readyz").await.expect(200);
    let slow = Mode::Delay(Duration::from_secs(5));
    for mode in [Mode::Refuse, Mode::Reset, Mode::BlackHole, slow] {
        let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
        proxy.network.set(mode);

        let began = Instant::now();
        let answer = user.confirm(staged.id()).await;
        assert!(began.elapsed() < BOUND, "{mode:?}: {:?}", began.elapsed());
        assert_eq!(answer.code(), "store-unavailable", "{mode:?}: {answer:?}");
        is_retryable(&answer);
        records.untouched(staged.id());

        // The cached result of the time before expires after a second.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let began = Instant::now();
        let ready = anyone.get("/readyz").await;
        assert!(began.elapsed() < BOUND, "{mode:?}: {:?}", began.elapsed());
        let ready = ready.expect_problem(503, "store-unavailable");
        assert_eq!(
            (&ready.json["database"], &ready.json["bucket"]),
            (&json!("ok"), &json!("down"))
        );

        // None of these needs a request of the broker to the bucket; the client's PUT does not either.
        let began = Instant::now();
        anyone.get("/livez").await.expect(200);
        let meanwhile = user.stage("Product.image", JPEG, "image/jpeg").await;
        user.read(staged.id()).await.expect(200);
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "{mode:?} slows what needs no bucket"
        );

        proxy.network.heal();
        ready_again(&anyone).await;
        for id in [staged.id(), meanwhile.id()] {
            let confirmed = confirm_within(&user, id, HEALED).await;
            is_confirmed_once(&test_env, &confirmed, JPEG).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_during_a_bucket_outage_changes_the_row_and_the_sweeper_removes_the_object() {
    let test_env = TestEnv::new().await;
    let proxy = S3Proxy::before(&test_env.bucket);
    let broker = broker_behind(&test_env, &proxy).await;
    let (user, service) = (broker.user(), broker.service());
    let hold = RequestGate::new();
    let faults = [
        Action::Answer(503, "SlowDown"),
        Action::Answer(403, "AccessDenied"),
        Action::Answer(404, "NoSuchBucket"),
        Action::CutBefore,
        Action::HoldBefore(hold.clone()),
    ];
    for act in faults {
        let confirmed = user.upload("Product.image", JPEG, "image/jpeg").await;
        let rule = proxy.rule(RequestMatch::method(hyper::Method::DELETE), act);
        let began = Instant::now();
        service
            .delete(&format!("/v1/uploads/{}", confirmed.id()))
            .await
            .expect(204);
        assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
        assert!(proxy.hits(rule) > 0);

        let mut records = StoredUploads::of(&test_env.database);
        let row = records.upload(confirmed.id());
        assert_eq!((row.status.as_str(), row.removed_at), ("deleted", None));
        let deleted = EventRow {
            seq: 2,
            kind: "upload.deleted".to_owned(),
        };
        assert_eq!(records.events(confirmed.id())[1..], [deleted]);
        let key = confirmed.json["key"].as_str().expect("a key");
        assert!(
            test_env.bucket.head(key).await.is_some(),
            "it was not removed"
        );
        proxy.clear();
    }
    hold.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn removal_with_a_lost_answer_is_repeated_and_recorded() {
    let test_env = TestEnv::new().await;
    let proxy = S3Proxy::before(&test_env.bucket);
    let broker = broker_behind(&test_env, &proxy).await;
    let confirmed = broker
        .user()
        .upload("Product.image", JPEG, "image/jpeg")
        .await;
    let key = confirmed.json["key"].as_str().expect("a key");
    let deletes = RequestMatch::method(hyper::Method::DELETE)
        .below("media/")
        .times(1);
    let rule = proxy.rule(deletes, Action::LoseAnswer);
    broker
        .user()
        .delete(&format!("/v1/uploads/{}", confirmed.id()))
        .await
        .expect(204);
    assert_eq!(proxy.hits(rule), 1);
    assert!(test_env.bucket.head(key).await.is_none());
    let row = StoredUploads::of(&test_env.database).upload(confirmed.id());
    assert!(row.removed_at.is_some(), "its removal is noted");
}

#[tokio::test(flavor = "multi_thread")]
async fn rejection_stays_when_the_object_cannot_be_removed() {
    let test_env = TestEnv::new().await;
    let proxy = S3Proxy::before(&test_env.bucket);
    let broker = broker_behind(&test_env, &proxy).await;
    let user = broker.user();
    let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
    let staging = format!("staging/{}", staged.id());
    test_env
        .bucket
        .put(
            &staging,
            b"longer than what was declared, by far, really",
            "image/jpeg",
        )
        .await;
    proxy.rule(
        RequestMatch::method(hyper::Method::DELETE),
        Action::Answer(503, "SlowDown"),
    );
    let first = user
        .confirm(staged.id())
        .await
        .expect_problem(422, "object-mismatch");
    let again = user
        .confirm(staged.id())
        .await
        .expect_problem(422, "object-mismatch");
    assert_eq!(first.json["errors"], again.json["errors"]);
    let mut records = StoredUploads::of(&test_env.database);
    let row = records.upload(staged.id());
    assert_eq!((row.status.as_str(), row.removed_at), ("rejected", None));
    let attempts = records.attempts(staged.id());
    assert!(
        attempts.iter().all(|it| it.state == "abandoned"),
        "{attempts:?}"
    );
    assert_eq!(records.events(staged.id()).len(), 1);
}
