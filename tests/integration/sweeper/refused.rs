//! Objects that the bucket refuses to remove, because of a legal hold for example, do not delay the removal of others, and a bucket
//! that refuses everything gets a bounded number of requests.

use bytepass::broker::{RemovalWalk, SweepKind, SweepWalk};
use hyper::Method;
use serde_json::json;

use crate::support::rows::Rows;
use crate::support::s3_proxy::{RuleId, S3Proxy};
use crate::support::s3_script::{Action, RequestMatch};
use crate::support::sweeps::{
    a_year_ago, age_attempts, broker_without_server_behind_proxy, round, swept,
};
use crate::support::test_env::TestEnv;
use crate::support::upload_rows::StoredUploads;
use crate::support::upload_steps::{eventually, staging_key};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes that were meant";
/// More than are removed at the same time.
const MANY: usize = 40;
/// After how many refusals in a row a round over the rows ends.
const PATIENCE: usize = 128;

/// `count` uploads, the oldest first, and one more.
async fn many_and_one(test_env: &TestEnv, many: usize) -> (Vec<String>, String) {
    let broker = test_env.broker().await;
    let user = broker.user();
    let mut ids = Vec::with_capacity(many);
    for _ in 0..=many {
        let created = user.create("Product.image", JPEG, "image/jpeg").await;
        ids.push(created.expect(201).id().to_owned());
    }
    let last = ids.pop().expect("the last one");
    (ids, last)
}

/// Makes their objects pending deletions, as after a crash between the rows and the objects.
fn owed(test_env: &TestEnv) {
    StoredUploads::of(&test_env.database).execute("UPDATE uploads SET status = 'rejected'");
}

/// Refuses to remove objects below this prefix.
fn refuse(proxy: &S3Proxy, prefix: &str) -> RuleId {
    let removal = RequestMatch::method(Method::DELETE).below(prefix);
    proxy.rule(removal, Action::Answer(403, "AccessDenied"))
}

