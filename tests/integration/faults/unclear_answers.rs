//! Answers of the store that are neither success nor a clear absence. They confirm, reject and remove nothing, and a retry succeeds.

use reqwest::Method;
use serde_json::json;

use crate::support::rows::Rows;
use crate::support::s3_proxy::S3Proxy;
use crate::support::s3_script::{Action, RequestMatch};
use crate::support::test_env::{Broker, TestEnv};
use crate::support::upload_steps::{behind_proxy, create_with, staging_key, text};

const RIGHT: &[u8] = b"\x89PNG the bytes that were meant";

/// Confirms while the store answers with `act`, which must change nothing, then confirms with a working store.
async fn assert_survives(
    test_env: &TestEnv,
    broker: &Broker,
    proxy: &S3Proxy,
    which: RequestMatch,
    act: Action,
) {
    let user = broker.user();
    let created = create_with(&user, "Product.image", RIGHT, "image/png", "sha256").await;
    let id = created.clone().expect(201).id().to_owned();
    user.put(&created, RIGHT).await.expect(200);
    let what = format!("{which:?}");
    let rule = proxy.rule(which, act);
    let unclear = user.confirm(&id).await;
    assert!(proxy.hits(rule) > 0, "{what}: no request reached the store");
    assert_eq!(unclear.code(), "store-unavailable", "{what}: {unclear:?}");
    let unclear = unclear.expect_problem(503, "store-unavailable");
    let wait: u32 = unclear.header("retry-after").parse().expect("seconds");
    assert!(wait > 0);
    assert_eq!(user.read(&id).await.json["status"], "pending", "{what}");
    let rows = Rows::of(test_env);
    assert!(rows.events(&id).is_empty(), "{what}");
    assert_eq!(rows.attempts_in(&id, "recorded"), 0, "{what}");
    let staged = test_env.bucket.get(&staging_key(&id)).await;
    assert_eq!(staged.expect("nothing was removed"), RIGHT);
    assert!(!removes(proxy), "{what}");

    proxy.clear();
    let confirmed = user.confirm(&id).await.expect(200);
    let key = text(&confirmed, "key");
    assert_eq!(test_env.bucket.get(&key).await.expect("the object"), RIGHT);
    assert_eq!(rows.events(&id), ["1 upload.confirmed"]);
}

fn removes(proxy: &S3Proxy) -> bool {
    proxy.seen().iter().any(|it| it.method == Method::DELETE)
}

#[tokio::test]
async fn unclear_answer_to_the_copy_changes_nothing() {
    let test_env = TestEnv::new().await;
    let (broker, proxy) = behind_proxy(&test_env, json!({})).await;
    for (status, code) in [
        (404, "NoSuchBucket"),
        (404, "NotFound"),
        (404, "NoSuchUpload"),
        (403, "AccessDenied"),
        (403, "NoSuchKey"),
        (403, "RequestTimeTooSkewed"),
        (400, "InvalidRequest"),
        (412, "PreconditionFailed"),
        (301, "PermanentRedirect"),
        (307, "TemporaryRedirect"),
        (500, "InternalError"),
        (500, "NoSuchKey"),
        (503, "SlowDown"),
        // S3 may answer 200 first and fail in the body.
        (200, "InternalError"),
        (200, "NoSuchKey"),
    ] {
        let before = proxy.seen().iter().filter(|it| it.is_copy).count();
        let act = Action::Answer(status, code);
        assert_survives(&test_env, &broker, &proxy, RequestMatch::copy(), act).await;
        let copies = proxy.seen().iter().filter(|it| it.is_copy).count();
        assert_eq!(copies - before, 2, "{status} {code}: a copy was retried");
    }
}

