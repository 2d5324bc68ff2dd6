//! Overwriting: later PUTs with the same presigned URL never change a recorded object.

use serde_json::json;

use crate::support::api::{Answer, Api};
use crate::support::gate::RequestGate;
use crate::support::rows::Rows;
use crate::support::s3_script::{Action, RequestMatch};
use crate::support::test_env::TestEnv;
use crate::support::upload_steps::{
    behind_proxy, create_with, digest, plant, planting, staging_key, text,
};

const RIGHT: &[u8] = b"\xff\xd8\xff\xe0 the bytes that were meant";
const OTHER: &[u8] = b"\xff\xd8\xff\xe0 the bytes of somebody!!!!";
const _: () = assert!(RIGHT.len() == OTHER.len(), "the length is signed");

/// Two files of 128 bytes with one MD5 (Wang, Feng, Lai and Yu, 2004), in hex.
const COLLISION: [&str; 2] = [
    "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f89\
     55ad340609f4b30283e488832571415a085125e8f7cdc99fd91dbdf280373c5b\
     d8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0\
     e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70",
    "d131dd02c5e6eec4693d9a0698aff95c2fcab50712467eab4004583eb8fb7f89\
     55ad340609f4b30283e4888325f1415a085125e8f7cdc99fd91dbd7280373c5b\
     d8823e3156348f5bae6dacd436c919c6dd53e23487da03fd02396306d248cda0\
     e99f33420f577ee8ce54b67080280d1ec69821bcb6a8839396f965ab6ff72a70",
];

/// Confirms in a task of its own.
fn confirming(api: &Api, id: &str) -> tokio::task::JoinHandle<Answer> {
    let (api, id) = (api.clone(), id.to_owned());
    tokio::spawn(async move { api.confirm(&id).await })
}

#[tokio::test]
async fn hundred_puts_after_confirm_leave_the_recorded_object_unchanged() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let created = user.stage("Product.image", RIGHT, "image/jpeg").await;
    let confirmed = user.confirm(created.id()).await.expect(200);
    let key = text(&confirmed, "key");
    for _ in 0..100 {
        user.put(&created, OTHER).await.expect(200);
    }
    let staged = test_env.bucket.get(&staging_key(created.id())).await;
    assert_eq!(staged.expect("the URL still works"), OTHER);
    assert_eq!(test_env.bucket.get(&key).await.expect("the object"), RIGHT);
    let head = test_env.bucket.head(&key).await.expect("the object");
    let etag = head.e_tag().expect("an ETag").trim_matches('"').to_owned();
    assert_eq!(text(&confirmed, "etag"), etag);
    let again = user.confirm(created.id()).await.expect(200);
    assert_eq!(
        again.upload(),
        confirmed.upload(),
        "no second look at what came later"
    );
    assert_eq!(test_env.bucket.list("media/").await.len(), 1);
}

#[tokio::test]
async fn puts_racing_a_confirm_record_one_of_two_files_that_never_changes() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    for _ in 0..10 {
        let created = user.stage("Product.image", RIGHT, "image/jpeg").await;
        let confirm = confirming(&user, created.id());
        let puts = (0..5).map(|_| user.put(&created, OTHER));
        futures::future::join_all(puts).await;
        let confirmed = confirm.await.expect("no panic").expect(200);
        let key = text(&confirmed, "key");
        let sealed = test_env.bucket.get(&key).await.expect("the object");
        assert!(sealed == RIGHT || sealed == OTHER, "{sealed:?}");
        let head = test_env.bucket.head(&key).await.expect("the object");
        let etag = head.e_tag().expect("an ETag").trim_matches('"').to_owned();
        assert_eq!(text(&confirmed, "etag"), etag, "recorded is what is there");
        user.put(&created, RIGHT).await.expect(200);
        user.put(&created, OTHER).await.expect(200);
        assert_eq!(test_env.bucket.get(&key).await.expect("the object"), sealed);
    }
}

#[tokio::test]
async fn bytes_swapped_after_the_copy_or_its_head_are_not_recorded() {
    let test_env = TestEnv::new().await;
    for which in [RequestMatch::copy(), RequestMatch::head().below("media/")] {
        let (broker, proxy) = behind_proxy(&test_env, json!({})).await;
        let user = broker.user();
        let hold = RequestGate::new();
        proxy.rule(which, Action::HoldAnswer(hold.clone()));
        let created = user.stage("Product.image", RIGHT, "image/jpeg").await;
        let confirm = confirming(&user, created.id());
        hold.arrived().await;
        user.put(&created, OTHER).await.expect(200);
        hold.release();
        let confirmed = confirm.await.expect("no panic").expect(200);
        let key = text(&confirmed, "key");
        assert_eq!(test_env.bucket.get(&key).await.expect("the object"), RIGHT);
        assert_eq!(hold.arrivals(), 1, "one look is enough");
    }
}

