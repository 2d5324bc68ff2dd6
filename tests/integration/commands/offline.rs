//! Offline commands: the reasons and the acting operator that they show, and their exit codes.

use serde_json::{Value, json};

use crate::support::rows::Rows;
use crate::support::s3_proxy::S3Proxy;
use crate::support::s3_script::{Action, RequestMatch};
use crate::support::sweeps::{a_year_ago, overdue};
use crate::support::test_env::TestEnv;
use crate::support::upload_steps::{plant, staging_key};
use crate::support::webhook_receiver::{Receiver, webhooks};

use super::once::dev::PNG;
use super::uploads::Desk;

/// A desk before whose bucket stands a proxy.
pub(super) fn desk_behind_proxy(test_env: &TestEnv) -> (Desk, S3Proxy) {
    let proxy = S3Proxy::before(&test_env.bucket);
    let storage = json!({
        "endpoint": proxy.endpoint(), "attempt_timeout_ms": 300, "operation_timeout_ms": 700, "copy_base_ms": 500,
    });
    (Desk::with(test_env, json!({ "storage": storage })), proxy)
}

fn details(timeline: &Value, kind: &str) -> Vec<String> {
    let entries = timeline.as_array().expect("a list");
    let of_kind = entries.iter().filter(|entry| entry["kind"] == kind);
    of_kind
        .map(|entry| entry["detail"].as_str().expect("a text").to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn confirm_and_expire_exit_with_4_unless_every_upload_reaches_the_status() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let (desk, proxy) = desk_behind_proxy(&test_env);
    let user = broker.user();
    let there = user.stage("Product.image", PNG, "image/png").await;
    let unclear = user.create("Product.image", PNG, "image/png").await;
    desk.run(&["uploads", "confirm", there.id()]).expect(0);
    desk.run(&["uploads", "confirm", there.id()]).expect(0);
    let both = ["uploads", "confirm", there.id(), unclear.id()];
    let line = desk.run(&both).expect(4).stderr;
    assert!(line.contains("1 of 2 uploads: not confirmed"), "{line}");

    let expire = ["uploads", "expire", "--yes", unclear.id()];
    proxy.rule(RequestMatch::copy(), Action::Answer(403, "AccessDenied"));
    let outcome = desk.run(&expire).expect(4);
    assert!(
        outcome.stdout.contains("no clear answer"),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stderr.contains("1 of 1 uploads: still pending"));
    desk.run(&["uploads", "confirm", unclear.id()]).expect(4);
    proxy.clear();
    desk.run(&expire).expect(0);
    desk.run(&expire).expect(0);
    desk.run(&["uploads", "confirm", unclear.id()]).expect(4);
    // An unknown upload is an error of its own.
    let unknown = "upl_00000000000000000000000000";
    desk.run(&["uploads", "confirm", unclear.id(), unknown])
        .expect(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn show_prints_last_problem_and_timeline_with_operator() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let (desk, proxy) = desk_behind_proxy(&test_env);
    let (user, ops) = (broker.user(), broker.ops());
    let upload = user.create("Product.image", PNG, "image/png").await;
    let id = upload.id();
    ops.post_empty(&format!("/v1/uploads/{id}/recheck"))
        .await
        .expect(200);
    proxy.rule(RequestMatch::copy(), Action::Answer(403, "AccessDenied"));
    overdue(&test_env, 60);
    let swept = desk.run(&["sweep", "--once", "--kind", "pending"]);
    let log = swept.expect(1).stderr;
    assert!(log.contains("by") && log.contains("command-line"), "{log}");
    proxy.clear();
    let shown = desk.json(&["uploads", "show", id]);
    let problem = shown["last_problem"].as_str().expect("a problem");
    assert!(problem.contains("AccessDenied"), "{problem}");
    let listed = desk.json(&["uploads", "ls"]);
    assert_eq!(listed["data"][0]["last_problem"], shown["last_problem"]);

    let line = desk.run(&["uploads", "expire", "--yes", id]).expect(0);
    assert!(line.stderr.contains("command-line"), "{}", line.stderr);
    let shown = desk.json(&["uploads", "show", id]);
    let by = ["re-check, by backends:shop", "expire, by command-line"];
    assert_eq!(details(&shown["timeline"], "operator"), by);
    let told = desk.run(&["uploads", "show", id]).expect(0).stdout;
    let heads = ["\nAT ", "KIND", "DETAIL"];
    assert!(heads.iter().all(|head| told.contains(head)), "{told}");
    assert!(told.contains("last_problem") && told.contains(by[1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn timeline_names_operators_who_delete_or_replay_but_no_owners() {
    let test_env = TestEnv::new().await;
    let receiver = Receiver::start().await;
    let settings = webhooks(1, vec![receiver.endpoint("shop")]);
    let broker = test_env.broker_with(settings.clone()).await;
    let desk = Desk::with(&test_env, settings);
    let (user, service) = (broker.user(), broker.service());
    let acted = async |id: &str| {
        let path = format!("/v1/uploads/{id}/timeline");
        let told = broker.ops().get(&path).await.expect(200);
        details(&told.json["data"], "operator")
    };
    let own = user.upload("Product.image", PNG, "image/png").await;
    let by_service = user.upload("Product.image", PNG, "image/png").await;
    let canceled = user.upload("Product.image", PNG, "image/png").await;
    for (api, upload) in [(&user, &own), (&service, &by_service)] {
        let path = format!("/v1/uploads/{}", upload.id());
        api.delete(&path).await.expect(204);
        api.delete(&path).await.expect(204);
    }
    desk.run(&["uploads", "delete", "--yes", canceled.id()])
        .expect(0);
    assert!(acted(own.id()).await.is_empty());
    assert!(acted(by_service.id()).await.is_empty());
    let sql = format!(
        "SELECT id AS line FROM events WHERE seq = 1 AND upload_id = '{}'",
        own.id()
    );
    let event = Rows::of(&test_env).lines(&sql).remove(0);
    let replay = ["webhooks", "replay", "shop", "--event", &event];
    let log = desk.run(&replay).expect(0).stderr;
    assert!(
        log.contains("command-line") && log.contains(&event),
        "{log}"
    );
    let again = "replay to shop, by command-line";
    assert_eq!(acted(own.id()).await, [again]);
    assert_eq!(acted(canceled.id()).await, ["delete, by command-line"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_operators_see_the_last_problem_of_a_rejected_upload() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let (user, ops) = (broker.user(), broker.ops());
    let lie = user.create("Product.image", PNG, "image/png").await;
    plant(&test_env.bucket, lie.id(), b"not what was declared", None).await;
    user.confirm(lie.id())
        .await
        .expect_problem(422, "object-mismatch");
    let read = ops.read(lie.id()).await.json;
    let list = ops.get("/v1/uploads?status=rejected").await.json;
    let all: Vec<&str> = read["errors"]
        .as_array()
        .expect("differences")
        .iter()
        .map(|it| it["detail"].as_str().expect("a text"))
        .collect();
    assert_eq!(read["last_problem"], all.join("; "));
    assert_eq!(list["data"][0]["last_problem"], read["last_problem"]);
    assert_eq!(user.read(lie.id()).await.json.get("last_problem"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn offline_commands_do_not_need_server_settings() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let upload = broker
        .user()
        .create("Product.image", PNG, "image/png")
        .await;
    let change = json!({
        "server": {"listen": "0.0.0.0:0"}, "receipts": {"keys": []}, "auth": {"issuers": []},
    });
    let desk = Desk::with(&test_env, change);
    let line = desk.run(&["serve"]).expect(2).stderr;
    assert!(line.contains("public_url") && line.contains("receipts.keys"));
    let listed = desk.json(&["uploads", "ls"]);
    assert_eq!(listed["data"][0]["id"], upload.id());
    desk.run(&["sweep", "--once"]).expect(0);
    desk.run(&["fsck"]).expect(0);
    desk.run(&["webhooks", "ls"]).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_sweep_counts_all_pages_lists_one_batch_and_removes_nothing() {
    let test_env = TestEnv::new().await;
    drop(test_env.broker().await);
    let (desk, proxy) = desk_behind_proxy(&test_env);
    let key = |n: u8| {
        let id = bytepass::domain::ids::UploadId::new(chrono::Utc::now(), &[n; 10]);
        staging_key(&id.to_string())
    };
    for n in 0..23 {
        test_env.bucket.put(&key(n), PNG, "image/png").await;
    }
    test_env.bucket.put("staging/zz", PNG, "image/png").await;
    let sweep = ["sweep", "--once", "--kind", "staging", "--batch", "5"];
    let dry = [&sweep[..], &["--dry-run"]].concat();
    let young = desk.json(&dry);
    assert_eq!(young["kinds"][0]["counts"]["found"], 0, "{young}");
    a_year_ago(&proxy);
    let told = desk.json(&dry);
    let (counts, would) = (&told["kinds"][0]["counts"], &told["kinds"][0]["would"]);
    assert_eq!(
        (&counts["found"], &counts["foreign"]),
        (&json!(23), &json!(1))
    );
    assert_eq!(would.as_array().map(Vec::len), Some(5));
    assert_eq!(test_env.bucket.list("staging/").await.len(), 24);
    let done = desk.json(&sweep);
    assert_eq!(done["kinds"][0]["counts"]["removed"], 23, "{done}");
    assert_eq!(test_env.bucket.list("staging/").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_sweep_that_stops_counting_after_a_batch_reports_more() {
    let test_env = TestEnv::new().await;
    let (broker, desk) = (test_env.broker().await, Desk::of(&test_env));
    for _ in 0..4 {
        broker
            .user()
            .create("Product.image", PNG, "image/png")
            .await;
    }
    overdue(&test_env, 60);
    let dry = |batch: &'static str| {
        let sweep = ["sweep", "--once", "--dry-run", "--kind", "pending"];
        [&sweep[..], &["--batch", batch]].concat()
    };
    for (batch, found, more) in [("3", 3, true), ("4", 4, false), ("5", 4, false)] {
        let told = &desk.json(&dry(batch))["kinds"][0];
        assert_eq!(told["counts"]["found"], found, "{told}");
        assert_eq!(told["more"], more, "{told}");
        assert_eq!(told["would"].as_array().map(Vec::len), Some(found));
        let table = desk.run(&dry(batch)).expect(0).stdout;
        assert_eq!(table.contains("3+"), more, "{table}");
    }
}
