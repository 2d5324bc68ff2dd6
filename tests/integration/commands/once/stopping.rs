//! Stopping: requests in flight end, new connections are refused, the exit code is 0.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::broker_process::BrokerProcess;
use crate::support::raw_http::{RawHttp, status_of};

#[test]
fn a_request_in_flight_ends_well_after_a_sigterm_and_the_exit_code_is_0() {
    for signal in ["TERM", "INT"] {
        let mut broker = BrokerProcess::dev();
        let token = broker.ready["tokens"]["user"]
            .as_str()
            .expect("a token")
            .to_owned();
        let body = json!({"field": "Product.image", "filename": "a", "content_type": "image/png", "size": 5}).to_string();
        let mut line = RawHttp::to(&broker.url);
        line.say(format!(
            "POST /v1/uploads HTTP/1.1\r\nhost: b\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        ));
        line.say(&body[..10]);
        // Answered on later connections: the one before was accepted, and its head has been read.
        for _ in 0..8 {
            let mut other = RawHttp::to(&broker.url);
            other.say("GET /livez HTTP/1.1\r\nhost: b\r\nconnection: close\r\n\r\n");
            assert_eq!(status_of(&other.hear_all()), 200);
        }
        broker.signal(signal);
        let address = broker.url.trim_start_matches("http://").to_owned();
        let end = Instant::now() + Duration::from_secs(10);
        while accepts(&address) {
            assert!(
                Instant::now() < end,
                "still lets callers in after SIG{signal}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        line.say(&body[10..]);
        let answer = line.hear();
        assert_eq!(status_of(&answer), 201, "SIG{signal}: {answer}");
        let (_, text) = answer.split_once("\r\n\r\n").expect("a head");
        let created: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(broker.wait().code(), Some(0), "SIG{signal}");

        let broker = broker.restart();
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let id = created["id"].as_str().expect("an id");
        let read = runtime.block_on(broker.api("user").read(id)).expect(200);
        assert_eq!(read.json["status"], "pending", "what was answered is there");
    }
}

/// Whether a request on a new connection is still answered.
fn accepts(address: &str) -> bool {
    let Ok(stream) = TcpStream::connect(address) else {
        return false;
    };
    // The same connection goes on: the listener may close before a second one is made.
    let mut line = RawHttp::over(stream);
    line.say("GET /livez HTTP/1.1\r\nhost: b\r\nconnection: close\r\n\r\n");
    status_of(&line.hear()) == 200
}

#[test]
fn an_idle_broker_stops_at_once() {
    let mut broker = BrokerProcess::dev();
    let begun = Instant::now();
    assert_eq!(broker.terminate().code(), Some(0));
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    assert!(broker.log().contains("stopping"), "{}", broker.log());
}
