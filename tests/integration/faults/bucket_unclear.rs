//! The bucket gives no clear answer to one step of a confirm, or to all. No such answer confirms, rejects or deletes anything, the
//! caller gets a response within bounded time, and a later retry succeeds.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::gate::RequestGate;
use crate::support::s3_proxy::S3Proxy;
use crate::support::s3_script::{Action, RequestMatch};
use crate::support::test_env::{Broker, TestEnv};
use crate::support::upload_rows::{StoredUploads, confirm_within, is_confirmed_once, is_retryable};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes of a picture";
/// The generous time limit of a confirm with the settings of `impatient`: two copies, or a copy and a HEAD with its retries.
const BOUND: Duration = Duration::from_secs(8);
/// The time limit of the recovery after the bucket works again.
const HEALED: Duration = Duration::from_secs(15);

struct Scene {
    broker: Broker,
    proxy: S3Proxy,
    test_env: TestEnv,
}

/// A broker that reaches the bucket through a proxy, while clients don't.
async fn scene(limits: Value) -> Scene {
    let test_env = TestEnv::new().await;
    let proxy = S3Proxy::before(&test_env.bucket);
    let mut storage =
        json!({"endpoint": proxy.endpoint(), "public_endpoint": test_env.bucket.server.endpoint});
    for (name, value) in limits.as_object().expect("a table") {
        storage[name] = value.clone();
    }
    let broker = test_env.broker_with(json!({ "storage": storage })).await;
    Scene {
        broker,
        proxy,
        test_env,
    }
}

fn impatient() -> Value {
    json!({"attempt_timeout_ms": 300, "operation_timeout_ms": 700, "copy_base_ms": 500})
}

/// Every unclear answer, with the gate in which it may wait.
fn unclear() -> Vec<(&'static str, Action, RequestGate)> {
    let (before, after) = (RequestGate::new(), RequestGate::new());
    let none = RequestGate::new;
    vec![
        ("503", Action::Answer(503, "SlowDown"), none()),
        ("500", Action::Answer(500, "InternalError"), none()),
        ("403", Action::Answer(403, "AccessDenied"), none()),
        ("no bucket", Action::Answer(404, "NoSuchBucket"), none()),
        ("another 404", Action::Answer(404, "NotFound"), none()),
        ("400", Action::Answer(400, "InvalidRequest"), none()),
        (
            "a redirect",
            Action::Answer(307, "TemporaryRedirect"),
            none(),
        ),
        ("cut before", Action::CutBefore, none()),
        ("answer lost", Action::LoseAnswer, none()),
        ("never sent on", Action::HoldBefore(before.clone()), before),
        ("never answered", Action::HoldAnswer(after.clone()), after),
    ]
}

