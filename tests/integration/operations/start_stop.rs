//! Brokers start at once on an empty database, stop while they work, and continue the work of a stopped one.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::broker_process::BrokerProcess;
use crate::support::fault_proxy::Mode;
use crate::support::gate::RequestGate;
use crate::support::postgres_proxy::{PostgresProxy, StatementFault, Trigger};
use crate::support::s3_proxy::S3Proxy;
use crate::support::s3_script::{Action, RequestMatch};
use crate::support::test_env::{TestEnv, sign_user, user_token};
use crate::support::upload_rows::{confirm_within, is_confirmed_once, is_retryable};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes of a picture";

fn user_of(broker: &BrokerProcess) -> Api {
    Api::new(&broker.url, &sign_user(&user_token("1")))
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_starting_at_once_on_an_empty_database_share_it() {
    let test_env = TestEnv::new().await;
    let starts = (0..4).map(|_| test_env.broker());
    let brokers = futures::future::join_all(starts).await;
    for (nth, broker) in brokers.iter().enumerate() {
        broker.anonymous().get("/readyz").await.expect(200);
        let staged = broker
            .user()
            .stage("Product.image", JPEG, "image/jpeg")
            .await;
        let other = &brokers[(nth + 1) % brokers.len()];
        let confirmed = other.user().confirm(staged.id()).await.expect(200);
        is_confirmed_once(&test_env, &confirmed, JPEG).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_starting_at_once_on_an_empty_database_all_start() {
    let test_env = TestEnv::new().await;
    let brokers: Vec<BrokerProcess> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| test_env.process(json!({}), &[])))
            .collect();
        starts
            .into_iter()
            .map(|start| start.join().expect("it starts"))
            .collect()
    });
    for broker in &brokers {
        let confirmed = user_of(broker)
            .upload("Product.image", JPEG, "image/jpeg")
            .await;
        is_confirmed_once(&test_env, &confirmed, JPEG).await;
    }
}

fn behind(
    test_env: &TestEnv,
    proxy: &S3Proxy,
    shutdown_timeout_secs: u32,
    copy_base_ms: u32,
) -> Value {
    json!({
        "server": {"shutdown_timeout_secs": shutdown_timeout_secs},
        "storage": {
            "endpoint": proxy.endpoint(), "public_endpoint": test_env.bucket.server.endpoint,
            "copy_base_ms": copy_base_ms,
        },
    })
}

