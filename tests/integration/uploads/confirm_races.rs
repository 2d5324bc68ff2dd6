//! Confirms that race: in one broker, over two brokers, with a frozen broker, a late copy, or a caller that hangs up.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use crate::support::api::{Answer, Api};
use crate::support::gate::RequestGate;
use crate::support::rows::Rows;
use crate::support::s3_script::{Action, RequestMatch};
use crate::support::test_env::TestEnv;
use crate::support::upload_steps::{behind_proxy, create_with, eventually, plant, text};

const RIGHT: &[u8] = b"\xff\xd8\xff\xe0 the bytes that were meant";
const OTHER: &[u8] = b"\xff\xd8\xff\xe0 the bytes of somebody!!!!";
const _: () = assert!(RIGHT.len() == OTHER.len(), "the length is signed");

/// Confirms in a task of its own.
fn confirming(api: &Api, id: &str) -> tokio::task::JoinHandle<Answer> {
    let (api, id) = (api.clone(), id.to_owned());
    tokio::spawn(async move { api.confirm(&id).await })
}

#[tokio::test]
async fn broker_that_slept_between_copy_and_record_changes_nothing() {
    let test_env = TestEnv::new().await;
    let awake = test_env.broker().await;
    let (sleepy, proxy) = behind_proxy(&test_env, json!({})).await;
    let rows = Rows::of(&test_env);
    for which in [RequestMatch::copy(), RequestMatch::head().below("media/")] {
        let hold = RequestGate::new();
        proxy.rule(which.times(1), Action::HoldAnswer(hold.clone()));
        let user = awake.user();
        let created = user.stage("Product.image", RIGHT, "image/jpeg").await;
        let id = created.id();
        let asleep = confirming(&sleepy.user(), id);
        hold.arrived().await;
        user.put(&created, OTHER).await.expect(200);
        let confirmed = user.confirm(id).await.expect(200);
        let key = text(&confirmed, "key");
        assert_eq!(test_env.bucket.get(&key).await.expect("the object"), OTHER);
        let (losers_key, _) = rows.attempts(id).remove(0);
        assert_ne!(losers_key, key);
        let copy = test_env.bucket.get(&losers_key).await;
        assert_eq!(copy.expect("the sleeper's copy"), RIGHT);

        hold.release();
        let late = asleep.await.expect("no panic").expect(200);
        assert_eq!(late.upload(), confirmed.upload(), "one outcome for both");
        assert_eq!(test_env.bucket.get(&key).await.expect("the object"), OTHER);
        assert!(test_env.bucket.head(&losers_key).await.is_none());
        assert_eq!(rows.events(id), ["1 upload.confirmed"]);
        assert_eq!(rows.attempts_in(id, "recorded"), 1);
        assert_eq!(rows.attempts_in(id, "abandoned"), 1);
        assert_eq!(user.read(id).await.json, confirmed.upload());
    }
}

#[tokio::test]
async fn broker_that_slept_through_a_rejection_or_deletion_revives_nothing() {
    let test_env = TestEnv::new().await;
    let awake = test_env.broker().await;
    let (sleepy, proxy) = behind_proxy(&test_env, json!({})).await;
    for end in ["rejected", "deleted", "canceled"] {
        let hold = RequestGate::new();
        proxy.rule(
            RequestMatch::copy().times(1),
            Action::HoldAnswer(hold.clone()),
        );
        let user = awake.user();
        let created = create_with(&user, "Product.image", RIGHT, "image/jpeg", "sha256").await;
        let id = created.clone().expect(201).id().to_owned();
        user.put(&created, RIGHT).await.expect(200);
        let asleep = confirming(&sleepy.user(), &id);
        hold.arrived().await;
        if end == "rejected" {
            plant(&test_env.bucket, &id, OTHER, Some("sha256")).await;
            user.confirm(&id).await.expect(422);
        } else {
            if end == "deleted" {
                user.confirm(&id).await.expect(200);
            }
            user.delete(&format!("/v1/uploads/{id}")).await.expect(204);
        }
        hold.release();
        let late = asleep.await.expect("no panic");
        match end {
            "rejected" => drop(late.expect_problem(422, "object-mismatch")),
            _ => {
                let late = late.expect_problem(409, "wrong-status");
                assert_eq!(late.json["status_now"], end);
            }
        }
        assert_eq!(user.read(&id).await.json["status"], end);
        assert!(test_env.bucket.list("media/").await.is_empty(), "{end}");
        assert_eq!(Rows::of(&test_env).attempts_in(&id, "open"), 0, "{end}");
    }
}

