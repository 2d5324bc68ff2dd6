//! The bucket gives no clear answer: to one step of a confirm, or to nothing at all. No such answer confirms, rejects or
//! deletes anything (invariant 6), everybody is told within bounded time, and afterwards a retry succeeds.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::hold::Hold;
use crate::support::records::{Records, confirm_within, is_come_back, is_confirmed_once};
use crate::support::s3_proxy::S3Proxy;
use crate::support::s3_script::{Act, Which};
use crate::support::test_env::{Broker, TestEnv};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes of a picture";
/// What a confirm may take with the limits of `impatient`, generously: two copies, or a copy and a HEAD with its retries.
const BOUND: Duration = Duration::from_secs(8);
/// How soon everything must work again once the bucket does.
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

/// Everything that is not an answer, with the gate that it may wait in.
fn unclear() -> Vec<(&'static str, Act, Hold)> {
    let (before, after) = (Hold::new(), Hold::new());
    let none = Hold::new;
    vec![
        ("503", Act::Answer(503, "SlowDown"), none()),
        ("500", Act::Answer(500, "InternalError"), none()),
        ("403", Act::Answer(403, "AccessDenied"), none()),
        ("no bucket", Act::Answer(404, "NoSuchBucket"), none()),
        ("another 404", Act::Answer(404, "NotFound"), none()),
        ("400", Act::Answer(400, "InvalidRequest"), none()),
        ("a redirect", Act::Answer(307, "TemporaryRedirect"), none()),
        ("cut before", Act::CutBefore, none()),
        ("answer lost", Act::LoseAnswer, none()),
        ("never sent on", Act::HoldBefore(before.clone()), before),
        ("never answered", Act::HoldAnswer(after.clone()), after),
    ]
}

/// One step of a confirm meets each of these: told to come back, nothing changed, and later all is well.
async fn nothing_follows_from(which: Which, more: Vec<(&'static str, Act, Hold)>) {
    let Scene {
        broker,
        proxy,
        test_env,
    } = scene(impatient()).await;
    let (user, mut records) = (broker.user(), Records::of(&test_env.database));
    for (fault, act, gate) in unclear().into_iter().chain(more) {
        let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
        let rule = proxy.rule(which.clone(), act);
        let began = Instant::now();
        let answer = user.confirm(staged.id()).await;
        assert!(began.elapsed() < BOUND, "{fault}: {:?}", began.elapsed());
        assert_eq!(answer.code(), "store-unavailable", "{fault}: {answer:?}");
        is_come_back(&answer);
        assert!(proxy.hits(rule) > 0, "{fault} did not happen");
        assert_eq!(user.read(staged.id()).await.json["status"], "pending");
        records.untouched(staged.id());
        let attempts = records.attempts(staged.id()).len();
        assert!((1..=2).contains(&attempts), "{fault}: {attempts} attempts");

        proxy.clear();
        let confirmed = confirm_within(&user, staged.id(), HEALED).await;
        // What hung so long happens now, too late to touch what was recorded.
        gate.release();
        is_confirmed_once(&test_env, &confirmed, JPEG).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_no_unclear_answer_to_the_copy_confirms_or_rejects_anything() {
    let failed_late = Act::Answer(200, "InternalError");
    let more = vec![("200 with an error in it", failed_late, Hold::new())];
    nothing_follows_from(Which::copy(), more).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_no_unclear_answer_to_the_head_confirms_or_rejects_anything() {
    let not_yet = Act::Answer(404, "NoSuchKey");
    let more = vec![("a 404 on the fresh copy", not_yet, Hold::new())];
    nothing_follows_from(Which::head().below("media/"), more).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r3_a_copy_whose_answer_is_lost_is_never_used_and_another_key_is() {
    let Scene {
        broker,
        proxy,
        test_env,
    } = scene(json!({})).await;
    let user = broker.user();
    let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
    let rule = proxy.rule(Which::copy().times(1), Act::LoseAnswer);
    let confirmed = user.confirm(staged.id()).await.expect(200);
    assert_eq!(proxy.hits(rule), 1);
    is_confirmed_once(&test_env, &confirmed, JPEG).await;

    let attempts = Records::of(&test_env.database).attempts(staged.id());
    let states: Vec<&str> = attempts.iter().map(|it| it.state.as_str()).collect();
    assert_eq!(states, ["open", "recorded"]);
    let first = &attempts[0].object_key;
    assert_ne!(confirmed.json["key"], first.as_str());
    // The copy exists, and an open attempt tells the sweeper where.
    assert_eq!(test_env.bucket.get(first).await.expect("it was made"), JPEG);
}

#[tokio::test(flavor = "multi_thread")]
async fn r3_a_head_whose_answer_is_lost_is_asked_again_in_the_same_confirm() {
    let Scene {
        broker,
        proxy,
        test_env,
    } = scene(json!({})).await;
    let user = broker.user();
    for act in [Act::LoseAnswer, Act::Answer(503, "SlowDown")] {
        let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
        let rule = proxy.rule(Which::head().times(1), act);
        let confirmed = user.confirm(staged.id()).await.expect(200);
        assert_eq!(proxy.hits(rule), 1);
        is_confirmed_once(&test_env, &confirmed, JPEG).await;
        let attempts = Records::of(&test_env.database).attempts(staged.id());
        assert_eq!(attempts.len(), 1, "one copy was enough");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_limit_of_a_copy_grows_with_the_size() {
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
    proxy.rule(Which::copy(), Act::Late(Duration::from_millis(1_500)));

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
async fn r12_a_confirm_that_the_bucket_keeps_waiting_ends_after_four_seconds_by_default() {
    let Scene {
        broker,
        proxy,
        test_env,
    } = scene(json!({})).await;
    let user = broker.user();
    let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
    let hold = Hold::new();
    proxy.rule(Which::copy(), Act::HoldBefore(hold.clone()));
    let began = Instant::now();
    let answer = user.confirm(staged.id()).await;
    answer.expect_problem(503, "store-unavailable");
    let took = began.elapsed().as_millis();
    assert!((3_900..8_000).contains(&took), "{took} ms");
    Records::of(&test_env.database).untouched(staged.id());
    hold.release();
}