/// Waits until the port refuses connections: the broker has begun to stop.
async fn closed(url: &str) {
    let address: SocketAddr = url
        .trim_start_matches("http://")
        .parse()
        .expect("an address");
    let end = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < end, "it still takes connections");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn ended(mut broker: BrokerProcess) -> (BrokerProcess, std::process::ExitStatus, Duration) {
    let wait = move || {
        let began = Instant::now();
        let status = broker.wait();
        (broker, status, began.elapsed())
    };
    tokio::task::spawn_blocking(wait).await.expect("it ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn confirm_in_flight_is_answered_during_a_stop() {
    let test_env = TestEnv::new().await;
    let proxy = S3Proxy::before(&test_env.bucket);
    let broker = test_env.process(behind(&test_env, &proxy, 20, 20_000), &[]);
    let other = test_env.process(behind(&test_env, &proxy, 20, 20_000), &[]);
    let user = user_of(&broker);
    let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
    let hold = RequestGate::new();
    proxy.rule(
        RequestMatch::copy().times(1),
        Action::HoldAnswer(hold.clone()),
    );
    let (waiting, id) = (user.clone(), staged.id().to_owned());
    let confirm = tokio::spawn(async move { waiting.confirm(&id).await });
    hold.arrived().await;
    broker.signal("TERM");
    closed(&broker.url).await;
    // Another broker serves new requests.
    user_of(&other)
        .upload("Product.image", JPEG, "image/jpeg")
        .await;
    assert!(!confirm.is_finished());
    hold.release();
    let confirmed: Answer = confirm.await.expect("no panic").expect(200);
    is_confirmed_once(&test_env, &confirmed, JPEG).await;
    let (_broker, status, _) = ended(broker).await;
    assert_eq!(status.code(), Some(0));
    let again = user_of(&other).confirm(staged.id()).await.expect(200);
    assert_eq!(again.json["key"], confirmed.json["key"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_ends_within_its_time_limit_and_another_broker_continues() {
    let test_env = TestEnv::new().await;
    let proxy = S3Proxy::before(&test_env.bucket);
    let broker = test_env.process(behind(&test_env, &proxy, 1, 60_000), &[]);
    let user = user_of(&broker);
    let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
    let hold = RequestGate::new();
    proxy.rule(
        RequestMatch::copy().times(1),
        Action::HoldAnswer(hold.clone()),
    );
    let path = format!("/v1/uploads/{}/confirm", staged.id());
    let request = user.request(reqwest::Method::POST, &path);
    let confirm = tokio::spawn(async move { request.send().await.ok() });
    hold.arrived().await;
    broker.signal("TERM");
    let (broker, status, took) = ended(broker).await;
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert_eq!((status.code(), status.signal()), (Some(0), None));
    // Cut off, or a retryable refusal: never a 500, never a guess.
    if let Some(answer) = confirm.await.expect("no panic") {
        is_retryable(&Answer::read(answer).await);
    }
    hold.release();
    let broker = broker.restart();
    let confirmed = confirm_within(&user_of(&broker), staged.id(), Duration::from_secs(15)).await;
    is_confirmed_once(&test_env, &confirmed, JPEG).await;
}

/// A broker behind a Postgres proxy, with a shutdown timeout of a second; `None` on SQLite.
fn behind_postgres(test_env: &TestEnv) -> Option<(PostgresProxy, BrokerProcess)> {
    let database = test_env.database.needs_postgres()?;
    let proxy = PostgresProxy::start(database.server());
    let url = database.url_through(proxy.network.address());
    let change = json!({
        "server": {"shutdown_timeout_secs": 1},
        "database": {"url": url, "read_wait_ms": 500, "write_wait_ms": 1000},
    });
    let broker = test_env.process(change, &[]);
    Some((proxy, broker))
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_ends_with_a_silent_database() {
    let test_env = TestEnv::new().await;
    let Some((proxy, broker)) = behind_postgres(&test_env) else {
        return;
    };
    let user = user_of(&broker);
    let created = user
        .create("Product.image", JPEG, "image/jpeg")
        .await
        .expect(201);
    proxy.network.set(Mode::BlackHole);
    user.read(created.id())
        .await
        .expect_problem(503, "database-unavailable");
    user.create("Product.image", JPEG, "image/jpeg")
        .await
        .expect_problem(503, "database-unavailable");
    broker.signal("TERM");
    let (_broker, status, took) = ended(broker).await;
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_does_not_wait_for_a_query_whose_caller_hung_up() {
    let test_env = TestEnv::new().await;
    let Some((proxy, broker)) = behind_postgres(&test_env) else {
        return;
    };
    let user = user_of(&broker);
    let confirmed = user.upload("Product.image", JPEG, "image/jpeg").await;
    // The removal reads which copies to remove, and outlives its caller.
    let hold = RequestGate::new();
    proxy.rule(
        Trigger::Statement("seal_attempts"),
        1,
        StatementFault::HoldAnswer(hold.clone()),
    );
    let path = format!("/v1/uploads/{}", confirmed.id());
    user.delete(&path).await.expect(204);
    hold.arrived().await;
    broker.signal("TERM");
    let (_broker, status, took) = ended(broker).await;
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert_eq!(status.code(), Some(0));
    hold.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_probes_ask_the_bucket_once_a_second_and_report_an_outage_within_one() {
    let test_env = TestEnv::new().await;
    let proxy = S3Proxy::before(&test_env.bucket);
    let storage = json!({"endpoint": proxy.endpoint(), "attempt_timeout_ms": 300, "operation_timeout_ms": 700});
    let broker = test_env.broker_with(json!({ "storage": storage })).await;
    let nobody = broker.anonymous();
    let (began, before) = (Instant::now(), proxy.seen().len());
    let mut probes = 0;
    while began.elapsed() < Duration::from_millis(2_500) {
        let answers = futures::future::join_all((0..20).map(|_| nobody.get("/readyz"))).await;
        for answer in answers {
            answer.expect(200);
            probes += 1;
        }
    }
    let (asked, most) = (
        proxy.seen().len() - before,
        began.elapsed().as_secs() as usize + 1,
    );
    assert!(
        probes > 100 && asked <= most,
        "{probes} probes asked {asked} times"
    );
    // A second, the time limit of the bucket's answer, and a margin for a busy machine.
    let soon = Duration::from_millis(1_000 + 700 + 1_500);
    for (status, code) in [(503, "store-unavailable"), (200, "")] {
        proxy.clear();
        if status == 503 {
            proxy.rule(RequestMatch::any(), Action::Answer(403, "AccessDenied"));
        }
        let changed = Instant::now();
        loop {
            let answer = nobody.get("/readyz").await;
            if answer.status == status {
                assert_eq!(answer.code(), code);
                break;
            }
            assert!(changed.elapsed() < soon, "still {}", answer.text);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
