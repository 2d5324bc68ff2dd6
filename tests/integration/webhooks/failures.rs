//! Endpoints that fail, answer 410 or are hostile: which deliveries wait, which continue, and what an operator can do.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::command::{Outcome, bytepass};
use crate::support::rows::Rows;
use crate::support::test_env::TestEnv;
use crate::support::webhook_receiver::{Received, Receiver, Reply, SECRET, impatient, webhooks};

const JPEG: &[u8] = b"a picture";

/// One event of an upload of its own.
async fn cancel_one(user: &Api) -> String {
    let created = user
        .create("Product.image", JPEG, "image/jpeg")
        .await
        .expect(201);
    let id = created.id().to_owned();
    user.delete(&format!("/v1/uploads/{id}")).await.expect(204);
    id
}

/// Two events of one upload.
async fn confirm_and_delete(user: &Api) -> String {
    let confirmed = user.upload("Product.image", JPEG, "image/jpeg").await;
    let id = confirmed.id().to_owned();
    user.delete(&format!("/v1/uploads/{id}")).await.expect(204);
    id
}

/// The lines of a query, once they satisfy the condition.
async fn until(test_env: &TestEnv, sql: &str, expected: &[&str]) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let lines = Rows::of(test_env).lines(sql);
        if lines == expected {
            return;
        }
        assert!(Instant::now() < end, "{sql}: {lines:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn command(folder: &Path, arguments: &[&str]) -> Outcome {
    let arguments = [&["webhooks"], arguments, &["--config", "bytepass.toml"]].concat();
    bytepass(folder, &arguments, &[])
}