#[tokio::test]
async fn copy_that_lands_after_the_time_limit_is_never_recorded() {
    let test_env = TestEnv::new().await;
    let (broker, proxy) = behind_proxy(&test_env, json!({"copy_base_ms": 500})).await;
    let user = broker.user();
    let created = user.stage("Product.image", RIGHT, "image/jpeg").await;
    let id = created.id();
    let late = Action::Late(Duration::from_millis(1_500));
    proxy.rule(RequestMatch::copy().times(1), late);
    let timeout = user.confirm(id).await;
    timeout.expect_problem(503, "store-unavailable");
    assert_eq!(user.read(id).await.json["status"], "pending");
    let rows = Rows::of(&test_env);
    let attempts = rows.attempts(id);
    assert_eq!(attempts.len(), 1, "a copy that may land is not repeated");
    let (late_key, state) = &attempts[0];
    assert_eq!(state, "open");
    // The store works now; a slow machine may still need more than one attempt within half a second.
    eventually("the retry confirms", || async {
        user.confirm(id).await.status == 200
    })
    .await;
    let confirmed = user.read(id).await.expect(200);
    let key = text(&confirmed, "key");
    assert_ne!(&key, late_key);
    user.put(&created, OTHER).await.expect(200);

    eventually("the late copy lands", || async {
        test_env.bucket.head(late_key).await.is_some()
    })
    .await;
    assert_eq!(test_env.bucket.get(&key).await.expect("the object"), RIGHT);
    let again = user.confirm(id).await.expect(200);
    assert_eq!(again.upload(), confirmed.upload());
    assert_eq!(rows.events(id), ["1 upload.confirmed"]);
    let late_state = rows.attempts(id).into_iter().find(|it| &it.0 == late_key);
    assert_ne!(late_state.expect("its row stays").1, "recorded");
}

#[tokio::test]
async fn sixty_four_concurrent_confirms_in_one_broker_copy_once() {
    let test_env = TestEnv::new().await;
    let (broker, proxy) = behind_proxy(&test_env, json!({})).await;
    let user = broker.user();
    let copies = proxy.rule(RequestMatch::copy(), Action::Count);
    for _ in 0..5 {
        let before = proxy.hits(copies);
        let created = user.stage("Product.image", RIGHT, "image/jpeg").await;
        let answers = join_all((0..64).map(|_| user.confirm(created.id()))).await;
        let first = answers[0].clone().expect(200);
        for answer in answers {
            assert_eq!(answer.expect(200).upload(), first.upload());
        }
        assert_eq!(proxy.hits(copies) - before, 1);
        let rows = Rows::of(&test_env);
        assert_eq!(rows.events(created.id()), ["1 upload.confirmed"]);
        assert_eq!(rows.attempts(created.id()).len(), 1);
    }
}

