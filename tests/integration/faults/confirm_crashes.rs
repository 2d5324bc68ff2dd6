//! A broker is killed between each two steps of a confirm, and another one starts on the same data. The repeated confirm succeeds
//! with one record, one event and the right object; the unfinished copy is in a seal attempt.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::broker_process::BrokerProcess;
use crate::support::fault_proxy::Mode;
use crate::support::gate::RequestGate;
use crate::support::postgres_proxy::{PostgresProxy, StatementFault, Trigger};
use crate::support::s3_proxy::S3Proxy;
use crate::support::s3_script::{Action, RequestMatch};
use crate::support::test_env::{TestEnv, sign_user, user_token};
use crate::support::upload_rows::{StoredUploads, confirm_within, is_confirmed_once};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes of a picture";
const RECOVERED: Duration = Duration::from_secs(15);

fn user_of(broker: &BrokerProcess) -> Api {
    Api::new(&broker.url, &sign_user(&user_token("1")))
}

/// Sends a request and ignores its answer.
fn doomed(request: reqwest::RequestBuilder) -> tokio::task::JoinHandle<bool> {
    tokio::spawn(async move { request.send().await.is_ok() })
}

fn confirm_of(user: &Api, id: &str) -> reqwest::RequestBuilder {
    user.request(reqwest::Method::POST, &format!("/v1/uploads/{id}/confirm"))
}

/// Repeats the killed confirm at a fresh process; returns its answer.
async fn recovered(test_env: &TestEnv, broker: &BrokerProcess, id: &str) -> Answer {
    let confirmed = confirm_within(&user_of(broker), id, RECOVERED).await;
    is_confirmed_once(test_env, &confirmed, JPEG).await;
    confirmed
}

