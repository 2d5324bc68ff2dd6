//! The fault proxies inject the faults that other tests rely on. Without the fault, those tests would prove nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;

use crate::support::api::{Answer, http_client, send};
use crate::support::fault_proxy::{FaultProxy, Mode};
use crate::support::gate::RequestGate;
use crate::support::s3_proxy::S3Proxy;
use crate::support::s3_script::{Action, RequestMatch};
use crate::support::tokens::Token;

/// A server that answers every line with the same line.
fn echo_server() -> SocketAddr {
    serve(|mut stream| {
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    })
}

fn serve(each: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let each = Arc::new(each);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let each = Arc::clone(&each);
            std::thread::spawn(move || each(stream));
        }
    });
    address
}

/// A server that answers every GET-like request with 200 and keeps the request heads it saw.
fn http_server() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heads);
    let address = serve(move |mut stream| {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_exact(&mut byte).is_err() {
                return;
            }
            head.push(byte[0]);
        }
        kept.lock()
            .expect("a list")
            .push(String::from_utf8_lossy(&head).into_owned());
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    });
    (address, heads)
}

/// Sends `ping` and returns what comes back within half a second.
fn ping(stream: &mut TcpStream) -> std::io::Result<usize> {
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    stream.write_all(b"ping")?;
    stream.read(&mut [0; 16])
}

fn connect(proxy: &FaultProxy) -> TcpStream {
    TcpStream::connect(proxy.address()).expect("the proxy listens")
}

