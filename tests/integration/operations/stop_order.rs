//! The order of a stop: not ready at once, then no new connections, then the exit; and a second signal ends it early.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::broker_process::{BrokerProcess, send_signal};
use crate::support::gate::RequestGate;
use crate::support::rows::Rows;
use crate::support::s3_proxy::S3Proxy;
use crate::support::s3_script::{Action, RequestMatch};
use crate::support::sweeps::overdue;
use crate::support::test_env::{TestEnv, sign_user, user_token};
use crate::support::upload_rows::{confirm_within, is_confirmed_once, is_retryable};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes of a picture";
const LIMIT: Duration = Duration::from_secs(20);

fn user_of(broker: &BrokerProcess) -> Api {
    Api::new(&broker.url, &sign_user(&user_token("1")))
}

fn nobody_of(broker: &BrokerProcess) -> Api {
    Api::anonymous(&broker.url)
}

async fn not_ready(broker: &BrokerProcess) {
    let (nobody, end) = (nobody_of(broker), Instant::now() + LIMIT);
    loop {
        let answer = nobody.get("/readyz").await;
        if answer.status != 200 {
            answer.expect_problem(503, "stopping");
            return;
        }
        assert!(Instant::now() < end, "it still says that it is ready");
    }
}

async fn ended(mut broker: BrokerProcess) -> (BrokerProcess, ExitStatus) {
    let wait = move || {
        let status = broker.wait();
        (broker, status)
    };
    tokio::task::spawn_blocking(wait).await.expect("it ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_answers_not_ready_at_once_and_serves_for_the_shutdown_delay() {
    let test_env = TestEnv::new().await;
    let delay = json!({"server": {"shutdown_delay_secs": 3, "shutdown_timeout_secs": 20}});
    let broker = test_env.process(delay, &[]);
    nobody_of(&broker).get("/readyz").await.expect(200);
    let told = Instant::now();
    broker.signal("TERM");
    not_ready(&broker).await;
    assert!(told.elapsed() < Duration::from_secs(2), "not at once");
    // On new connections, as from a load balancer that still sends requests here.
    let late = user_of(&broker);
    let confirmed = late.upload("Product.image", JPEG, "image/jpeg").await;
    is_confirmed_once(&test_env, &confirmed, JPEG).await;
    nobody_of(&broker).get("/livez").await.expect(200);

    let address: SocketAddr = broker.url["http://".len()..].parse().expect("an address");
    while TcpStream::connect(address).is_ok() {
        assert!(told.elapsed() < LIMIT, "it still takes connections");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(told.elapsed() >= Duration::from_secs(3), "too early");
    let (broker, status) = ended(broker).await;
    assert_eq!(status.code(), Some(0));
    // The client's open connection was idle, so the stop did not wait for it.
    assert!(
        told.elapsed() < Duration::from_secs(12),
        "{:?}",
        told.elapsed()
    );
    assert!(broker.log().contains("no longer ready"), "{}", broker.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn second_signal_ends_a_stop_at_once_and_loses_nothing() {
    let test_env = TestEnv::new().await;
    let proxy = S3Proxy::before(&test_env.bucket);
    for (delay, signal) in [(0, "TERM"), (60, "INT")] {
        let change = json!({
            "server": {"shutdown_delay_secs": delay, "shutdown_timeout_secs": 60},
            "storage": {
                "endpoint": proxy.endpoint(), "public_endpoint": test_env.bucket.server.endpoint,
                "copy_base_ms": 60_000,
            },
        });
        let broker = test_env.process(change, &[]);
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
        let log = broker.folder().join("stderr.log");
        let begun = Instant::now();
        while !std::fs::read_to_string(&log)
            .expect("a log")
            .contains("stopping")
        {
            assert!(begun.elapsed() < LIMIT, "it does not begin to stop");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        broker.signal(signal);
        let begun = Instant::now();
        let (broker, status) = ended(broker).await;
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
        assert_eq!(status.code(), Some(1), "it was cut short");
        assert!(broker.log().contains("second signal"), "{}", broker.log());
        // Cut off, or a retryable refusal: never a 500, never a guess.
        if let Some(answer) = confirm.await.expect("no panic") {
            is_retryable(&Answer::read(answer).await);
        }
        hold.release();
        let broker = broker.restart();
        let confirmed = confirm_within(&user_of(&broker), staged.id(), LIMIT).await;
        is_confirmed_once(&test_env, &confirmed, JPEG).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_are_released_when_a_stop_begins_and_a_second_broker_sweeps() {
    let test_env = TestEnv::new().await;
    let change = |delay: u32| {
        json!({
            "server": {"shutdown_delay_secs": delay},
            "sweeper": {"enabled": true, "interval_secs": 1, "lease_secs": 3600},
        })
    };
    let first = test_env.process(change(60), &[]);
    let rows = Rows::of(&test_env);
    let holders =
        || rows.lines("SELECT DISTINCT holder AS line FROM leases WHERE name LIKE 'sweep-%'");
    let begun = Instant::now();
    while holders().len() != 1 {
        assert!(begun.elapsed() < LIMIT, "the first has the turns");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let theirs = holders();
    let second = test_env.process(change(0), &[]);
    first.signal("TERM");
    not_ready(&first).await;
    let user = user_of(&first);
    let staged = user.stage("Product.image", JPEG, "image/jpeg").await;
    overdue(&test_env, 5);
    let begun = Instant::now();
    loop {
        let read = user_of(&second).read(staged.id()).await.expect(200);
        if read.json["status"] == "confirmed" {
            assert_eq!(read.json["confirmed_by"], "sweeper");
            break;
        }
        assert!(begun.elapsed() < LIMIT, "nobody sweeps: {}", read.text);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!holders().iter().any(|holder| theirs.contains(holder)));
}

/// A `serve` whose database accepts connections and sends nothing.
fn serve_on_a_silent_database(
    test_env: &TestEnv,
    database: SocketAddr,
) -> (Child, tempfile::TempDir) {
    let url = format!("postgres://somebody@{database}/nothing");
    let settings: Value = test_env.settings(json!({"database": {"url": url}}));
    let folder = tempfile::tempdir().expect("a folder");
    let toml = toml::to_string(&settings).expect("TOML");
    std::fs::write(folder.path().join("b.toml"), toml).expect("a file");
    let child = Command::new(env!("CARGO_BIN_EXE_bytepass"))
        .args(["serve", "--config", "b.toml"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    (child.expect("it starts"), folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn broker_waiting_for_its_database_can_be_stopped() {
    let test_env = TestEnv::new().await;
    let database = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = database.local_addr().expect("an address");
    let (mut child, _folder) = serve_on_a_silent_database(&test_env, address);
    let waited = tokio::task::spawn_blocking(move || {
        let _held = database.accept().expect("the broker calls");
        send_signal(&child, "TERM");
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("it is ours") {
                return Some((status, begun.elapsed()));
            }
            if begun.elapsed() > LIMIT {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let (status, took) = waited.await.expect("no panic").expect("it ends");
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(3), "{took:?}");
}