fn removed(test_env: &TestEnv, id: &str) -> bool {
    let sql = format!(
        "SELECT id AS line FROM uploads WHERE id = '{id}' AND object_removed_at IS NOT NULL"
    );
    !Rows::of(test_env).lines(&sql).is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_pending_deletions_do_not_delay_others() {
    let test_env = TestEnv::new().await;
    let (sweeper, proxy) = broker_without_server_behind_proxy(&test_env).await;
    let (refused, last) = many_and_one(&test_env, MANY).await;
    owed(&test_env);
    for id in &refused {
        refuse(&proxy, &staging_key(id));
    }
    let counts = swept(&sweeper, SweepKind::PendingDeletion).await;
    assert_eq!((counts.failed, counts.removed), (MANY as u64, 1));
    assert!(removed(&test_env, &last) && !removed(&test_env, &refused[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_continues_past_refused_pending_deletions() {
    let test_env = TestEnv::new().await;
    let (_, last) = many_and_one(&test_env, MANY).await;
    owed(&test_env);
    let proxy = S3Proxy::before(&test_env.bucket);
    let ids = Rows::of(&test_env).lines("SELECT id AS line FROM uploads");
    for id in ids.iter().filter(|id| **id != last) {
        refuse(&proxy, &staging_key(id));
    }
    let _broker = test_env
        .broker_with(json!({
            "storage": {"endpoint": proxy.endpoint()},
            "sweeper": {"enabled": true, "interval_secs": 1},
        }))
        .await;
    eventually("removed", async || removed(&test_env, &last)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_staged_objects_do_not_delay_others() {
    let test_env = TestEnv::new().await;
    let (sweeper, proxy) = broker_without_server_behind_proxy(&test_env).await;
    let (refused, last) = many_and_one(&test_env, MANY).await;
    for id in refused.iter().chain([&last]) {
        test_env
            .bucket
            .put(&staging_key(id), JPEG, "image/jpeg")
            .await;
    }
    a_year_ago(&proxy);
    for id in &refused {
        refuse(&proxy, &staging_key(id));
    }
    let counts = swept(&sweeper, SweepKind::Staging).await;
    assert_eq!((counts.failed, counts.removed), (MANY as u64, 1));
    assert!(test_env.bucket.head(&staging_key(&last)).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_copies_do_not_delay_others() {
    let test_env = TestEnv::new().await;
    let (sweeper, proxy) = broker_without_server_behind_proxy(&test_env).await;
    let (refused, last) = many_and_one(&test_env, MANY).await;
    StoredUploads::of(&test_env.database).execute(
        "INSERT INTO seal_attempts (object_key, name, upload_id, state, started_at) \
         SELECT 'media/products/' || id, 'products/' || id, id, 'open', created_at FROM uploads",
    );
    age_attempts(&test_env, 7_200);
    for id in &refused {
        refuse(&proxy, &format!("media/products/{id}"));
    }
    let counts = swept(&sweeper, SweepKind::Attempts).await;
    assert_eq!((counts.abandoned, counts.removed), (MANY as u64 + 1, 1));
    let gone = "SELECT upload_id AS line FROM seal_attempts WHERE object_removed_at IS NOT NULL";
    assert_eq!(Rows::of(&test_env).lines(gone), [last]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_detached_uploads_do_not_delay_others() {
    let test_env = TestEnv::new().await;
    let (sweeper, proxy) = broker_without_server_behind_proxy(&test_env).await;
    let (refused, last) = many_and_one(&test_env, MANY).await;
    StoredUploads::of(&test_env.database).execute(
        "UPDATE uploads SET status = 'detached', remove_after = created_at, confirmed_at = created_at, confirmed_by = 'client', \
         etag = 'e', object_key = 'media/products/' || id, name = 'products/' || id",
    );
    for id in &refused {
        refuse(&proxy, &format!("media/products/{id}"));
    }
    let mut walk = RemovalWalk::default();
    while sweeper
        .remove_detached(&mut walk, 7)
        .await
        .expect("removals")
    {}
    assert!(removed(&test_env, &last) && !removed(&test_env, &refused[0]));
    let moved = "SELECT id AS line FROM uploads WHERE status = 'deleted'";
    assert_eq!(Rows::of(&test_env).lines(moved).len(), MANY + 1);
    // Their rows have changed, so nothing is due twice; objects still in the bucket are pending deletions.
    let asked = proxy.seen().len();
    while sweeper
        .remove_detached(&mut walk, 7)
        .await
        .expect("removals")
    {}
    assert_eq!(proxy.seen().len(), asked);
    proxy.clear();
    swept(&sweeper, SweepKind::PendingDeletion).await;
    assert!(refused.iter().all(|id| removed(&test_env, id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn bucket_that_refuses_everything_gets_a_bounded_number_of_requests_each_round() {
    let test_env = TestEnv::new().await;
    let (sweeper, proxy) = broker_without_server_behind_proxy(&test_env).await;
    let (refused, last) = many_and_one(&test_env, 2 * PATIENCE + MANY).await;
    owed(&test_env);
    let rule = refuse(&proxy, "staging/");
    let mut walk = SweepWalk::new(SweepKind::PendingDeletion, 64);
    for rounds in 1..=2 {
        let counts = round(&sweeper, &mut walk).await;
        assert_eq!((counts.failed, counts.removed), (PATIENCE as u64, 0));
        assert_eq!(proxy.hits(rule), rounds * PATIENCE);
    }
    proxy.clear();
    for id in &refused {
        refuse(&proxy, &staging_key(id));
    }
    // Past all refused objects, and then again from the beginning, up to its failure budget.
    let counts = round(&sweeper, &mut walk).await;
    let failed = (MANY + PATIENCE) as u64;
    assert_eq!((counts.failed, counts.removed), (failed, 1));
    assert!(removed(&test_env, &last));
    proxy.clear();
    let counts = round(&sweeper, &mut walk).await;
    assert_eq!((counts.failed, counts.removed), (0, refused.len() as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_bucket_is_asked_once_a_round_and_no_upload_is_skipped() {
    let test_env = TestEnv::new().await;
    let (sweeper, proxy) = broker_without_server_behind_proxy(&test_env).await;
    let (ids, _) = many_and_one(&test_env, MANY).await;
    owed(&test_env);
    let removal = RequestMatch::method(Method::DELETE);
    proxy.rule(removal, Action::Answer(503, "SlowDown"));
    let mut walk = SweepWalk::new(SweepKind::PendingDeletion, 100);
    let counts = round(&sweeper, &mut walk).await;
    assert_eq!((counts.found, counts.failed), (ids.len() as u64 + 1, 16));
    proxy.clear();
    let counts = round(&sweeper, &mut walk).await;
    let all = ids.len() as u64 + 1;
    assert_eq!(counts.removed, all, "from there on, and then the first");
}

#[tokio::test(flavor = "multi_thread")]
async fn offline_sweep_continues_past_any_number_of_refused_objects() {
    let test_env = TestEnv::new().await;
    let (sweeper, proxy) = broker_without_server_behind_proxy(&test_env).await;
    let (refused, last) = many_and_one(&test_env, PATIENCE + MANY).await;
    owed(&test_env);
    for id in &refused {
        refuse(&proxy, &staging_key(id));
    }
    let mut walk = SweepWalk::manual(SweepKind::PendingDeletion, 100);
    let counts = round(&sweeper, &mut walk).await;
    assert_eq!((counts.failed, counts.removed), (refused.len() as u64, 1));
    assert!(removed(&test_env, &last));
}