#[tokio::test]
async fn bytes_of_another_size_after_the_head_are_not_recorded() {
    let test_env = TestEnv::new().await;
    let (broker, proxy) = behind_proxy(&test_env, json!({})).await;
    let user = broker.user();
    let hold = RequestGate::new();
    proxy.rule(
        RequestMatch::head().below("media/"),
        Action::HoldAnswer(hold.clone()),
    );
    let created = create_with(&user, "Deposit.deposit_proof", RIGHT, "image/png", "sha256").await;
    user.put(&created.clone().expect(201), RIGHT)
        .await
        .expect(200);
    let confirm = confirming(&user, created.id());
    hold.arrived().await;
    plant(
        &test_env.bucket,
        created.id(),
        b"longer than what was declared, by far",
        Some("sha256"),
    )
    .await;
    hold.release();
    let confirmed = confirm.await.expect("no panic").expect(200);
    let key = text(&confirmed, "key");
    assert_eq!(test_env.bucket.get(&key).await.expect("the object"), RIGHT);
}

#[tokio::test]
async fn bytes_swapped_before_the_copy_are_rejected_by_the_declared_checksum() {
    let test_env = TestEnv::new().await;
    let (broker, proxy) = behind_proxy(&test_env, json!({})).await;
    let user = broker.user();
    let hold = RequestGate::new();
    proxy.rule(RequestMatch::copy(), Action::HoldBefore(hold.clone()));
    let created = create_with(&user, "Product.image", RIGHT, "image/jpeg", "sha256").await;
    user.put(&created.clone().expect(201), RIGHT)
        .await
        .expect(200);
    let confirm = confirming(&user, created.id());
    hold.arrived().await;
    plant(&test_env.bucket, created.id(), OTHER, Some("sha256")).await;
    hold.release();
    let refused = confirm.await.expect("no panic");
    refused.expect_problem(422, "object-mismatch");
    assert!(test_env.bucket.list("media/").await.is_empty());
}

#[tokio::test]
async fn file_with_the_same_md5_is_rejected_by_the_sha256() {
    let [ours, twin] = COLLISION.map(|hex| hex::decode(hex).expect("hex"));
    assert_ne!(ours, twin);
    assert_eq!(digest("md5", &ours), digest("md5", &twin), "a collision");
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let created = create_with(&user, "Product.image", &ours, "image/png", "sha256").await;
    plant(
        &test_env.bucket,
        created.clone().expect(201).id(),
        &twin,
        Some("sha256"),
    )
    .await;
    let refused = user.confirm(created.id()).await;
    let refused = refused.expect_problem(422, "object-mismatch");
    assert_eq!(refused.json["errors"][0]["pointer"], "/checksum");

    let created = create_with(&user, "Product.image", &ours, "image/png", "md5").await;
    user.put(&created.clone().expect(201), &ours)
        .await
        .expect(200);
    let key = text(&user.confirm(created.id()).await.expect(200), "key");
    user.put(&created, &twin).await.expect(200);
    let sealed = test_env.bucket.get(&key).await.expect("the object");
    assert_eq!(
        sealed, ours,
        "the twin passes the store, and changes nothing"
    );
}

#[tokio::test]
async fn put_after_delete_is_never_served() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let created = user.stage("Product.image", RIGHT, "image/jpeg").await;
    let key = text(&user.confirm(created.id()).await.expect(200), "key");
    user.delete(&format!("/v1/uploads/{}", created.id()))
        .await
        .expect(204);
    assert!(
        test_env.bucket.head(&key).await.is_none(),
        "the object is gone"
    );
    user.put(&created, RIGHT).await.expect(200);
    let again = user.confirm(created.id()).await;
    let again = again.expect_problem(409, "wrong-status");
    assert_eq!(again.json["status_now"], "deleted");
    let presign = format!("/v1/uploads/{}/presign", created.id());
    let presign = user.post_empty(&presign).await;
    presign.expect_problem(409, "wrong-status");
    assert!(test_env.bucket.list("media/").await.is_empty());
    let events = Rows::of(&test_env).events(created.id());
    assert_eq!(events, ["1 upload.confirmed", "2 upload.deleted"]);
}

#[tokio::test]
async fn put_after_cancel_is_never_served() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let created = user.create("Product.image", RIGHT, "image/jpeg").await;
    let path = format!("/v1/uploads/{}", created.clone().expect(201).id());
    user.delete(&path).await.expect(204);
    user.put(&created, RIGHT).await.expect(200);
    let sent = planting(&test_env.bucket, created.id(), RIGHT, None).send();
    sent.await.expect("the bucket's owner may");
    let refused = user.confirm(created.id()).await;
    let refused = refused.expect_problem(409, "wrong-status");
    assert_eq!(refused.json["status_now"], "canceled");
    assert!(test_env.bucket.list("media/").await.is_empty());
}
