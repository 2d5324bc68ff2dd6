//! The API of operators: overview, timelines and manual actions.

use bytepass::domain::upload::Status;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::statuses::{BYTES, in_status};
use crate::support::sweeps::overdue;
use crate::support::test_env::{TestEnv, backend_token, sign_backend};
use crate::support::webhook_receiver::{Receiver, Reply, webhooks};

const FIELD: &str = "Product.image";

/// The kinds of a timeline's entries, in its order.
fn kinds(timeline: &Answer) -> Vec<String> {
    let data = timeline.json["data"].as_array().expect("a list");
    let kind = |entry: &Value| entry["kind"].as_str().expect("a kind").to_owned();
    data.iter().map(kind).collect()
}

/// The first entry of this kind.
fn entry(timeline: &Answer, kind: &str) -> Value {
    let data = timeline.json["data"].as_array().expect("a list");
    let found = data.iter().find(|entry| entry["kind"] == kind);
    found
        .cloned()
        .unwrap_or_else(|| panic!("no {kind}: {timeline:?}"))
}

async fn timeline(ops: &Api, id: &str) -> Answer {
    ops.get(&format!("/v1/uploads/{id}/timeline"))
        .await
        .expect(200)
}

#[tokio::test]
async fn timeline_lists_every_step_of_an_upload_in_order() {
    let test_env = TestEnv::new().await;
    let receiver = Receiver::start().await;
    let broker = test_env
        .broker_with(webhooks(3, vec![receiver.endpoint("shop")]))
        .await;
    let (user, service, ops) = (broker.user(), broker.service(), broker.ops());
    let created = user.create(FIELD, BYTES, "image/jpeg").await;
    let id = created.id();
    for _ in 0..3 {
        user.confirm(id).await.expect_problem(409, "object-missing");
    }
    let again = user.post_empty(&format!("/v1/uploads/{id}/presign")).await;
    user.put(&again.expect(200), BYTES).await.expect(200);
    user.confirm(id).await.expect(200);
    service.attach(id, "42").await.expect(200);
    service.detach(id).await.expect(200);
    receiver.expect(3).await;
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let seen = loop {
        let seen = timeline(&ops, id).await;
        let delivered = kinds(&seen)
            .iter()
            .filter(|kind| *kind == "webhook")
            .count();
        if delivered == 3 {
            break seen;
        }
        assert!(std::time::Instant::now() < end, "{seen:?}");
    };
    let mut order = kinds(&seen);
    order.retain(|kind| kind != "webhook");
    let expected = [
        "created",
        "presigned",
        "seal",
        "represigned",
        "seal",
        "confirmed",
        "attached",
        "detached",
    ];
    assert_eq!(order, expected, "{seen:?}");
    // Three confirms before the PUT are one entry.
    let early = entry(&seen, "seal");
    assert_eq!(
        (&early["times"], &early["detail"]),
        (&json!(3), &json!("no object yet"))
    );
    assert_eq!(entry(&seen, "confirmed")["detail"], "by client");
    assert_eq!(entry(&seen, "attached")["detail"], "to Product/42");
    assert_eq!(
        entry(&seen, "webhook")["detail"],
        "event 1 delivered to shop"
    );
}

#[tokio::test]
async fn timeline_says_why_an_upload_was_rejected_and_is_bounded_under_polling() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let (user, ops) = (broker.user(), broker.ops());
    let absent = user.create(FIELD, BYTES, "image/jpeg").await;
    let lie = in_status(&test_env, &user, Status::Rejected).await;
    let rejected = timeline(&ops, &lie).await;
    let why = entry(&rejected, "rejected")["detail"].clone();
    assert!(
        why.as_str().is_some_and(|why| why.contains("bytes")),
        "{why}"
    );
    // Presigned and confirmed in turns, so that nothing repeats in a row.
    for _ in 0..40 {
        let path = format!("/v1/uploads/{}/presign", absent.id());
        user.post_empty(&path).await.expect(200);
        user.confirm(absent.id())
            .await
            .expect_problem(409, "object-missing");
    }
    let full = timeline(&ops, absent.id()).await;
    assert_eq!(kinds(&full).len(), 2 + 64 + 1);
    assert_eq!(entry(&full, "more")["times"], 16);
    user.delete(&format!("/v1/uploads/{}", absent.id()))
        .await
        .expect(204);
    let last = kinds(&timeline(&ops, absent.id()).await).pop();
    assert_eq!(last.as_deref(), Some("canceled"));
}