#[test]
fn fault_proxy_relays_and_a_slow_one_relays_late() {
    let proxy = FaultProxy::plain(echo_server());
    let mut stream = connect(&proxy);
    assert_eq!(ping(&mut stream).expect("an echo"), 4);
    proxy.set(Mode::Delay(Duration::from_millis(200)));
    let start = Instant::now();
    assert_eq!(ping(&mut stream).expect("a late echo"), 4);
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[test]
fn refusing_fault_proxy_has_no_listener_and_returns_on_the_same_port() {
    let proxy = FaultProxy::plain(echo_server());
    let mut open = connect(&proxy);
    assert_eq!(ping(&mut open).expect("an echo"), 4);
    proxy.set(Mode::Refuse);
    let error = ping(&mut open).expect_err("open connections are reset");
    assert!(
        matches!(
            error.kind(),
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
        ),
        "{error}"
    );
    let error = TcpStream::connect(proxy.address()).expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    proxy.heal();
    let mut again = connect(&proxy);
    assert_eq!(ping(&mut again).expect("an echo"), 4);
}

#[test]
fn silent_fault_proxy_swallows_bytes_and_resets_when_it_heals() {
    let proxy = FaultProxy::plain(echo_server());
    let mut open = connect(&proxy);
    assert_eq!(ping(&mut open).expect("an echo"), 4);
    proxy.set(Mode::BlackHole);
    let mut fresh = connect(&proxy);
    for stream in [&mut open, &mut fresh] {
        let error = ping(stream).expect_err("no answer");
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
    }
    proxy.heal();
    for stream in [&mut open, &mut fresh] {
        let error = stream.read(&mut [0; 16]).expect_err("it was swallowed");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(ping(&mut connect(&proxy)).expect("an echo"), 4);
}

#[test]
fn resetting_fault_proxy_accepts_and_resets() {
    let proxy = FaultProxy::plain(echo_server());
    proxy.set(Mode::Reset);
    let outcome = TcpStream::connect(proxy.address()).and_then(|mut stream| ping(&mut stream));
    let error = outcome.expect_err("a reset");
    assert!(
        matches!(
            error.kind(),
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
        ),
        "{error}"
    );
}

async fn call(proxy: &S3Proxy, method: Method, path: &str) -> reqwest::Result<Answer> {
    let request = http_client().request(method, format!("{}{path}", proxy.endpoint()));
    Ok(Answer::read(request.send().await?).await)
}

#[tokio::test]
async fn s3_proxy_answers_for_the_store_as_often_as_scripted() {
    let (upstream, heads) = http_server();
    let proxy = S3Proxy::start(upstream);
    let heads_of_final = RequestMatch::head().below("media/").starting_at(2).times(1);
    let rule = proxy.rule(heads_of_final, Action::Answer(503, "SlowDown"));
    for (path, status) in [
        ("/b/staging/x", 200),
        ("/b/media/1", 200),
        ("/b/media/2", 503),
        ("/b/media/3", 200),
    ] {
        let answer = call(&proxy, Method::HEAD, path).await.expect("an answer");
        assert_eq!(answer.status, status, "{path}");
    }
    assert_eq!(proxy.hits(rule), 1);
    assert_eq!(heads.lock().expect("a list").len(), 3);
    let statuses: Vec<_> = proxy.seen().into_iter().map(|it| it.status).collect();
    assert_eq!(statuses, [Some(200), Some(200), Some(503), Some(200)]);
    let host = format!("host: {}\r\n", proxy.network.address());
    assert!(
        heads.lock().expect("a list")[0]
            .to_lowercase()
            .contains(&host)
    );
}

#[tokio::test]
async fn s3_proxy_distinguishes_copy_from_put_and_formats_errors_as_s3() {
    let (upstream, heads) = http_server();
    let proxy = S3Proxy::start(upstream);
    proxy.rule(RequestMatch::copy(), Action::Answer(404, "NoSuchBucket"));
    let url = format!("{}/b/k", proxy.endpoint());
    let put = send(http_client().put(&url)).await;
    let copy = send(http_client().put(&url).header("x-amz-copy-source", "b/s")).await;
    assert_eq!((put.status, copy.status), (200, 404));
    assert!(copy.text.contains("<Code>NoSuchBucket</Code>"));
    proxy.clear();
    let healed = send(http_client().put(&url).header("x-amz-copy-source", "b/s")).await;
    assert_eq!(healed.status, 200);
    assert_eq!(heads.lock().expect("a list").len(), 2);
    let copies: Vec<_> = proxy.seen().into_iter().map(|it| it.is_copy).collect();
    assert_eq!(copies, [false, true, true]);
}

#[tokio::test]
async fn s3_proxy_drops_an_answer_after_the_store_has_acted() {
    let (upstream, heads) = http_server();
    let proxy = S3Proxy::start(upstream);
    proxy.rule(RequestMatch::any().times(1), Action::LoseAnswer);
    let lost = call(&proxy, Method::DELETE, "/b/k").await;
    assert!(lost.is_err(), "{lost:?}");
    assert_eq!(heads.lock().expect("a list").len(), 1);
    assert_eq!(proxy.seen()[0].status, Some(200));
    let next = call(&proxy, Method::DELETE, "/b/k").await;
    assert_eq!(next.expect("an answer").status, 200);
}

#[tokio::test]
async fn s3_proxy_holds_a_request_before_and_an_answer_after_the_store() {
    let (upstream, heads) = http_server();
    let proxy = Arc::new(S3Proxy::start(upstream));
    for (path, reached) in [("/b/before", 0), ("/b/after", 2)] {
        let hold = RequestGate::new();
        let act = if reached == 0 {
            Action::HoldBefore(hold.clone())
        } else {
            Action::HoldAnswer(hold.clone())
        };
        proxy.rule(RequestMatch::any().path_with(path), act);
        let held = Arc::clone(&proxy);
        let request = tokio::spawn(async move { call(&held, Method::GET, path).await });
        hold.arrived().await;
        assert_eq!(heads.lock().expect("a list").len(), reached);
        assert!(!request.is_finished());
        hold.release();
        let answer = request.await.expect("no panic").expect("an answer");
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn s3_proxy_delivers_a_late_request_after_its_client_has_gone() {
    let (upstream, heads) = http_server();
    let proxy = S3Proxy::start(upstream);
    proxy.rule(
        RequestMatch::any(),
        Action::Late(Duration::from_millis(600)),
    );
    let impatient = tokio::time::timeout(
        Duration::from_millis(200),
        call(&proxy, Method::PUT, "/b/k"),
    );
    assert!(impatient.await.is_err(), "it answered in time");
    assert_eq!(heads.lock().expect("a list").len(), 0);
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(heads.lock().expect("a list").len(), 1);
}

#[test]
fn test_token_has_the_signature_of_rfc_7515() {
    let token = Token::new("i", "a", "s").claim("exp", serde_json::Value::Null);
    let signed = token.sign(b"secret");
    let (content, signature) = signed.rsplit_once('.').expect("three parts");
    assert_eq!(content, token.unsigned());
    assert_eq!(signature.len(), 43, "32 bytes in base64url");
    assert_ne!(signed, token.sign(b"Secret"));
}