fn printed(folder: &Path, arguments: &[&str]) -> Value {
    let outcome = command(folder, &[arguments, &["-o", "json"]].concat()).expect(0);
    serde_json::from_str(&outcome.stdout).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_delivery_delays_later_events_of_its_upload_only() {
    let (test_env, receiver) = (TestEnv::new().await, Receiver::start().await);
    let broker = test_env
        .broker_with(webhooks(30, vec![receiver.endpoint("shop")]))
        .await;
    let user = broker.user();
    let held = user.stage("Product.image", JPEG, "image/jpeg").await;
    let (id, open) = (held.id().to_owned(), Arc::new(AtomicBool::new(false)));
    let (refused, gate) = (id.clone(), open.clone());
    receiver.now_answers(
        move |it| match it.upload() == refused && !gate.load(Ordering::SeqCst) {
            true => {
                Reply::Raw("HTTP/1.1 500 X\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n".into())
            }
            false => Reply::Status(200),
        },
    );
    user.confirm(&id).await.expect(200);
    receiver.expect(1).await;
    user.delete(&format!("/v1/uploads/{id}")).await.expect(204);
    let other = confirm_and_delete(&user).await;
    let count = |all: &[Received], id: &str| all.iter().filter(|it| it.upload() == id).count();
    let all = receiver.until(|all| count(all, &other) == 2).await;
    let own: Vec<_> = all.iter().filter(|it| it.upload() == id).collect();
    assert!(own.iter().all(|it| it.seq() == 1), "the later one overtook");
    open.store(true, Ordering::SeqCst);
    let all = receiver
        .until(|all| all.iter().any(|it| it.upload() == id && it.seq() == 2))
        .await;
    let own: Vec<_> = all
        .iter()
        .filter(|it| it.upload() == id)
        .map(|it| (it.seq(), it.answered))
        .collect();
    let end = &own[own.len() - 2..];
    assert_eq!(end, [(1, 200), (2, 200)], "{own:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_delivery_is_listed_unblocks_later_ones_and_can_be_replayed() {
    let (test_env, receiver) = (
        TestEnv::new().await,
        Receiver::answering(|_| Reply::Status(500)).await,
    );
    let change = webhooks(2, vec![receiver.endpoint("shop")]);
    let folder = test_env.configured(change.clone());
    let broker = test_env.broker_with(change).await;
    let id = confirm_and_delete(&broker.user()).await;
    let states = "SELECT CAST(seq AS text) || ' ' || state || ' ' || CAST(attempts AS text) AS line FROM deliveries ORDER BY seq";
    until(&test_env, states, &["1 dead 2", "2 dead 2"]).await;
    let seqs: Vec<i64> = receiver.received().iter().map(Received::seq).collect();
    assert_eq!(seqs, [1, 1, 2, 2]);

    let shown = printed(folder.path(), &["ls"]);
    assert_eq!(shown["endpoints"][0]["dead"], 2);
    let newest = &shown["deliveries"][0];
    assert_eq!(
        (&newest["upload_id"], &newest["state"]),
        (&json!(id), &json!("dead"))
    );
    assert_eq!(
        (&newest["last_status"], &newest["last_error"]),
        (&json!(500), &json!("status 500"))
    );
    assert_eq!(newest["next_at"], Value::Null);
    let table = command(
        folder.path(),
        &["ls", "--endpoint", "shop", "--state", "dead"],
    )
    .expect(0)
    .stdout;
    assert!(
        table.contains("upload.deleted") && table.contains("status 500"),
        "{table}"
    );

    receiver.now_answers(|_| Reply::Status(200));
    assert_eq!(printed(folder.path(), &["replay", "shop"])["replayed"], 2);
    let all = receiver.expect(6).await;
    let again: Vec<(i64, &str)> = all[4..]
        .iter()
        .map(|it| (it.seq(), it.body.as_str()))
        .collect();
    assert_eq!(
        again,
        [(1, all[0].body.as_str()), (2, all[2].body.as_str())]
    );
    until(&test_env, states, &["1 delivered 1", "2 delivered 1"]).await;
    // One that has arrived is sent again only when it is named.
    assert_eq!(printed(folder.path(), &["replay", "shop"])["replayed"], 0);
    let event = all[0].id();
    assert_eq!(
        printed(folder.path(), &["replay", "shop", "--event", event])["replayed"],
        1
    );
    assert_eq!(receiver.expect(7).await[6].id(), event);
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoint_that_answers_410_is_disabled_until_enabled_again() {
    let (test_env, receiver) = (
        TestEnv::new().await,
        Receiver::answering(|_| Reply::Status(410)).await,
    );
    let mut endpoint = receiver.endpoint("shop");
    endpoint["concurrency"] = json!(1);
    let change = webhooks(5, vec![endpoint]);
    let folder = test_env.configured(change.clone());
    let broker = test_env.broker_with(change).await;
    cancel_one(&broker.user()).await;
    until(
        &test_env,
        "SELECT endpoint AS line FROM disabled_endpoints",
        &["shop"],
    )
    .await;
    cancel_one(&broker.user()).await;
    // The worker looks for due deliveries twice.
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    assert_eq!(receiver.received().len(), 1, "it was called again");
    let shown = printed(folder.path(), &["ls"]);
    assert_eq!(shown["endpoints"][0]["pending"], 2);
    assert_eq!(
        shown["endpoints"][0]["disabled"]["reason"],
        "it answered 410 Gone"
    );

    receiver.now_answers(|_| Reply::Status(200));
    let line = command(folder.path(), &["replay", "shop"]).expect_line(1);
    assert!(line.contains("--enable"), "{line}");
    command(folder.path(), &["replay", "shop", "--enable"]).expect(0);
    receiver.expect(3).await;
    let done = "SELECT state AS line FROM deliveries";
    until(&test_env, done, &["delivered", "delivered"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_and_hostile_endpoints_delay_no_other() {
    let (test_env, honest) = (TestEnv::new().await, Receiver::start().await);
    let hanging = Receiver::answering(|_| Reply::Hang).await;
    let endless = Receiver::answering(|_| Reply::Endless).await;
    let mut endpoints = vec![
        honest.endpoint("honest"),
        hanging.endpoint("hanging"),
        endless.endpoint("endless"),
    ];
    for endpoint in &mut endpoints {
        endpoint["concurrency"] = json!(2);
    }
    let broker = test_env.broker_with(impatient(30, 2_000, endpoints)).await;
    let user = broker.user();
    cancel_one(&user).await;
    hanging.expect(1).await;
    let began = Instant::now();
    for _ in 0..20 {
        cancel_one(&user).await;
    }
    honest.expect(21).await;
    // Each call of the hanging endpoint takes two seconds, two at once: it is far behind when the other one has everything.
    let behind = hanging.received().len();
    assert!(
        behind < 21 || began.elapsed() > Duration::from_secs(18),
        "{behind}"
    );
    // What answers 200 has the event, however long its body is: 8 KiB of it are read.
    let arrived = "SELECT CAST(COUNT(*) AS text) AS line FROM deliveries WHERE endpoint = 'endless' AND state = 'delivered'";
    until(&test_env, arrived, &["21"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn target_that_resolves_to_this_machine_is_refused_at_connect() {
    let (test_env, canary) = (TestEnv::new().await, Receiver::start().await);
    let port = canary.url.split(':').nth(2).expect("a port");
    let url = format!("https://localhost:{port}");
    let endpoint = json!({"name": "inside", "url": url, "secrets": [SECRET]});
    let broker = test_env.broker_with(webhooks(2, vec![endpoint])).await;
    cancel_one(&broker.user()).await;
    let why = "SELECT state || ': ' || COALESCE(last_error, '') AS line FROM deliveries";
    let refused =
        "dead: the host has an address that may not be called (only public addresses are allowed)";
    until(&test_env, why, &[refused]).await;
    assert_eq!(canary.connections(), 0);
    for literal in [
        "https://127.0.0.1/",
        "https://[::ffff:10.0.0.1]/",
        "https://0x7f.1/",
    ] {
        let endpoint = json!({"name": "inside", "url": literal, "secrets": [SECRET]});
        let folder = test_env.configured(webhooks(2, vec![endpoint]));
        let outcome = bytepass(
            folder.path(),
            &["check-config", "--config", "bytepass.toml"],
            &[],
        )
        .expect(2);
        assert!(
            outcome.stderr.contains("only public addresses"),
            "{outcome:?}"
        );
        assert!(!outcome.stdout.contains(SECRET));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn test_event_is_delivered_to_an_endpoint_on_request() {
    let (test_env, receiver) = (TestEnv::new().await, Receiver::start().await);
    let change = webhooks(2, vec![receiver.endpoint("shop")]);
    // A broker creates the schema.
    drop(test_env.broker_with(change.clone()).await);
    let folder = test_env.configured(change);
    let said = command(folder.path(), &["test", "shop"]).expect(0).stdout;
    assert_eq!(said, "shop accepted the event (status 200)\n");
    let told = receiver.expect(1).await.remove(0);
    assert!(told.verifies(SECRET) && told.kind() == "bytepass.test");
    receiver.now_answers(|_| Reply::Status(401));
    let line = command(folder.path(), &["test", "shop"]).expect_line(1);
    assert!(line.contains("status 401"), "{line}");
    let line = command(folder.path(), &["test", "nobody"]).expect_line(2);
    assert!(
        line.contains("the webhook endpoint nobody does not exist; configured: shop"),
        "{line}"
    );
    let rows = Rows::of(&test_env).lines("SELECT event_id AS line FROM deliveries");
    assert!(rows.is_empty(), "a test was recorded");
    let line = command(folder.path(), &["replay", "shop", "--event", "evt_1"]).expect_line(2);
    assert!(line.contains("must be an event's id"), "{line}");
}