/// One step of a confirm meets each of these: a retryable 503, nothing changed, and a later retry succeeds.
async fn nothing_follows_from(which: RequestMatch, more: Vec<(&'static str, Action, RequestGate)>) {
    let Scene {
        broker,
        proxy,
        test_env,
    } = scene(impatient()).await;
    let (user, mut records) = (broker.user(), StoredUploads::of(&test_env.database));
    for (fault, act, gate) in unclear().into_iter().chain(more) {
        let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
        let rule = proxy.rule(which.clone(), act);
        let began = Instant::now();
        let answer = user.confirm(staged.id()).await;
        assert!(began.elapsed() < BOUND, "{fault}: {:?}", began.elapsed());
        assert_eq!(answer.code(), "store-unavailable", "{fault}: {answer:?}");
        is_retryable(&answer);
        assert!(proxy.hits(rule) > 0, "{fault} did not happen");
        assert_eq!(user.read(staged.id()).await.json["status"], "pending");
        records.untouched(staged.id());
        let attempts = records.attempts(staged.id()).len();
        assert!((1..=2).contains(&attempts), "{fault}: {attempts} attempts");

        proxy.clear();
        let confirmed = confirm_within(&user, staged.id(), HEALED).await;
        // The held requests continue now, too late to affect the record.
        gate.release();
        is_confirmed_once(&test_env, &confirmed, JPEG).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_copy_request_neither_confirms_nor_rejects() {
    let failed_late = Action::Answer(200, "InternalError");
    let more = vec![("200 with an error in it", failed_late, RequestGate::new())];
    nothing_follows_from(RequestMatch::copy(), more).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_head_request_neither_confirms_nor_rejects() {
    let not_yet = Action::Answer(404, "NoSuchKey");
    let more = vec![("a 404 on the fresh copy", not_yet, RequestGate::new())];
    nothing_follows_from(RequestMatch::head().below("media/"), more).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_with_a_lost_answer_is_never_used_and_the_next_takes_a_fresh_key() {
    let Scene {
        broker,
        proxy,
        test_env,
    } = scene(json!({})).await;
    let user = broker.user();
    let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
    let rule = proxy.rule(RequestMatch::copy().times(1), Action::LoseAnswer);
    let confirmed = user.confirm(staged.id()).await.expect(200);
    assert_eq!(proxy.hits(rule), 1);
    is_confirmed_once(&test_env, &confirmed, JPEG).await;

    let attempts = StoredUploads::of(&test_env.database).attempts(staged.id());
    let states: Vec<&str> = attempts.iter().map(|it| it.state.as_str()).collect();
    assert_eq!(states, ["open", "recorded"]);
    let first = &attempts[0].object_key;
    assert_ne!(confirmed.json["key"], first.as_str());
    // The copy exists, and an open seal attempt holds its key.
    assert_eq!(test_env.bucket.get(first).await.expect("it was made"), JPEG);
}

#[tokio::test(flavor = "multi_thread")]
async fn head_with_a_lost_answer_is_repeated_in_the_same_confirm() {
    let Scene {
        broker,
        proxy,
        test_env,
    } = scene(json!({})).await;
    let user = broker.user();
    for act in [Action::LoseAnswer, Action::Answer(503, "SlowDown")] {
        let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
        let rule = proxy.rule(RequestMatch::head().times(1), act);
        let confirmed = user.confirm(staged.id()).await.expect(200);
        assert_eq!(proxy.hits(rule), 1);
        is_confirmed_once(&test_env, &confirmed, JPEG).await;
        let attempts = StoredUploads::of(&test_env.database).attempts(staged.id());
        assert_eq!(attempts.len(), 1, "one copy was enough");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_time_limit_grows_with_the_size() {
    let limits = json!({"copy_base_ms": 500, "copy_bytes_per_sec": 1_000_000});
    let Scene {
        broker,
        proxy,
        test_env,
    } = scene(limits).await;
    let user = broker.user();
    let large = [JPEG, &[7; 6_000_000]].concat();
    let small = user.stage("Product.image", JPEG, "image/jpeg").await;
    let staged = user.stage("Product.image", &large, "image/jpeg").await;
    proxy.rule(
        RequestMatch::copy(),
        Action::Late(Duration::from_millis(1_500)),
    );

    let began = Instant::now();
    let answer = user.confirm(small.id()).await;
    answer.expect_problem(503, "store-unavailable");
    assert!(
        began.elapsed() < Duration::from_millis(1_400),
        "cut at 0.5 s"
    );
    let confirmed = user.confirm(staged.id()).await.expect(200);
    is_confirmed_once(&test_env, &confirmed, &large).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn confirm_on_a_silent_bucket_ends_after_four_seconds_by_default() {
    let Scene {
        broker,
        proxy,
        test_env,
    } = scene(json!({})).await;
    let user = broker.user();
    let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
    let hold = RequestGate::new();
    proxy.rule(RequestMatch::copy(), Action::HoldBefore(hold.clone()));
    let began = Instant::now();
    let answer = user.confirm(staged.id()).await;
    answer.expect_problem(503, "store-unavailable");
    let took = began.elapsed().as_millis();
    assert!((3_900..8_000).contains(&took), "{took} ms");
    StoredUploads::of(&test_env.database).untouched(staged.id());
    hold.release();
}