#[tokio::test]
async fn overview_counts_pending_uploads_and_outcomes() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let (user, ops) = (broker.user(), broker.ops());
    let nothing = ops.get("/v1/ops/overview").await.expect(200).json;
    assert_eq!(
        (&nothing["pending"]["count"], &nothing["fields"]),
        (&json!(0), &json!([]))
    );
    assert_eq!(nothing["broker"]["confirm"]["p99_secs"], Value::Null);
    user.upload(FIELD, BYTES, "image/jpeg").await.expect(200);
    in_status(&test_env, &user, Status::Rejected).await;
    for _ in 0..3 {
        user.create("ProductImage.image", BYTES, "image/jpeg")
            .await
            .expect(201);
    }
    overdue(&test_env, 60);
    for window in ["", "?window=1h", "?window=30d"] {
        let seen = ops
            .get(&format!("/v1/ops/overview{window}"))
            .await
            .expect(200)
            .json;
        let pending = &seen["pending"];
        assert_eq!(
            (&pending["count"], &pending["overdue"]),
            (&json!(3), &json!(3))
        );
        assert_eq!(pending["bytes"], 3 * BYTES.len());
        assert_eq!(pending["ages"][0]["count"], 3);
        let fields = seen["fields"].as_array().expect("fields");
        assert_eq!(fields.len(), 2, "{seen}");
        let product = fields.iter().find(|it| it["field"] == FIELD).expect("it");
        assert_eq!(
            (&product["created"], &product["confirmed"]),
            (&json!(2), &json!(1))
        );
        assert_eq!(
            (&product["rejected"], &product["pending"]),
            (&json!(1), &json!(0))
        );
        let sum = |name: &str| {
            let line = seen["series"][name].as_array().expect("a series");
            line.iter()
                .map(|it| it.as_u64().expect("a count"))
                .sum::<u64>()
        };
        let sums = ["created", "confirmed", "rejected", "expired"].map(sum);
        assert_eq!(sums, [5, 1, 1, 0], "{window}");
        let size = json!([{"reason": "size", "count": 1}]);
        let rejections = json!({"rejected": 1, "looked_at": 1, "reasons": size});
        assert_eq!(seen["rejections"], rejections);
        assert_eq!(seen["broker"]["confirm"]["count"], 1);
        let calls = seen["broker"]["store"].as_array().expect("calls");
        let copies = calls
            .iter()
            .find(|it| it["operation"] == "copy-object" && it["code"] == "ok");
        assert_eq!(copies.map(|it| &it["count"]), Some(&json!(2)), "{seen}");
        assert!(
            seen["sweeper_lag_secs"]
                .as_f64()
                .is_some_and(|lag| lag >= 59.0)
        );
    }
    for bad in ["59m", "31d", "x", ""] {
        let path = format!("/v1/ops/overview?window={bad}");
        ops.get(&path).await.expect_problem(400, "invalid-request");
    }
    let narrowed = sign_backend(&backend_token("ops").fields(&["Product.*"]));
    let narrowed = broker.anonymous().with_token(&narrowed);
    for path in ["/v1/ops/overview", "/v1/ops/overview?window=1h"] {
        narrowed
            .get(path)
            .await
            .expect_problem(403, "scope-insufficient");
    }
}

