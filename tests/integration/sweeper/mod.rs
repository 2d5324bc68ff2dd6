//! Pending uploads past their deadline are confirmed, rejected or expired by the sweeper.

mod bucket;
mod races;
mod refused;
mod unknown_uploads;

use bytepass::broker::{SweepKind, SweepWalk};
use serde_json::json;

use crate::support::gate::RequestGate;
use crate::support::rows::Rows;
use crate::support::s3_script::{Action, RequestMatch};
use crate::support::sweeps::{
    age_attempts, broker_without_server, broker_without_server_behind_proxy, moment, overdue, swept,
};
use crate::support::test_env::TestEnv;
use crate::support::upload_rows::StoredUploads;
use crate::support::upload_steps::{create_with, eventually, plant};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes that were meant";
const OTHER: &[u8] = b"\xff\xd8\xff\xe0 the bytes of somebody!!!!";

#[tokio::test(flavor = "multi_thread")]
async fn sweeper_confirms_after_a_put_and_expires_without_one() {
    let test_env = TestEnv::new().await;
    let sweeper = json!({"enabled": true, "interval_secs": 1});
    let broker = test_env.broker_with(json!({ "sweeper": sweeper })).await;
    let user = broker.user();
    let there = user.stage("Product.image", JPEG, "image/jpeg").await;
    let absent = user.create("Product.image", JPEG, "image/jpeg").await;
    let waiting = user.create("Product.image", JPEG, "image/jpeg").await;
    let rows = Rows::of(&test_env);
    rows.set_deadline(there.id(), -5);
    rows.set_deadline(absent.id(), -5);
    for (id, status) in [(there.id(), "confirmed"), (absent.id(), "expired")] {
        eventually(status, async || {
            user.read(id).await.json["status"] == status
        })
        .await;
    }
    let confirmed = user.read(there.id()).await;
    assert_eq!(confirmed.json["confirmed_by"], "sweeper");
    let key = confirmed.json["key"].as_str().expect("a key");
    assert_eq!(test_env.bucket.get(key).await.as_deref(), Some(JPEG));
    assert_eq!(rows.events(there.id()), ["1 upload.confirmed"]);
    assert_eq!(rows.events(absent.id()), ["1 upload.expired"]);
    let late = user.confirm(absent.id()).await;
    late.expect_problem(410, "upload-expired");
    assert_eq!(user.read(waiting.id()).await.json["status"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn sweeper_rejects_a_mismatched_object() {
    let test_env = TestEnv::new().await;
    let (broker, sweeper) = (
        test_env.broker().await,
        broker_without_server(&test_env, json!({})).await,
    );
    let user = broker.user();
    let created = create_with(&user, "Product.image", JPEG, "image/jpeg", "sha256").await;
    let id = created.clone().expect(201).id().to_owned();
    plant(&test_env.bucket, &id, OTHER, Some("sha256")).await;
    overdue(&test_env, 60);
    let counts = swept(&sweeper, SweepKind::Pending).await;
    assert_eq!((counts.found, counts.rejected), (1, 1));
    assert_eq!(user.read(&id).await.json["status"], "rejected");
    assert!(test_env.bucket.list("media/").await.is_empty());
    assert_eq!(swept(&sweeper, SweepKind::Pending).await.found, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_run_reports_and_changes_nothing() {
    let test_env = TestEnv::new().await;
    let (broker, sweeper) = (
        test_env.broker().await,
        broker_without_server(&test_env, json!({})).await,
    );
    let staged = broker
        .user()
        .stage("Product.image", JPEG, "image/jpeg")
        .await;
    overdue(&test_env, 60);
    for kind in SweepKind::ALL {
        let mut walk = SweepWalk::dry(kind, 100);
        let report = sweeper.sweep(&mut walk).await.expect("a sweep");
        let listed = report.would.iter().any(|line| line.contains(staged.id()));
        assert_eq!(listed, kind == SweepKind::Pending, "{kind:?} {report:?}");
    }
    StoredUploads::of(&test_env.database).untouched(staged.id());
}

#[tokio::test(flavor = "multi_thread")]
async fn unclear_bucket_answer_expires_nothing_and_does_not_delay_other_uploads() {
    let test_env = TestEnv::new().await;
    let (sweeper, proxy) = broker_without_server_behind_proxy(&test_env).await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let absent = user.create("Product.image", JPEG, "image/jpeg").await;
    let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
    let mut records = StoredUploads::of(&test_env.database);
    let hold = RequestGate::new();
    let faults = [
        Action::Answer(403, "AccessDenied"),
        Action::Answer(404, "NoSuchBucket"),
        Action::Answer(503, "SlowDown"),
        Action::HoldBefore(hold.clone()),
    ];
    for fault in faults {
        overdue(&test_env, 60);
        records.execute("UPDATE uploads SET sweep_after = NULL");
        proxy.rule(RequestMatch::any(), fault);
        let counts = swept(&sweeper, SweepKind::Pending).await;
        assert_eq!((counts.found, counts.postponed), (2, 2));
        for id in [absent.id(), staged.id()] {
            records.untouched(id);
        }
        assert_eq!(
            swept(&sweeper, SweepKind::Pending).await.found,
            0,
            "put off"
        );
        proxy.clear();
    }
    let noted = Rows::of(&test_env)
        .lines("SELECT COALESCE(last_problem, '') AS line FROM uploads ORDER BY id");
    let listed = noted.iter().all(|line| line.starts_with("copy-object: "));
    assert!(listed && noted.len() == 2, "{noted:?}");
    hold.release();
    records.execute("UPDATE uploads SET sweep_after = NULL");
    let counts = swept(&sweeper, SweepKind::Pending).await;
    assert_eq!((counts.confirmed, counts.expired), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_removal_keeps_the_object_pending_deletion() {
    let test_env = TestEnv::new().await;
    let (sweeper, proxy) = broker_without_server_behind_proxy(&test_env).await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let confirmed = user.upload("Product.image", JPEG, "image/jpeg").await;
    let id = confirmed.id();
    user.delete(&format!("/v1/uploads/{id}")).await.expect(204);
    // As after a crash between the row and the object.
    let key = confirmed.json["key"].as_str().expect("a key");
    test_env.bucket.put(key, JPEG, "image/jpeg").await;
    let mut records = StoredUploads::of(&test_env.database);
    records.execute("UPDATE uploads SET object_removed_at = NULL");
    for code in ["AccessDenied", "SlowDown"] {
        let rule = proxy.rule(RequestMatch::any(), Action::Answer(403, code));
        let counts = swept(&sweeper, SweepKind::PendingDeletion).await;
        assert_eq!((counts.found, counts.removed, counts.failed), (1, 0, 1));
        assert!(proxy.hits(rule) > 0);
        assert_eq!(records.upload(id).removed_at, None);
        assert!(
            sweeper
                .sweep(&mut SweepWalk::new(SweepKind::Staging, 9))
                .await
                .is_err()
        );
        assert!(
            sweeper
                .sweep(&mut SweepWalk::new(SweepKind::Multipart, 9))
                .await
                .is_err()
        );
        proxy.clear();
    }
    assert!(test_env.bucket.head(key).await.is_some());
    assert_eq!(swept(&sweeper, SweepKind::PendingDeletion).await.removed, 1);
    assert!(test_env.bucket.head(key).await.is_none());
    assert!(records.upload(id).removed_at.is_some());
    assert_eq!(swept(&sweeper, SweepKind::PendingDeletion).await.found, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn unattached_confirmed_upload_is_removed_when_its_field_says_so() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let kept = user.upload("Product.image", JPEG, "image/jpeg").await;
    let young = user.upload("ProductImage.image", JPEG, "image/jpeg").await;
    let gone = user.upload("ProductImage.image", JPEG, "image/jpeg").await;
    let mut records = StoredUploads::of(&test_env.database);
    let (at, young) = (moment(&test_env, 900), young.id().to_owned());
    records.execute(&format!(
        "UPDATE uploads SET confirmed_at = '{at}' WHERE id <> '{young}'"
    ));
    let field = |name: &str| json!({"upload_to": "products/", "content_types": ["image/jpeg"], "max_size": 1000, "visibility": "public", "cardinality": name});
    let mut listing = field("many");
    listing["unattached_lifetime_secs"] = json!(600);
    let fields = json!({"Product.image": field("one"), "ProductImage.image": listing});
    let sweeper = broker_without_server(&test_env, json!({ "fields": fields })).await;
    let counts = swept(&sweeper, SweepKind::Unattached).await;
    assert_eq!((counts.found, counts.deleted, counts.removed), (1, 1, 1));
    let key = |answer: &crate::support::api::Answer| answer.json["key"].as_str().map(str::to_owned);
    let gone_key = key(&gone).expect("a key");
    assert!(test_env.bucket.head(&gone_key).await.is_none());
    assert!(
        test_env
            .bucket
            .head(&key(&kept).expect("a key"))
            .await
            .is_some()
    );
    assert_eq!(user.read(gone.id()).await.json["status"], "deleted");
    assert_eq!(user.read(&young).await.json["status"], "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn unused_copy_of_a_dead_broker_is_removed_and_the_recorded_one_stays() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let (flaky, proxy) = broker_without_server_behind_proxy(&test_env).await;
    let user = broker.user();
    let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
    overdue(&test_env, 60);
    proxy.rule(RequestMatch::copy().times(2), Action::LoseAnswer);
    assert_eq!(swept(&flaky, SweepKind::Pending).await.postponed, 1);
    let confirmed = user.confirm(staged.id()).await.expect(200);
    assert_eq!(test_env.bucket.list("media/").await.len(), 3);
    assert_eq!(
        swept(&flaky, SweepKind::Attempts).await.found,
        0,
        "too young"
    );
    age_attempts(&test_env, 7_200);
    let counts = swept(&flaky, SweepKind::Attempts).await;
    assert_eq!((counts.abandoned, counts.removed), (2, 2));
    let left = test_env.bucket.list("media/").await;
    let key = confirmed.json["key"].as_str().expect("a key");
    assert_eq!(left.keys().collect::<Vec<_>>(), [key]);
    assert_eq!(swept(&flaky, SweepKind::Attempts).await.found, 0);
}