/// Every object below this prefix belongs to a seal attempt, so the sweeper knows everything that a dead broker left.
async fn no_object_is_unknown(test_env: &TestEnv, ids: &[String]) {
    let mut records = StoredUploads::of(&test_env.database);
    let known: Vec<String> = ids
        .iter()
        .flat_map(|id| records.attempts(id))
        .map(|attempt| attempt.object_key)
        .collect();
    for key in test_env.bucket.list("media/").await.keys() {
        assert!(known.contains(key), "no attempt knows {key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn confirm_killed_around_a_bucket_request_is_finished_by_another_broker() {
    let test_env = TestEnv::new().await;
    let proxy = S3Proxy::before(&test_env.bucket);
    let storage =
        json!({"endpoint": proxy.endpoint(), "public_endpoint": test_env.bucket.server.endpoint});
    let mut broker = test_env.process(json!({ "storage": storage }), &[]);
    let heads = || RequestMatch::head().below("media/").times(1);
    type Gate = fn(RequestGate) -> Action;
    let steps: [(&str, RequestMatch, Gate); 4] = [
        (
            "before the copy",
            RequestMatch::copy().times(1),
            Action::HoldBefore,
        ),
        (
            "after the copy",
            RequestMatch::copy().times(1),
            Action::HoldAnswer,
        ),
        ("before the head", heads(), Action::HoldBefore),
        ("after the head", heads(), Action::HoldAnswer),
    ];
    let mut ids = Vec::new();
    // Once the dead broker's request reaches the store before the retry, once long after it.
    for late in [false, true] {
        for (step, which, gate) in steps.clone() {
            let user = user_of(&broker);
            let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
            let hold = RequestGate::new();
            proxy.rule(which, gate(hold.clone()));
            let confirm = doomed(confirm_of(&user, staged.id()));
            hold.arrived().await;
            broker.kill();
            assert!(!confirm.await.expect("no panic"), "{step}: answered");
            StoredUploads::of(&test_env.database).untouched(staged.id());
            if !late {
                hold.release();
            }
            broker = broker.restart();
            let confirmed = recovered(&test_env, &broker, staged.id()).await;
            if late {
                hold.release();
            }
            let again = user_of(&broker).confirm(staged.id()).await.expect(200);
            assert_eq!(again.upload(), confirmed.upload(), "{step}");
            is_confirmed_once(&test_env, &again, JPEG).await;
            let attempts = StoredUploads::of(&test_env.database).attempts(staged.id());
            assert_eq!((attempts.len(), attempts[0].state.as_str()), (2, "open"));
            ids.push(staged.id().to_owned());
        }
    }
    no_object_is_unknown(&test_env, &ids).await;
}

/// The outcome of a commit whose sender was killed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    /// The server never sees it, and rolls back.
    Lost,
    /// It was on its way, and arrives.
    Late,
    /// The commit was done; only its answer was lost.
    Done,
}

const FATES: [Fate; 3] = [Fate::Lost, Fate::Late, Fate::Done];

/// Kills the broker at its `nth` commit from now on, during this request; returns its successor.
async fn killed_at_commit(
    mut broker: BrokerProcess,
    proxy: &PostgresProxy,
    (nth, fate): (usize, Fate),
    request: reqwest::RequestBuilder,
) -> BrokerProcess {
    let hold = RequestGate::new();
    let act = match fate {
        Fate::Lost | Fate::Late => StatementFault::HoldBefore(hold.clone()),
        Fate::Done => StatementFault::HoldAnswer(hold.clone()),
    };
    proxy.rule(Trigger::Commit, nth, act);
    let request = doomed(request);
    hold.arrived().await;
    broker.kill();
    assert!(!request.await.expect("no panic"), "{fate:?}: answered");
    if fate == Fate::Lost {
        // Before the gate opens, so that the commit never gets through.
        proxy.network.set(Mode::Reset);
        proxy.network.heal();
    }
    hold.release();
    assert!(proxy.clear());
    broker.restart()
}

/// A broker behind a Postgres proxy; `None` on SQLite.
fn behind_proxy(test_env: &TestEnv) -> Option<(PostgresProxy, Value)> {
    let database = test_env.database.needs_postgres()?;
    let proxy = PostgresProxy::start(database.server());
    let url = database.url_through(proxy.network.address());
    Some((proxy, json!({ "database": { "url": url } })))
}

#[tokio::test(flavor = "multi_thread")]
async fn confirm_killed_around_a_commit_is_finished_by_another_broker() {
    let test_env = TestEnv::new().await;
    let Some((proxy, change)) = behind_proxy(&test_env) else {
        return;
    };
    let mut broker = test_env.process(change, &[]);
    let mut ids = Vec::new();
    for (nth, commit) in [(1, "attempt"), (2, "record")] {
        for fate in FATES {
            let user = user_of(&broker);
            let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
            let request = confirm_of(&user, staged.id());
            broker = killed_at_commit(broker, &proxy, (nth, fate), request).await;
            recovered(&test_env, &broker, staged.id()).await;
            let made = StoredUploads::of(&test_env.database)
                .attempts(staged.id())
                .len();
            let expected = match (commit, fate) {
                ("attempt", Fate::Lost) => 1..=1,
                // The dead broker may have recorded it: then the retry finds it and makes no copy.
                ("record", Fate::Done) => 1..=1,
                _ => 1..=2,
            };
            assert!(expected.contains(&made), "{commit} {fate:?}: {made}");
            ids.push(staged.id().to_owned());
        }
    }
    no_object_is_unknown(&test_env, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn create_killed_around_its_commit_leaves_a_pending_row_or_none() {
    let test_env = TestEnv::new().await;
    let Some((proxy, change)) = behind_proxy(&test_env) else {
        return;
    };
    let mut broker = test_env.process(change, &[]);
    for fate in FATES {
        let user = user_of(&broker);
        let before = StoredUploads::of(&test_env.database).uploads().len();
        let body = json!({"field": "Product.image", "filename": "a.jpg", "content_type": "image/jpeg", "size": JPEG.len()});
        let request = user
            .request(reqwest::Method::POST, "/v1/uploads")
            .json(&body);
        broker = killed_at_commit(broker, &proxy, (1, fate), request).await;
        let staged = user_of(&broker)
            .stage("Product.image", JPEG, "image/jpeg")
            .await;
        let mut records = StoredUploads::of(&test_env.database);
        let orphans = records.uploads().len() - before - 1;
        let expected = match fate {
            Fate::Lost => 0..=0,
            Fate::Late => 0..=1,
            Fate::Done => 1..=1,
        };
        assert!(expected.contains(&orphans), "{fate:?}: {orphans}");
        for row in records.uploads().iter().filter(|row| row.id != staged.id()) {
            assert!(["pending", "confirmed"].contains(&row.status.as_str()));
        }
        recovered(&test_env, &broker, staged.id()).await;
    }
}