#[tokio::test]
async fn confirms_by_different_callers_share_one_copy() {
    let test_env = TestEnv::new().await;
    let (broker, proxy) = behind_proxy(&test_env, json!({})).await;
    let hold = RequestGate::new();
    let copies = proxy.rule(RequestMatch::copy(), Action::HoldAnswer(hold.clone()));
    let user = broker.user();
    let created = user.stage("Product.image", RIGHT, "image/jpeg").await;
    let mut waiting = vec![confirming(&user, created.id())];
    hold.arrived().await;
    for _ in 0..10 {
        waiting.push(confirming(&user, created.id()));
        waiting.push(confirming(&broker.service(), created.id()));
    }
    // Other owners are refused at once, while the copy is in progress.
    let stranger = broker.user_named("2").confirm(created.id()).await;
    stranger.expect_problem(404, "upload-not-found");
    let anonymous = broker.anonymous().confirm(created.id()).await;
    anonymous.expect_problem(401, "token-missing");
    assert_eq!(user.read(created.id()).await.json["status"], "pending");
    hold.release();
    for answer in join_all(waiting).await {
        let answer = answer.expect("no panic").expect(200);
        assert_eq!(answer.json["confirmed_by"], "client", "who came first");
    }
    assert_eq!(proxy.hits(copies), 1);
}

#[tokio::test]
async fn repeated_confirms_without_an_object_make_few_copies() {
    let test_env = TestEnv::new().await;
    let (broker, proxy) = behind_proxy(&test_env, json!({})).await;
    let hold = RequestGate::new();
    let copies = proxy.rule(RequestMatch::copy(), Action::HoldAnswer(hold.clone()));
    let user = broker.user();
    let created = user.create("Product.image", RIGHT, "image/jpeg").await;
    let mut waiting = vec![confirming(&user, created.id())];
    hold.arrived().await;
    waiting.extend((0..40).map(|_| confirming(&user, created.id())));
    tokio::time::sleep(Duration::from_millis(500)).await;
    hold.release();
    for answer in join_all(waiting).await {
        answer
            .expect("no panic")
            .expect_problem(409, "object-missing");
    }
    // One that began before the other confirms, one that began after, and one for each late confirm.
    let copies = proxy.hits(copies);
    assert!((2..8).contains(&copies), "{copies} copies");
}

#[tokio::test]
async fn confirms_by_two_brokers_end_in_one_record_and_one_event() {
    let test_env = TestEnv::new().await;
    let brokers = [test_env.broker().await, test_env.broker().await];
    let users = brokers.each_ref().map(|broker| broker.user());
    let rows = Rows::of(&test_env);
    for _ in 0..5 {
        let created = users[0].stage("Product.image", RIGHT, "image/jpeg").await;
        let confirms = (0..64).map(|n| users[n % 2].confirm(created.id()));
        let answers = join_all(confirms).await;
        let first = answers[0].clone().expect(200);
        for answer in answers {
            assert_eq!(answer.expect(200).upload(), first.upload());
        }
        assert_eq!(rows.events(created.id()), ["1 upload.confirmed"]);
        let attempts = rows.attempts(created.id());
        assert!((1..=2).contains(&attempts.len()), "{attempts:?}");
        assert_eq!(rows.attempts_in(created.id(), "recorded"), 1);
        let key = text(&first, "key");
        for (other, state) in attempts.iter().filter(|it| it.0 != key) {
            assert_eq!(state, "abandoned");
            assert!(
                test_env.bucket.head(other).await.is_none(),
                "the loser's copy"
            );
        }
    }
}

#[tokio::test]
async fn confirm_continues_after_its_caller_hangs_up() {
    let test_env = TestEnv::new().await;
    let (broker, proxy) = behind_proxy(&test_env, json!({})).await;
    let user = broker.user();
    for which in [RequestMatch::copy(), RequestMatch::head().below("media/")] {
        let hold = RequestGate::new();
        proxy.rule(which.times(1), Action::HoldAnswer(hold.clone()));
        let created = user.stage("Product.image", RIGHT, "image/jpeg").await;
        let caller = confirming(&broker.user(), created.id());
        hold.arrived().await;
        caller.abort();
        let gone = caller.await.expect_err("it was aborted");
        assert!(gone.is_cancelled());
        assert_eq!(user.read(created.id()).await.json["status"], "pending");
        hold.release();
        eventually("the upload is confirmed", || async {
            user.read(created.id()).await.json["status"] == "confirmed"
        })
        .await;
        let events = Rows::of(&test_env).events(created.id());
        assert_eq!(events, ["1 upload.confirmed"]);
    }
}
