//! What only a real socket shows: connections that survive, bodies that are too slow or too long, heads that are no HTTP.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use actix_web::HttpServer;
use actix_web::dev::ServerHandle;

use super::*;

/// A server on a loopback port; `work` runs beside it on a thread of its own.
async fn with_server(work: impl FnOnce(SocketAddr) + Send + 'static) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let parts = parts(&options(), &Metrics::new());
    let server = HttpServer::new(move || app(&parts, strange_routes))
        .workers(1)
        .client_request_timeout(Duration::from_secs(1))
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run();
    let handle: ServerHandle = server.handle();
    let running = actix_web::rt::spawn(server);
    let worked = tokio::task::spawn_blocking(move || work(address)).await;
    handle.stop(false).await;
    running.await.unwrap().unwrap();
    worked.unwrap();
}

struct Line(TcpStream);

impl Line {
    fn to(address: SocketAddr) -> Line {
        let stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(8)))
            .unwrap();
        Line(stream)
    }

    fn say(&mut self, text: impl AsRef<[u8]>) {
        self.0.write_all(text.as_ref()).unwrap();
    }

    /// One answer: its head and body, by its Content-Length.
    fn hear(&mut self) -> String {
        let (mut heard, mut byte) = (Vec::new(), [0u8; 1]);
        while !heard.ends_with(b"\r\n\r\n") {
            match self.0.read(&mut byte) {
                Ok(1) => heard.push(byte[0]),
                _ => return String::from_utf8_lossy(&heard).into_owned(),
            }
        }
        let head = String::from_utf8_lossy(&heard).to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.0.read_exact(&mut body).unwrap();
        heard.extend(body);
        String::from_utf8_lossy(&heard).into_owned()
    }
}

fn post(length: usize) -> String {
    format!(
        "POST /strict HTTP/1.1\r\nhost: b\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n",
        token()
    )
}

const LIVEZ: &str = "GET /livez HTTP/1.1\r\nhost: b\r\n\r\n";

#[actix_web::test]
async fn r15_a_panic_is_a_500_and_the_next_request_of_the_connection_works() {
    with_server(|address| {
        let mut line = Line::to(address);
        for _ in 0..3 {
            line.say("GET /panics HTTP/1.1\r\nhost: b\r\n\r\n");
            let answer = line.hear();
            assert!(
                answer.starts_with("HTTP/1.1 500") && answer.contains("\"internal\""),
                "{answer}"
            );
            assert!(!answer.contains("canary"), "{answer}");
            line.say(LIVEZ);
            assert!(line.hear().starts_with("HTTP/1.1 200"));
        }
    })
    .await;
}

#[actix_web::test]
async fn r15_a_thousand_panics_on_many_connections_are_a_thousand_problems_and_the_server_goes_on()
{
    const CLIENTS: usize = 20;
    with_server(|address| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                std::thread::spawn(move || {
                    let mut line = Line::to(address);
                    let answers = (0..50).map(|_| {
                        line.say("GET /panics HTTP/1.1\r\nhost: b\r\n\r\n");
                        line.hear()
                    });
                    (answers.collect::<Vec<String>>(), line)
                })
            })
            .collect();
        // Beside them somebody whose handler doesn't panic.
        let mut other = Line::to(address);
        while !clients.iter().all(|it| it.is_finished()) {
            other.say(LIVEZ);
            assert!(other.hear().starts_with("HTTP/1.1 200"));
        }
        let mut instances = HashSet::new();
        for client in clients {
            let (answers, mut line) = client.join().unwrap();
            for answer in answers {
                let (head, body) = answer.split_once("\r\n\r\n").unwrap();
                assert!(head.starts_with("HTTP/1.1 500"), "{answer}");
                assert!(head.contains("application/problem+json"), "{answer}");
                assert!(!answer.contains("canary"), "{answer}");
                let problem: Value = serde_json::from_str(body).unwrap();
                assert_eq!(
                    (&problem["code"], &problem["status"]),
                    (&"internal".into(), &500.into())
                );
                instances.insert(problem["instance"].to_string());
            }
            line.say(LIVEZ);
            assert!(line.hear().starts_with("HTTP/1.1 200"), "it is still good");
        }
        assert_eq!(instances.len(), CLIENTS * 50);
        for _ in 0..CLIENTS {
            let mut line = Line::to(address);
            line.say(LIVEZ);
            assert!(line.hear().starts_with("HTTP/1.1 200"));
        }
    })
    .await;
}

