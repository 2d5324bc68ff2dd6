//! The bucket is gone as a whole: refused, reset, swallowed, too slow. What doesn't need it goes on, what does says so
//! within bounded time, and nobody has to restart anything afterwards.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::api::Api;
use crate::support::fault_proxy::Mode;
use crate::support::hold::Hold;
use crate::support::records::{EventRow, Records, confirm_within, is_come_back, is_confirmed_once};
use crate::support::s3_proxy::S3Proxy;
use crate::support::s3_script::{Act, Which};
use crate::support::test_env::{Broker, TestEnv};

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
async fn r12_while_the_bucket_is_gone_creates_go_on_and_confirms_are_told_to_come_back() {
    let test_env = TestEnv::new().await;
    let proxy = S3Proxy::before(&test_env.bucket);
    let broker = broker_behind(&test_env, &proxy).await;
    let (user, anyone) = (broker.user(), broker.anonymous());
    let mut records = Records::of(&test_env.database);
    anyone.get("/readyz").await.expect(200);
    let slow = Mode::Delay(Duration::from_secs(5));
    for mode in [Mode::Refuse, Mode::Reset, Mode::BlackHole, slow] {
        let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
        proxy.network.set(mode);

        let began = Instant::now();
        let answer = user.confirm(staged.id()).await;
        assert!(began.elapsed() < BOUND, "{mode:?}: {:?}", began.elapsed());
        assert_eq!(answer.code(), "store-unavailable", "{mode:?}: {answer:?}");
        is_come_back(&answer);
        records.untouched(staged.id());

        // What is remembered of the time before is forgotten after a second.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let began = Instant::now();
        let ready = anyone.get("/readyz").await;
        assert!(began.elapsed() < BOUND, "{mode:?}: {:?}", began.elapsed());
        let ready = ready.expect_problem(503, "store-unavailable");
        assert_eq!(
            (&ready.json["database"], &ready.json["bucket"]),
            (&json!("ok"), &json!("down"))
        );

        // Nothing of this needs the broker's own way to the bucket; the client's PUT doesn't either.
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
async fn r12_a_delete_while_the_bucket_is_gone_settles_the_row_and_leaves_the_object_to_the_sweeper()
 {
    let test_env = TestEnv::new().await;
    let proxy = S3Proxy::before(&test_env.bucket);
    let broker = broker_behind(&test_env, &proxy).await;
    let (user, service) = (broker.user(), broker.service());
    let hold = Hold::new();
    let faults = [
        Act::Answer(503, "SlowDown"),
        Act::Answer(403, "AccessDenied"),
        Act::Answer(404, "NoSuchBucket"),
        Act::CutBefore,
        Act::HoldBefore(hold.clone()),
    ];
    for act in faults {
        let confirmed = user.upload("Product.image", JPEG, "image/jpeg").await;
        let rule = proxy.rule(Which::method(hyper::Method::DELETE), act);
        let began = Instant::now();
        service
            .delete(&format!("/v1/uploads/{}", confirmed.id()))
            .await
            .expect(204);
        assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
        assert!(proxy.hits(rule) > 0);

        let mut records = Records::of(&test_env.database);
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
async fn r3_a_delete_whose_answer_is_lost_is_repeated_and_noted() {
    let test_env = TestEnv::new().await;
    let proxy = S3Proxy::before(&test_env.bucket);
    let broker = broker_behind(&test_env, &proxy).await;
    let confirmed = broker
        .user()
        .upload("Product.image", JPEG, "image/jpeg")
        .await;
    let key = confirmed.json["key"].as_str().expect("a key");
    let deletes = Which::method(hyper::Method::DELETE)
        .below("media/")
        .times(1);
    let rule = proxy.rule(deletes, Act::LoseAnswer);
    broker
        .user()
        .delete(&format!("/v1/uploads/{}", confirmed.id()))
        .await
        .expect(204);
    assert_eq!(proxy.hits(rule), 1);
    assert!(test_env.bucket.head(key).await.is_none());
    let row = Records::of(&test_env.database).upload(confirmed.id());
    assert!(row.removed_at.is_some(), "its removal is noted");
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_a_rejection_stands_although_the_bucket_can_not_be_cleaned() {
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
        Which::method(hyper::Method::DELETE),
        Act::Answer(503, "SlowDown"),
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
    let mut records = Records::of(&test_env.database);
    let row = records.upload(staged.id());
    assert_eq!((row.status.as_str(), row.removed_at), ("rejected", None));
    let attempts = records.attempts(staged.id());
    assert!(
        attempts.iter().all(|it| it.state == "abandoned"),
        "{attempts:?}"
    );
    assert_eq!(records.events(staged.id()).len(), 1);
}
