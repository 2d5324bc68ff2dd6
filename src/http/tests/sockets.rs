//! Tests that need a socket: connections after an error, slow and oversized bodies, malformed heads.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use actix_web::HttpServer;
use actix_web::dev::ServerHandle;

use super::*;

/// Runs a server on a loopback port, and `work` on a separate thread.
async fn with_server(work: impl FnOnce(SocketAddr) + Send + 'static) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let parts = parts(&options(), &Metrics::new());
    let server = HttpServer::new(move || app(&parts, test_routes))
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

struct Connection(TcpStream);

impl Connection {
    fn to(address: SocketAddr) -> Connection {
        let stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(8)))
            .unwrap();
        Connection(stream)
    }

    fn send(&mut self, text: impl AsRef<[u8]>) {
        self.0.write_all(text.as_ref()).unwrap();
    }

    /// One response: its head and, by Content-Length, its body.
    fn receive(&mut self) -> String {
        let (mut received, mut byte) = (Vec::new(), [0u8; 1]);
        while !received.ends_with(b"\r\n\r\n") {
            match self.0.read(&mut byte) {
                Ok(1) => received.push(byte[0]),
                _ => return String::from_utf8_lossy(&received).into_owned(),
            }
        }
        let head = String::from_utf8_lossy(&received).to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.0.read_exact(&mut body).unwrap();
        received.extend(body);
        String::from_utf8_lossy(&received).into_owned()
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
async fn panic_is_500_and_connection_still_works() {
    with_server(|address| {
        let mut connection = Connection::to(address);
        for _ in 0..3 {
            connection.send("GET /panics HTTP/1.1\r\nhost: b\r\n\r\n");
            let answer = connection.receive();
            assert!(
                answer.starts_with("HTTP/1.1 500") && answer.contains("\"internal\""),
                "{answer}"
            );
            assert!(!answer.contains("canary"), "{answer}");
            connection.send(LIVEZ);
            assert!(connection.receive().starts_with("HTTP/1.1 200"));
        }
    })
    .await;
}

#[actix_web::test]
async fn thousand_panics_are_thousand_problems_and_server_still_works() {
    const CLIENTS: usize = 20;
    with_server(|address| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                std::thread::spawn(move || {
                    let mut connection = Connection::to(address);
                    let answers = (0..50).map(|_| {
                        connection.send("GET /panics HTTP/1.1\r\nhost: b\r\n\r\n");
                        connection.receive()
                    });
                    (answers.collect::<Vec<String>>(), connection)
                })
            })
            .collect();
        // At the same time, another client whose handler does not panic.
        let mut other = Connection::to(address);
        while !clients.iter().all(|it| it.is_finished()) {
            other.send(LIVEZ);
            assert!(other.receive().starts_with("HTTP/1.1 200"));
        }
        let mut instances = HashSet::new();
        for client in clients {
            let (answers, mut connection) = client.join().unwrap();
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
            connection.send(LIVEZ);
            assert!(
                connection.receive().starts_with("HTTP/1.1 200"),
                "the connection still works"
            );
        }
        assert_eq!(instances.len(), CLIENTS * 50);
        for _ in 0..CLIENTS {
            let mut connection = Connection::to(address);
            connection.send(LIVEZ);
            assert!(connection.receive().starts_with("HTTP/1.1 200"));
        }
    })
    .await;
}

#[actix_web::test]
async fn oversized_body_gets_readable_413_and_connection_still_works() {
    with_server(|address| {
        let mut connection = Connection::to(address);
        connection.send(post(900_000));
        connection.send(vec![b' '; 900_000]);
        let answer = connection.receive();
        assert!(
            answer.starts_with("HTTP/1.1 413") && answer.contains("payload-too-large"),
            "{answer}"
        );
        connection.send(LIVEZ);
        assert!(connection.receive().starts_with("HTTP/1.1 200"));
    })
    .await;
}

#[actix_web::test]
async fn early_response_is_readable_after_the_body_was_sent() {
    with_server(|address| {
        let mut connection = Connection::to(address);
        let head = "POST /strict HTTP/1.1\r\nhost: b\r\ncontent-length: 300000\r\n\r\n";
        connection.send(head);
        connection.send(vec![b' '; 300_000]);
        let answer = connection.receive();
        assert!(
            answer.starts_with("HTTP/1.1 401") && answer.contains("token-missing"),
            "{answer}"
        );
    })
    .await;
}

#[actix_web::test]
async fn huge_declared_body_is_rejected_before_it_arrives() {
    with_server(|address| {
        let mut connection = Connection::to(address);
        connection.send(post(5_000_000_000));
        let started = Instant::now();
        let answer = connection.receive();
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert!(started.elapsed() < Duration::from_secs(1));
    })
    .await;
}

#[actix_web::test]
async fn slow_body_gets_408() {
    with_server(|address| {
        let mut connection = Connection::to(address);
        connection.send(post(100));
        connection.send("{\"field\":");
        let started = Instant::now();
        let answer = connection.receive();
        assert!(
            answer.starts_with("HTTP/1.1 408") && answer.contains("request-timeout"),
            "{answer}"
        );
        assert!(started.elapsed() < Duration::from_secs(4));
    })
    .await;
}

#[actix_web::test]
async fn malformed_heads_are_rejected_before_a_handler() {
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
            let mut connection = Connection::to(address);
            // The server may respond before all of a huge head is written.
            let _ = connection.0.write_all(case.as_bytes());
            let answer = connection.receive();
            let rejected = answer.starts_with("HTTP/1.1 4");
            assert!(rejected, "{:?} got {answer}", &case[..case.len().min(80)]);
        }
        let mut connection = Connection::to(address);
        connection.send(LIVEZ);
        assert!(connection.receive().starts_with("HTTP/1.1 200"));
    })
    .await;
}
