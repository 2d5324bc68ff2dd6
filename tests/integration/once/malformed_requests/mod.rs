//! Requests that no HTTP client sends, against the real binary: each is refused or cut off without a 500, and the server keeps serving.

mod bodies;
mod heads;

use std::time::{Duration, Instant};

use crate::support::broker_process::BrokerProcess;
use crate::support::raw_http::{RawHttp, status_of};

/// Short deadlines, so that unfinished requests end soon.
const DEADLINES: [(&str, &str); 2] = [
    ("BYTEPASS_SERVER_HEADER_TIMEOUT_MS", "1500"),
    ("BYTEPASS_SERVER_BODY_TIMEOUT_MS", "1500"),
];
/// The allowed growth of a broker's memory by all cases, in KiB.
const MAX_GROWTH_KIB: u64 = 50 * 1024;

/// A request and its name.
type Case = (String, Vec<u8>);

fn token(broker: &BrokerProcess) -> String {
    let token = broker.ready["tokens"]["user"].as_str();
    token.expect("dev prints it").to_owned()
}

/// A POST of this body to `/v1/uploads` with these further header lines.
fn post(token: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /v1/uploads HTTP/1.1\r\nhost: b\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n{lines}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Resident memory of a process, KiB.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.expect("a resident size")
}

/// Sends each case on a connection of its own; each is a 4xx or a closed connection.
fn each_is_refused(broker: &BrokerProcess, cases: &[Case]) {
    let url = &broker.url;
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        while let Some((what, bytes)) =
            cases.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
        {
            let begun = Instant::now();
            let mut line = RawHttp::to(url);
            line.say(bytes);
            line.end();
            let answer = line.hear_all();
            let status = status_of(&answer);
            let refused = (400..500).contains(&status) || answer.is_empty();
            assert!(refused, "{what} was answered {answer:.600}");
            assert!(
                begun.elapsed() < Duration::from_secs(15),
                "{what}: too late"
            );
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(work);
        }
    });
}

#[test]
fn hostile_requests_are_refused_and_the_server_keeps_serving() {
    let broker = BrokerProcess::dev_with(&DEADLINES);
    let token = token(&broker);
    let cases = [bodies::cases(&token), heads::cases(&token)].concat();
    assert!(cases.len() >= 100, "only {}", cases.len());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (user, ops) = (broker.api("user"), broker.api("ops"));
    let create = || {
        let created = user.create("Product.image", b"12345", "image/png");
        runtime.block_on(created).expect(201);
    };
    create();
    // A first pass is not measured, because it allocates memory that later passes reuse.
    each_is_refused(&broker, &cases[..cases.len() / 4]);
    let before = resident_kib(broker.pid());
    each_is_refused(&broker, &cases);
    let after = resident_kib(broker.pid());
    assert!(
        after < before + MAX_GROWTH_KIB,
        "{before} KiB became {after} KiB"
    );
    create();
    let stats = runtime.block_on(ops.get("/v1/stats")).expect(200);
    assert_eq!(stats.json["data"][0]["count"], 2, "{}", stats.text);
    let log = broker.log();
    assert!(
        !log.contains("panicked") && !log.contains("\"ERROR\""),
        "{log}"
    );
    assert_eq!(broker.output(), "");
}

#[test]
fn slow_heads_and_bodies_are_cut_off_at_a_deadline() {
    let broker = BrokerProcess::dev_with(&DEADLINES);
    let whole = post(&token(&broker), "", b"{}");
    let body_at = whole.len() - 2;
    for (what, sent) in [
        ("half a head", 30),
        ("a head without its body", body_at),
        ("half a body", body_at + 1),
    ] {
        let mut line = RawHttp::to(&broker.url);
        line.say(&whole[..sent]);
        let begun = Instant::now();
        let answer = line.hear();
        assert_eq!(status_of(&answer), 408, "{what}: {answer}");
        let took = begun.elapsed();
        assert!(
            (Duration::from_millis(1000)..Duration::from_secs(8)).contains(&took),
            "{what}: {took:?}"
        );
        if sent >= body_at {
            assert!(answer.contains("\"request-timeout\""), "{what}: {answer}");
        }
    }
}

#[test]
fn single_bytes_do_not_extend_the_deadline() {
    let broker = BrokerProcess::dev_with(&DEADLINES);
    let whole = post(&token(&broker), "", &[b' '; 2000]);
    let body_at = whole.len() - 2000;
    for start in [0, body_at] {
        let mut line = RawHttp::to(&broker.url);
        line.say(&whole[..start]);
        let begun = Instant::now();
        let reader = std::thread::scope(|scope| {
            let mut other = line.try_clone();
            let reading = scope.spawn(move || other.hear());
            for byte in &whole[start..] {
                if reading.is_finished() {
                    break;
                }
                line.say([*byte]);
                std::thread::sleep(Duration::from_millis(20));
            }
            reading.join().expect("the reader lives")
        });
        assert_eq!(status_of(&reader), 408, "from {start}: {reader}");
        assert!(begun.elapsed() < Duration::from_secs(8));
    }
}

#[test]
fn idle_and_half_open_connections_do_not_block_other_clients() {
    let broker = BrokerProcess::dev_with(&DEADLINES);
    let mut open: Vec<RawHttp> = (0..200).map(|_| RawHttp::to(&broker.url)).collect();
    for line in open.iter_mut().step_by(2) {
        line.say("POST /v1/uploads HTTP/1.1\r\nhost:");
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let begun = Instant::now();
    let api = broker.api("user");
    runtime
        .block_on(api.create("Product.image", b"1", "image/png"))
        .expect(201);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}
