//! Metrics: numbers of one broker, and numbers of the whole system that every broker reports equally.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::api::{http_client, send};
use crate::support::broker_process::BrokerProcess;
use crate::support::s3_proxy::S3Proxy;
use crate::support::s3_script::{Action, RequestMatch};
use crate::support::sweeps::overdue;
use crate::support::test_env::TestEnv;
use crate::support::upload_steps::plant;

const PICTURE: &[u8] = b"\x89PNG a picture that is counted";

/// Every sample by its name and labels.
async fn scrape(url: &str) -> BTreeMap<String, f64> {
    let answer = send(http_client().get(url)).await.expect(200);
    assert!(answer.header("content-type").starts_with("text/plain"));
    let lines = answer.text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a sample");
            (name.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

#[tokio::test]
async fn metrics_count_operations_and_pending_uploads_without_ids() {
    let broker = BrokerProcess::dev();
    let url = broker.ready["metrics_url"].as_str().expect("a URL");
    let before = scrape(url).await;
    assert!(
        !before.keys().any(|name| name.contains("pending{")),
        "{before:?}"
    );

    let user = broker.api("user");
    let done = user.upload("Product.image", PICTURE, "image/png").await;
    user.create("Product.image", PICTURE, "image/png")
        .await
        .expect(201);
    let read = user.read(done.id()).await.expect(200);

    let now = scrape(url).await;
    let is = |name: &str, value: f64| assert_eq!(now.get(name), Some(&value), "{name} in {now:#?}");
    is(
        "bytepass_uploads_created_total{field=\"Product.image\"}",
        2.0,
    );
    is(
        "bytepass_upload_status_changes_total{by=\"client\",field=\"Product.image\",from=\"pending\",to=\"confirmed\"}",
        1.0,
    );
    is("bytepass_uploads_pending{field=\"Product.image\"}", 1.0);
    is(
        "bytepass_uploads_pending_bytes{field=\"Product.image\"}",
        PICTURE.len() as f64,
    );
    is(
        "bytepass_create_to_confirm_seconds_count{field=\"Product.image\"}",
        1.0,
    );
    is(
        "bytepass_s3_request_duration_seconds_count{code=\"ok\",operation=\"copy-object\"}",
        1.0,
    );
    is(
        "bytepass_http_request_duration_seconds_count{method=\"POST\",route=\"/v1/uploads\",status=\"201\"}",
        2.0,
    );
    is("bytepass_seal_attempts{state=\"open\"}", 0.0);
    let age = now["bytepass_uploads_pending_oldest_seconds{field=\"Product.image\"}"];
    assert!((0.0..60.0).contains(&age), "{age}");
    let skew = now["bytepass_s3_clock_skew_seconds"];
    assert!(skew.abs() < 5.0, "one machine, one clock: {skew}");

    let key = read.json["key"].as_str().expect("a key");
    for name in now.keys() {
        for told in [done.id(), key, "user:1"] {
            assert!(!name.contains(told), "{name} tells {told}");
        }
    }
    let elsewhere = user.get("/metrics").await;
    elsewhere.expect_problem(404, "not-found");
}

#[tokio::test]
async fn rejections_are_counted_by_reason_and_two_brokers_report_equal_pending_uploads() {
    let test_env = TestEnv::new().await;
    let admin = json!({"server": {"admin_listen": "127.0.0.1:0"}});
    let (one, other) = (
        test_env.broker_with(admin.clone()).await,
        test_env.broker_with(admin).await,
    );
    let user = one.user();
    let created = user
        .create("Product.image", PICTURE, "image/png")
        .await
        .expect(201);
    plant(&test_env.bucket, created.id(), b"shorter", None).await;
    let refused = user.confirm(created.id()).await;
    refused.expect_problem(422, "object-mismatch");
    user.create("ProductImage.image", PICTURE, "image/png")
        .await
        .expect(201);

    let reported = [
        scrape(one.metrics_url()).await,
        scrape(other.metrics_url()).await,
    ];
    let reason = "bytepass_rejections_total{field=\"Product.image\",reason=\"size\"}";
    assert_eq!(reported[0].get(reason), Some(&1.0));
    for numbers in &reported {
        let pending = |field: &str| {
            numbers
                .get(&format!("bytepass_uploads_pending{{field=\"{field}\"}}"))
                .copied()
        };
        assert_eq!(pending("ProductImage.image"), Some(1.0));
        assert_eq!(pending("Product.image"), None);
    }
}

#[tokio::test]
async fn postponed_sweeper_work_is_counted_as_neither_done_nor_failed() {
    let test_env = TestEnv::new().await;
    let proxy = S3Proxy::before(&test_env.bucket);
    let change = json!({
        "storage": {"endpoint": proxy.endpoint(), "attempt_timeout_ms": 300, "operation_timeout_ms": 700, "copy_base_ms": 500},
        "sweeper": {"enabled": false},
    });
    let broker = test_env.broker_with(change).await;
    let ops = broker.ops();
    for _ in 0..2 {
        broker
            .user()
            .create("Product.image", PICTURE, "image/png")
            .await
            .expect(201);
    }
    overdue(&test_env, 60);
    proxy.rule(RequestMatch::copy(), Action::Answer(503, "SlowDown"));
    ops.post_empty("/v1/ops/sweep").await.expect(200);
    let seen = ops.get("/v1/ops/overview").await.expect(200).json;
    let kinds = seen["sweeper"].as_array().expect("kinds");
    let pending = kinds.iter().find(|it| it["kind"] == "pending").expect("it");
    let told = ["done", "postponed", "failed"].map(|name| &pending[name]);
    assert_eq!(told, [&json!(0), &json!(2), &json!(0)], "{seen}");
    let overdue = ["overdue", "postponed"].map(|name| &seen["pending"][name]);
    assert_eq!(overdue, [&json!(2), &json!(2)], "{seen}");
}