#[tokio::test]
async fn manual_sweep_settles_overdue_uploads_and_reports_counts() {
    let test_env = TestEnv::new().await;
    let broker = test_env
        .broker_with(json!({"sweeper": {"enabled": false}}))
        .await;
    let (user, ops) = (broker.user(), broker.ops());
    let there = user.stage(FIELD, BYTES, "image/jpeg").await;
    let absent = user.create(FIELD, BYTES, "image/jpeg").await;
    overdue(&test_env, 60);
    let swept = ops.post_empty("/v1/ops/sweep").await.expect(200).json;
    let kinds = swept["data"].as_array().expect("kinds");
    assert_eq!(kinds.len(), 6, "{swept}");
    assert!(kinds.iter().all(|it| it["more"] == false), "{swept}");
    assert_eq!(
        kinds[0],
        json!({"kind": "pending", "counts": {"found": 2, "confirmed": 1, "expired": 1}, "more": false, "error": null})
    );
    assert_eq!(user.read(there.id()).await.json["confirmed_by"], "sweeper");
    assert_eq!(user.read(absent.id()).await.json["status"], "expired");
    let seen = ops.get("/v1/ops/overview").await.expect(200).json;
    let sweeper = seen["sweeper"].as_array().expect("kinds");
    let pending = sweeper.iter().find(|it| it["kind"] == "pending");
    let pending = pending.expect("it");
    let numbers = ["done", "postponed", "failed"].map(|name| &pending[name]);
    assert_eq!(numbers, [&json!(2), &json!(0), &json!(0)]);
    assert!(pending["last_ended_at"].is_string());
}

#[tokio::test]
async fn dead_deliveries_are_replayed_by_endpoint_event_and_upload() {
    let test_env = TestEnv::new().await;
    let receiver = Receiver::answering(|_| Reply::Status(500)).await;
    let settings = webhooks(1, vec![receiver.endpoint("shop")]);
    let broker = test_env.broker_with(settings).await;
    let ops = broker.ops();
    let done = broker
        .user()
        .upload(FIELD, BYTES, "image/jpeg")
        .await
        .expect(200);
    let first = receiver.expect(1).await;
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while ops.get("/v1/ops/overview").await.json["webhooks"][0]["dead"] != 1 {
        assert!(std::time::Instant::now() < end, "the delivery is not dead");
    }
    let delivery = entry(&timeline(&ops, done.id()).await, "webhook");
    assert!(
        delivery["detail"]
            .as_str()
            .is_some_and(|it| it.contains("now dead")),
        "{delivery}"
    );
    receiver.now_answers(|_| Reply::Status(200));
    let replay = async |body: Value| ops.post("/v1/ops/webhooks/replay", &body).await;
    let dead = replay(json!({"endpoint": "shop", "dead": true}))
        .await
        .expect(200);
    assert_eq!(dead.json, json!({"replayed": 1}));
    receiver.expect(2).await;
    let event = replay(json!({"endpoint": "shop", "event": first[0].id()})).await;
    assert_eq!(event.expect(200).json, json!({"replayed": 1}));
    receiver.expect(3).await;
    let upload = replay(json!({"endpoint": "shop", "upload": done.id()})).await;
    assert_eq!(upload.expect(200).json, json!({"replayed": 1}));
    let all = receiver.expect(4).await;
    assert!(
        all.iter().all(|it| it.id() == first[0].id()),
        "one id for one event"
    );
    let history = timeline(&ops, done.id()).await;
    assert_eq!(
        entry(&history, "operator")["detail"],
        "replay to shop, by backends:shop"
    );
    for (body, word) in [
        (json!({"endpoint": "shop"}), "exactly one"),
        (
            json!({"endpoint": "shop", "dead": true, "event": first[0].id()}),
            "exactly one",
        ),
        (json!({"endpoint": "shop", "event": "evt_x"}), "evt_"),
        (json!({"endpoint": "shop", "upload": "x"}), "upl_"),
        (
            json!({"endpoint": "nobody", "dead": true}),
            "the endpoints are shop",
        ),
    ] {
        let refused = replay(body.clone())
            .await
            .expect_problem(400, "invalid-request");
        assert!(
            refused.json.to_string().contains(word),
            "{body}: {refused:?}"
        );
    }
}
