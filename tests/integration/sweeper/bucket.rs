//! The sweep of the bucket removes staged objects and multipart uploads by the bucket's clock, and keeps everything else.

use std::collections::BTreeSet;

use bytepass::broker::{SweepKind, SweepWalk};
use hyper::Method;
use serde_json::json;

use crate::support::rows::Rows;
use crate::support::s3_script::{Action, RequestMatch};
use crate::support::sweeps::{
    a_year_ago, begin_multipart, broker_without_server, broker_without_server_behind_proxy,
    overdue, round, swept, unfinished,
};
use crate::support::test_env::TestEnv;
use crate::support::upload_steps::staging_key;

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes that were meant";
const LATE: &[u8] = b"\xff\xd8\xff\xe0 the bytes that came late!!";

#[tokio::test(flavor = "multi_thread")]
async fn put_after_expiry_is_never_served_and_removed_by_the_next_due_sweep() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let (sweeper, proxy) = broker_without_server_behind_proxy(&test_env).await;
    let user = broker.user();
    let created = user.create("Product.image", LATE, "image/jpeg").await;
    let deleted = user.upload("Product.image", JPEG, "image/jpeg").await;
    overdue(&test_env, 60);
    assert_eq!(swept(&sweeper, SweepKind::Pending).await.expired, 1);
    user.put(&created, LATE).await.expect(200);
    let path = format!("/v1/uploads/{}", deleted.id());
    user.delete(&path).await.expect(204);
    test_env
        .bucket
        .put(&staging_key(deleted.id()), LATE, "image/jpeg")
        .await;

    let staged = async || test_env.bucket.list("staging/").await.len();
    assert_eq!(
        swept(&sweeper, SweepKind::Staging).await.removed,
        0,
        "young"
    );
    assert_eq!(staged().await, 2);
    let late = user.confirm(created.id()).await;
    late.expect_problem(410, "upload-expired");
    a_year_ago(&proxy);
    let counts = swept(&sweeper, SweepKind::Staging).await;
    assert_eq!((counts.removed, counts.failed), (2, 0));
    assert_eq!(staged().await, 0);
    assert!(test_env.bucket.list("media/").await.is_empty());
    assert_eq!(
        Rows::of(&test_env).events(created.id()),
        ["1 upload.expired"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bucket_sweep_keeps_confirmed_attached_and_foreign_objects() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let (sweeper, proxy) = broker_without_server_behind_proxy(&test_env).await;
    let user = broker.user();
    let confirmed = user.upload("Product.image", JPEG, "image/jpeg").await;
    let key = confirmed.json["key"].as_str().expect("a key").to_owned();
    for foreign in [
        "staging/notes.txt",
        "staging/upl_/x",
        "elsewhere/a",
        "media/by-hand.jpg",
    ] {
        test_env.bucket.put(foreign, JPEG, "image/jpeg").await;
    }
    // More than a few pages of abandoned uploads.
    for n in 0..20_u8 {
        let id = bytepass::domain::ids::UploadId::new(chrono::Utc::now(), &[n; 10]);
        test_env
            .bucket
            .put(&staging_key(&id.to_string()), JPEG, "image/jpeg")
            .await;
    }
    a_year_ago(&proxy);
    let counts = swept(&sweeper, SweepKind::Staging).await;
    assert_eq!((counts.removed, counts.foreign), (21, 2));
    for kind in SweepKind::ALL {
        swept(&sweeper, kind).await;
    }
    let left = test_env.bucket.list("").await;
    let mut expected = vec![
        "elsewhere/a",
        "media/by-hand.jpg",
        key.as_str(),
        "staging/notes.txt",
        "staging/upl_/x",
    ];
    expected.sort_unstable();
    assert_eq!(left.keys().collect::<Vec<_>>(), expected);
    assert_eq!(user.read(confirmed.id()).await.json["status"], "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoned_multipart_uploads_are_aborted_only_below_our_prefixes() {
    let test_env = TestEnv::new().await;
    let (sweeper, proxy) = broker_without_server_behind_proxy(&test_env).await;
    for n in 0..12 {
        begin_multipart(&test_env, &format!("media/products/{n}.jpg")).await;
    }
    begin_multipart(&test_env, "staging/upl_x").await;
    begin_multipart(&test_env, "elsewhere/backup.tar").await;
    assert_eq!(unfinished(&test_env).await.len(), 14);
    assert_eq!(
        swept(&sweeper, SweepKind::Multipart).await.aborted,
        0,
        "young"
    );
    assert_eq!(unfinished(&test_env).await.len(), 14);
    a_year_ago(&proxy);
    let counts = swept(&sweeper, SweepKind::Multipart).await;
    assert_eq!((counts.aborted, counts.failed), (13, 0));
    assert_eq!(unfinished(&test_env).await, ["elsewhere/backup.tar"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn multipart_sweep_after_an_outage_resumes_and_misses_none() {
    let test_env = TestEnv::new().await;
    let (sweeper, proxy) = broker_without_server_behind_proxy(&test_env).await;
    for n in 0..20 {
        begin_multipart(&test_env, &format!("media/products/{n}.jpg")).await;
    }
    a_year_ago(&proxy);
    let aborting = RequestMatch::method(Method::DELETE).query_with("uploadId");
    // As often as the SDK tries it: the bucket is back after the first page.
    proxy.rule(aborting.times(7 * 3), Action::Answer(503, "SlowDown"));
    let mut walk = SweepWalk::new(SweepKind::Multipart, 7);
    let aborted = round(&sweeper, &mut walk).await.aborted;
    assert_eq!(aborted, 0, "nothing was answered");
    let aborted = round(&sweeper, &mut walk).await.aborted;
    assert_eq!(aborted, 20, "from there on, and then those before");
    assert!(unfinished(&test_env).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn multipart_page_cut_by_an_outage_resumes_where_it_was_cut() {
    let test_env = TestEnv::new().await;
    let (sweeper, proxy) = broker_without_server_behind_proxy(&test_env).await;
    for n in 0..40 {
        begin_multipart(&test_env, &format!("media/products/{n}.jpg")).await;
    }
    a_year_ago(&proxy);
    let aborting = RequestMatch::method(Method::DELETE).query_with("uploadId");
    // The first sixteen, as often as the SDK tries it.
    proxy.rule(aborting.times(16 * 3), Action::Answer(503, "SlowDown"));
    let mut walk = SweepWalk::new(SweepKind::Multipart, 100);
    let mut rounds = [0; 2];
    for aborted in &mut rounds {
        *aborted = round(&sweeper, &mut walk).await.aborted;
    }
    assert_eq!(rounds, [0, 40], "behind those that were not answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn list_cursor_refused_by_the_bucket_is_dropped_and_kept_during_an_outage() {
    let test_env = TestEnv::new().await;
    let (sweeper, proxy) = broker_without_server_behind_proxy(&test_env).await;
    for n in 0..4_u8 {
        let id = bytepass::domain::ids::UploadId::new(chrono::Utc::now(), &[n; 10]);
        let key = staging_key(&id.to_string());
        test_env.bucket.put(&key, JPEG, "image/jpeg").await;
    }
    let old = async |listing: Option<(u16, &'static str)>, walk: &mut SweepWalk| {
        proxy.clear();
        if let Some((status, code)) = listing {
            let behind = RequestMatch::method(Method::GET).query_with("start-after");
            proxy.rule(behind, Action::Answer(status, code));
        }
        a_year_ago(&proxy);
        let removal = RequestMatch::method(Method::DELETE).below("staging/");
        proxy.rule(removal, Action::Answer(403, "AccessDenied"));
        sweeper.sweep(walk).await
    };
    let asked = || {
        let seen = proxy.seen();
        let removals = seen.iter().filter(|it| it.method == Method::DELETE);
        let keys: BTreeSet<String> = removals.map(|it| it.path.clone()).collect();
        keys.len()
    };
    let mut walk = SweepWalk::new(SweepKind::Staging, 2);
    assert!(old(None, &mut walk).await.expect("a page").more);
    old(Some((503, "SlowDown")), &mut walk)
        .await
        .expect_err("no answer");
    assert_eq!(asked(), 2);
    old(None, &mut walk).await.expect("the page behind");
    assert_eq!(asked(), 4, "the pause changed nothing");

    let mut walk = SweepWalk::new(SweepKind::Staging, 2);
    assert!(old(None, &mut walk).await.expect("a page").more);
    old(Some((403, "AccessDenied")), &mut walk)
        .await
        .expect_err("refused");
    let before = proxy.seen().len();
    old(None, &mut walk).await.expect("from the beginning");
    let listing = &proxy.seen()[before..][0];
    assert!(!listing.query.contains("start-after"), "{listing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn staging_age_limit_below_the_confirm_deadline_is_refused_at_start() {
    let test_env = TestEnv::new().await;
    let refused = |change| {
        let settings = toml::to_string(&test_env.settings(change)).expect("TOML");
        let sources = bytepass::config::Sources::default().with_defaults("test", settings);
        let loaded = bytepass::config::Config::load(&sources);
        loaded.expect_err("refused").to_string()
    };
    let early = refused(json!({"sweeper": {"staging_max_age_secs": 86_400 + 3_599}}));
    assert!(early.contains("sweeper.staging_max_age_secs"), "{early}");
    assert!(early.contains("at least 90000"), "{early}");
    let hasty =
        json!({"sweeper": {"attempt_stale_secs": 60}, "storage": {"copy_base_ms": 600_000}});
    let hasty = refused(hasty);
    assert!(hasty.contains("sweeper.attempt_stale_secs"), "{hasty}");
    broker_without_server(
        &test_env,
        json!({"sweeper": {"staging_max_age_secs": 90_000}}),
    )
    .await;
}