#[tokio::test]
async fn unclear_answer_to_the_head_of_the_copy_changes_nothing() {
    let test_env = TestEnv::new().await;
    let (broker, proxy) = behind_proxy(&test_env, json!({})).await;
    for (status, code) in [
        (404, "NoSuchKey"),
        (404, "NoSuchBucket"),
        (403, "AccessDenied"),
        (400, "BadRequest"),
        (301, "PermanentRedirect"),
        (307, "TemporaryRedirect"),
        (500, "InternalError"),
        (503, "SlowDown"),
        // 200 without an ETag.
        (200, "Nothing"),
    ] {
        let which = RequestMatch::head().below("media/");
        let act = Action::Answer(status, code);
        assert_survives(&test_env, &broker, &proxy, which, act).await;
    }
}

#[tokio::test]
async fn head_without_length_or_etag_changes_nothing() {
    let test_env = TestEnv::new().await;
    let (broker, proxy) = behind_proxy(&test_env, json!({})).await;
    let heads = || RequestMatch::head().below("media/");
    let no_length = Action::Alter(|headers| drop(headers.remove("content-length")));
    assert_survives(&test_env, &broker, &proxy, heads(), no_length).await;
    let no_etag = Action::Alter(|headers| drop(headers.remove("etag")));
    assert_survives(&test_env, &broker, &proxy, heads(), no_etag).await;
}

#[tokio::test]
async fn etag_that_is_not_an_md5_is_opaque_and_a_weak_one_is_recorded_bare() {
    let test_env = TestEnv::new().await;
    let (broker, proxy) = behind_proxy(&test_env, json!({})).await;
    let user = broker.user();
    let weak = Action::Alter(|headers| drop(headers.insert("etag", value("W/\"weak\""))));
    let parts = Action::Alter(|headers| {
        headers.insert("etag", value("\"0123456789abcdef0123456789abcdef-2\""));
    });
    let masked = Action::Alter(|headers| {
        headers.insert("etag", value("\"0123456789abcdef0123456789abcdef\""));
        headers.insert("x-amz-server-side-encryption", value("aws:kms"));
    });
    for (act, etag) in [
        (weak, "weak"),
        (parts, "0123456789abcdef0123456789abcdef-2"),
        (masked, "0123456789abcdef0123456789abcdef"),
    ] {
        proxy.rule(RequestMatch::head().below("media/"), act);
        let created = create_with(&user, "Product.image", RIGHT, "image/png", "md5").await;
        user.put(&created.clone().expect(201), RIGHT)
            .await
            .expect(200);
        let confirmed = user.confirm(created.id()).await.expect(200);
        assert_eq!(text(&confirmed, "etag"), etag);
        proxy.clear();
    }
}

#[tokio::test]
async fn copy_after_a_lost_answer_takes_a_fresh_key() {
    let test_env = TestEnv::new().await;
    let (broker, proxy) = behind_proxy(&test_env, json!({})).await;
    let user = broker.user();
    let created = user.stage("Product.image", RIGHT, "image/png").await;
    proxy.rule(RequestMatch::copy().times(1), Action::LoseAnswer);
    proxy.rule(
        RequestMatch::head().below("media/").times(1),
        Action::LoseAnswer,
    );
    let confirmed = user.confirm(created.id()).await.expect(200);
    let key = text(&confirmed, "key");
    let copies: Vec<_> = proxy.seen().into_iter().filter(|it| it.is_copy).collect();
    assert_eq!(copies.len(), 2);
    assert_ne!(copies[0].path, copies[1].path, "a key is used once");
    assert!(
        copies[1].path.ends_with(&key),
        "the unanswered key is not recorded"
    );
    let rows = Rows::of(&test_env);
    assert_eq!(rows.attempts_in(created.id(), "recorded"), 1);
    assert_eq!(rows.attempts_in(created.id(), "open"), 1, "for the sweeper");
    assert_eq!(rows.events(created.id()), ["1 upload.confirmed"]);
}

fn value(text: &'static str) -> hyper::header::HeaderValue {
    hyper::header::HeaderValue::from_static(text)
}