#[actix_web::test]
async fn b10_a_413_can_be_read_after_the_whole_body_was_sent_and_the_connection_goes_on() {
    with_server(|address| {
        let mut line = Line::to(address);
        line.say(post(900_000));
        line.say(vec![b' '; 900_000]);
        let answer = line.hear();
        assert!(
            answer.starts_with("HTTP/1.1 413") && answer.contains("payload-too-large"),
            "{answer}"
        );
        line.say(LIVEZ);
        assert!(line.hear().starts_with("HTTP/1.1 200"));
    })
    .await;
}

#[actix_web::test]
async fn b10_an_answer_that_does_not_need_the_body_can_be_read_although_the_body_was_sent() {
    with_server(|address| {
        let mut line = Line::to(address);
        let head = "POST /strict HTTP/1.1\r\nhost: b\r\ncontent-length: 300000\r\n\r\n";
        line.say(head);
        line.say(vec![b' '; 300_000]);
        let answer = line.hear();
        assert!(
            answer.starts_with("HTTP/1.1 401") && answer.contains("token-missing"),
            "{answer}"
        );
    })
    .await;
}

#[actix_web::test]
async fn b10_a_body_beyond_all_bounds_is_refused_before_it_arrives() {
    with_server(|address| {
        let mut line = Line::to(address);
        line.say(post(5_000_000_000));
        let begun = Instant::now();
        let answer = line.hear();
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert!(begun.elapsed() < Duration::from_secs(1));
    })
    .await;
}

#[actix_web::test]
async fn b11_a_body_that_does_not_arrive_in_time_is_a_408() {
    with_server(|address| {
        let mut line = Line::to(address);
        line.say(post(100));
        line.say("{\"field\":");
        let begun = Instant::now();
        let answer = line.hear();
        assert!(
            answer.starts_with("HTTP/1.1 408") && answer.contains("request-timeout"),
            "{answer}"
        );
        assert!(begun.elapsed() < Duration::from_secs(4));
    })
    .await;
}

#[actix_web::test]
async fn b10_broken_heads_are_refused_and_never_reach_a_handler() {
    with_server(|address| {
        let many: String = (0..2_000).map(|n| format!("x-{n}: y\r\n")).collect();
        let cases = [
            "GET\r\n\r\n".to_owned(),
            "GET /livez HTTP/9.9\r\nhost: b\r\n\r\n".to_owned(),
            "\u{0}\u{1}\u{2}\r\n\r\n".to_owned(),
            format!("GET /livez HTTP/1.1\r\nhost: b\r\n{many}\r\n"),
            format!("GET /livez HTTP/1.1\r\nhost: b\r\nx: {}\r\n\r\n", "y".repeat(200_000)),
            format!("GET /{} HTTP/1.1\r\nhost: b\r\n\r\n", "y".repeat(200_000)),
            "GET /livez HTTP/1.1\r\nhost: b\r\nx: a\rb\r\n\r\n".to_owned(),
            "POST /livez HTTP/1.1\r\nhost: b\r\ncontent-length: -1\r\n\r\n".to_owned(),
            "POST /livez HTTP/1.1\r\nhost: b\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
            "POST /livez HTTP/1.1\r\nhost: b\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n".to_owned(),
            "POST /livez HTTP/1.1\r\nhost: b\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n".to_owned(),
        ];
        for case in cases {
            let mut line = Line::to(address);
            // The server may answer before all of a huge head is written.
            let _ = line.0.write_all(case.as_bytes());
            let answer = line.hear();
            let refused = answer.starts_with("HTTP/1.1 4");
            assert!(refused, "{:?} was answered {answer}", &case[..case.len().min(80)]);
        }
        let mut line = Line::to(address);
        line.say(LIVEZ);
        assert!(line.hear().starts_with("HTTP/1.1 200"));
    })
    .await;
}
