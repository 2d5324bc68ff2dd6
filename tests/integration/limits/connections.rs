//! The limit of connections for each address: one client can't use up the connections of the others.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::json;
use tokio::task::block_in_place;

use crate::support::broker_process::BrokerProcess;
use crate::support::statuses::BYTES;
use crate::support::test_env::{TestEnv, sign_user, user_token};

const LIVEZ: &[u8] = b"GET /livez HTTP/1.1\r\nhost: broker\r\n\r\n";
const LIMIT: Duration = Duration::from_secs(20);

/// A client of another address than the tests' own.
fn elsewhere() -> Client {
    let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    let builder = Client::builder().no_proxy().timeout(LIMIT);
    builder.local_address(address).build().expect("a client")
}

fn address_of(url: &str) -> SocketAddr {
    url["http://".len()..].parse().expect("an address")
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(LIMIT)).expect("a setting");
    stream
}

/// Whether a request on this connection is answered; false if it is closed instead.
fn is_served(stream: &mut TcpStream) -> bool {
    let (mut answer, mut byte) = (Vec::new(), [0]);
    let mut read = stream.write_all(LIVEZ);
    while read.is_ok() && !answer.ends_with(b"}") {
        read = stream.read_exact(&mut byte);
        answer.push(byte[0]);
    }
    match read {
        Ok(()) => answer.starts_with(b"HTTP/1.1 200"),
        Err(error) => {
            let waited = error.kind() == std::io::ErrorKind::WouldBlock;
            assert!(!waited, "neither answered nor closed");
            false
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_above_the_limit_of_an_address_is_closed_at_once() {
    let test_env = TestEnv::new().await;
    let change = json!({"limits": {"connections_per_address": 20}});
    let broker = test_env.broker_with(change).await;
    let address = address_of(&broker.url);
    let mut open: Vec<TcpStream> = (0..20).map(|_| connect(address)).collect();
    assert!(block_in_place(|| open.iter_mut().all(is_served)));
    for _ in 0..5 {
        let begun = Instant::now();
        assert!(!block_in_place(|| is_served(&mut connect(address))));
        assert!(begun.elapsed() < Duration::from_secs(2), "not at once");
    }
    let theirs = elsewhere().get(format!("{}/livez", broker.url));
    assert_eq!(theirs.send().await.expect("an answer").status(), 200);
    assert!(block_in_place(|| open.iter_mut().all(is_served)));
    open.truncate(19);
    let begun = Instant::now();
    while !block_in_place(|| is_served(&mut connect(address))) {
        assert!(begun.elapsed() < LIMIT, "the place is not given back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_slow_connections_at_1024_open_files_leave_room_for_other_clients() {
    let allowed = rlimit::increase_nofile_limit(8_192).expect("a limit");
    assert!(allowed >= 4_096, "this test opens 2,000 connections");
    let test_env = TestEnv::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let binary = folder.path().join("bytepass");
    let program = env!("CARGO_BIN_EXE_bytepass");
    let script = format!("#!/bin/sh\nulimit -n 1024\nexec '{program}' \"$@\"\n");
    std::fs::write(&binary, script).expect("a file");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&binary, executable).expect("it is ours");
    let mut settings = test_env.settings(json!({
        "limits": {"connections_per_address": 1000},
        "server": {"header_timeout_ms": 60_000},
    }));
    let write = |listen: SocketAddr| {
        settings["server"]["listen"] = json!(listen.to_string());
        toml::to_string(&settings).expect("TOML")
    };
    let broker = block_in_place(|| BrokerProcess::serve_by(&binary, write, &[]));
    let address = address_of(&broker.url);
    let mut slow = Vec::new();
    for _ in 0..2_000 {
        let mut stream = connect(address);
        // Refused connections may already be closed.
        let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nhost: bro");
        slow.push(stream);
    }
    let (client, token) = (elsewhere(), sign_user(&user_token("1")));
    let mut longest = Duration::ZERO;
    for _ in 0..50 {
        let begun = Instant::now();
        let create = client
            .post(format!("{}/v1/uploads", broker.url))
            .bearer_auth(&token)
            .json(&json!({
                "field": "Product.image", "filename": "a.jpg", "content_type": "image/jpeg", "size": BYTES.len(),
            }));
        assert_eq!(create.send().await.expect("an answer").status(), 201);
        let ready = client.get(format!("{}/readyz", broker.url)).send();
        assert_eq!(ready.await.expect("an answer").status(), 200);
        longest = longest.max(begun.elapsed());
    }
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    let files = std::fs::read_dir(format!("/proc/{}/fd", broker.pid()));
    let files = files.expect("it lives").count();
    assert!((300..1_000).contains(&files), "{files}");
    drop(slow);
    let log = block_in_place(|| broker.log());
    let warnings = log.lines().filter(|line| line.contains("WARN"));
    let warnings: Vec<&str> = warnings.collect();
    let about = |what: &str| warnings.iter().filter(|line| line.contains(what)).count();
    assert_eq!(
        about("the limit on open files is too low for server.max_connections"),
        1,
        "{warnings:?}"
    );
    assert_eq!(
        about("address has reached its connection limit"),
        1,
        "{warnings:?}"
    );
}
