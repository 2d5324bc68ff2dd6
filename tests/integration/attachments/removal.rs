//! A replaced or detached upload is removed after its grace: by a worker, never in a request, and once.

use reqwest::Method;
use serde_json::{Value, json};

use crate::attachments::confirmed;
use crate::support::rows::Rows;
use crate::support::s3_proxy::S3Proxy;
use crate::support::s3_script::{Action, RequestMatch};
use crate::support::test_env::TestEnv;
use crate::support::upload_steps::{eventually, text};

const ALL: [&str; 4] = [
    "1 upload.confirmed",
    "2 upload.attached",
    "3 upload.detached",
    "4 upload.deleted",
];

/// A time that has passed, as both databases read it.
const PAST: &str = "2026-01-01 00:00:00.000000";

/// A broker whose sweeper runs every second, with this grace for `Product.image`.
fn with_grace(secs: u32) -> Value {
    json!({
        "workers": {"removal_interval_secs": 1},
        "fields": {"Product.image": {
            "upload_to": "products/", "content_types": ["image/jpeg"], "max_size": 1_000_000,
            "visibility": "public", "removal_grace_secs": secs,
        }},
    })
}

#[tokio::test]
async fn replaced_upload_is_removed_after_its_grace_and_the_attached_one_stays() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker_with(with_grace(2)).await;
    let (user, backend) = (broker.user(), broker.service());
    let former = confirmed(&user, "Product.image").await;
    backend.attach(&former, "42").await.expect(200);
    let key = text(&user.read(&former).await, "key");
    let new = confirmed(&user, "Product.image").await;
    backend.attach(&new, "42").await.expect(200);
    let detached = user.read(&former).await.expect(200);
    assert!(["detached", "deleted"].contains(&&*text(&detached, "status")));
    eventually("the former is deleted", || async {
        user.read(&former).await.json["status"] == "deleted"
    })
    .await;
    let rows = Rows::of(&test_env);
    let times = format!(
        "SELECT CASE WHEN occurred_at >= remove_after THEN 'after' ELSE 'before' END AS line \
         FROM events e JOIN uploads u ON u.id = e.upload_id WHERE u.id = '{former}' AND type = 'upload.deleted'"
    );
    assert_eq!(rows.lines(&times), ["after"], "its grace");
    eventually("its object is gone", || async {
        test_env.bucket.head(&key).await.is_none()
    })
    .await;
    assert_eq!(rows.events(&former), ALL);
    let attached = user.read(&new).await.expect(200);
    assert_eq!(attached.json["status"], "attached");
    assert!(
        test_env
            .bucket
            .head(&text(&attached, "key"))
            .await
            .is_some()
    );
}

#[tokio::test]
async fn detached_upload_is_kept_until_its_grace_ends_by_default_a_day() {
    let test_env = TestEnv::new().await;
    let quick = json!({"workers": {"removal_interval_secs": 1}});
    let broker = test_env.broker_with(quick).await;
    let (user, backend) = (broker.user(), broker.service());
    let rows = Rows::of(&test_env);
    let ids = [
        confirmed(&user, "Product.image").await,
        confirmed(&user, "Product.image").await,
    ];
    for (id, record) in ids.iter().zip(["1", "2"]) {
        backend.attach(id, record).await.expect(200);
        backend.detach(id).await.expect(200);
    }
    let [kept, due] = &ids;
    // The second one's day is over; once it is gone, the worker has looked at the first one too.
    rows.change_one(&format!(
        "UPDATE uploads SET remove_after = '{PAST}' WHERE id = '{due}'"
    ));
    eventually("what is due is gone", || async {
        user.read(due).await.json["status"] == "deleted"
    })
    .await;
    let kept = user.read(kept).await.expect(200);
    assert_eq!(kept.json["status"], "detached");
    assert!(test_env.bucket.head(&text(&kept, "key")).await.is_some());
    let at = kept.json["detached_at"].as_str().expect("a time");
    let day =
        chrono::DateTime::parse_from_rfc3339(at).expect("a time") + chrono::TimeDelta::days(1);
    let day = day.format("%Y-%m-%d %H:%M:%S").to_string();
    let grace = rows.lines(&format!(
        "SELECT CAST(remove_after AS text) AS line FROM uploads WHERE id = '{}'",
        kept.id()
    ));
    assert!(grace[0].starts_with(&day), "{grace:?} and {day}");
}

#[tokio::test]
async fn concurrent_removals_by_two_brokers_append_one_event_for_each_upload() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    // Enough uploads for the rounds of the two brokers to overlap.
    let mut ids = Vec::new();
    for n in 0..30 {
        let id = confirmed(&broker.user(), "Product.image").await;
        broker
            .service()
            .attach(&id, &n.to_string())
            .await
            .expect(200);
        broker.service().detach(&id).await.expect(200);
        ids.push(id);
    }
    let due = format!("UPDATE uploads SET remove_after = '{PAST}'");
    test_env.database.execute(&due);
    let brokers = tokio::join!(
        test_env.broker_with(with_grace(0)),
        test_env.broker_with(with_grace(0))
    );
    let rows = Rows::of(&test_env);
    eventually("all are removed", || async {
        let left = "SELECT id AS line FROM uploads WHERE object_removed_at IS NULL";
        rows.lines(left).is_empty()
    })
    .await;
    for id in &ids {
        assert_eq!(rows.events(id), ALL);
    }
    assert!(test_env.bucket.list("media/").await.is_empty());
    drop(brokers);
}

#[tokio::test]
async fn refused_removal_is_delayed_and_not_lost() {
    let test_env = TestEnv::new().await;
    let proxy = S3Proxy::before(&test_env.bucket);
    let mut settings = with_grace(0);
    settings["sweeper"] = json!({"enabled": true, "interval_secs": 1});
    settings["storage"] = json!({
        "endpoint": proxy.endpoint(), "public_endpoint": test_env.bucket.server.endpoint,
    });
    let refusals = RequestMatch::method(Method::DELETE).below("media/");
    let refused = proxy.rule(refusals, Action::Answer(403, "AccessDenied"));
    let broker = test_env.broker_with(settings).await;
    let id = confirmed(&broker.user(), "Product.image").await;
    let key = text(&broker.user().read(&id).await, "key");
    broker.service().attach(&id, "42").await.expect(200);
    broker.service().detach(&id).await.expect(200);
    eventually("a second round is refused", || async {
        proxy.hits(refused) >= 2
    })
    .await;
    let read = broker.user().read(&id).await.expect(200);
    assert_eq!(read.json["status"], "deleted", "first the row");
    assert!(test_env.bucket.head(&key).await.is_some());
    proxy.clear();
    let rows = Rows::of(&test_env);
    eventually("the object is gone, and that is noted", || async {
        let noted = "SELECT id AS line FROM uploads WHERE object_removed_at IS NOT NULL";
        rows.lines(noted) == [id.as_str()]
    })
    .await;
    assert!(test_env.bucket.head(&key).await.is_none());
    assert_eq!(rows.events(&id), ALL);
}

#[tokio::test]
async fn upload_in_another_bucket_is_attached_and_detached_and_its_object_kept() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker_with(with_grace(1)).await;
    let (user, backend) = (broker.user(), broker.service());
    let [there, here] = [
        confirmed(&user, "Product.image").await,
        confirmed(&user, "Product.image").await,
    ];
    Rows::of(&test_env).change_one(&format!(
        "UPDATE uploads SET bucket = 'another-bucket' WHERE id = '{there}'"
    ));
    // The other bucket's is due first.
    for id in [&there, &here] {
        backend.attach(id, "42").await.expect(200);
        backend.detach(id).await.expect(200);
    }
    eventually("what is here is removed", || async {
        user.read(&here).await.json["status"] == "deleted"
    })
    .await;
    let read = user.read(&there).await.expect(200);
    assert_eq!(read.json["status"], "detached");
}
