//! Tests of address rules, URL rules, and hostile answers.

mod public;
mod tls;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const LIMITS: Limits = Limits {
    max_bytes: 1024,
    deadline: Duration::from_millis(500),
};

fn permits(rule: AddressRule, address: &str) -> bool {
    rule.permits(address.parse::<IpAddr>().unwrap())
}

#[test]
fn link_local_and_metadata_addresses_are_refused_in_every_notation() {
    let refused = [
        "169.254.169.254",
        "169.254.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "255.255.255.255",
        "100.100.100.200",
        "192.0.0.192",
        "fe80::1",
        "febf::1",
        "::",
        "ff02::1",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::1",
    ];
    for address in refused {
        assert!(
            !permits(AddressRule::AnyButLinkLocal, address),
            "{address} is allowed"
        );
    }
}

#[test]
fn any_but_link_local_permits_private_networks() {
    for address in [
        "10.0.0.5",
        "192.168.1.2",
        "172.16.0.9",
        "93.184.216.34",
        "fd12::1",
        "2606::1",
        "127.0.0.1",
    ] {
        assert!(
            permits(AddressRule::AnyButLinkLocal, address),
            "{address} is refused"
        );
    }
}

#[test]
fn loopback_only_permits_this_machine_only() {
    for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
        assert!(permits(AddressRule::LoopbackOnly, address), "{address}");
    }
    for address in [
        "10.0.0.1",
        "128.0.0.1",
        "::2",
        "::",
        "0.0.0.0",
        "::ffff:10.0.0.1",
    ] {
        assert!(!permits(AddressRule::LoopbackOnly, address), "{address}");
    }
}

#[test]
fn check_url_refuses_urls_that_are_never_called() {
    let refused = [
        "http://idp.example/keys",
        "http://10.0.0.1/keys",
        "http://0.0.0.0/keys",
        "http://[::]/keys",
        "http://localhost.example/keys",
        "https://169.254.169.254/latest",
        "https://0xa9fea9fe/latest",
        "https://2852039166/latest",
        "https://[::ffff:169.254.169.254]/latest",
        "https://[fe80::1]/keys",
        "https://[fe80::1%25eth0]/keys",
        "https://user@idp.example/keys",
        "https://user:pass@idp.example/keys",
        "https://:pass@idp.example/keys",
        "ftp://idp.example/keys",
        "file:///etc/passwd",
        "data:application/json,{}",
        "//idp.example/keys",
        "idp.example",
        "",
    ];
    for url in refused {
        assert!(
            check_url(url, AddressRule::AnyButLinkLocal).is_err(),
            "{url} is allowed"
        );
    }
}

#[test]
fn check_url_limits_http_to_loopback_and_keeps_the_rule_for_https() {
    for url in [
        "http://localhost:1/k",
        "http://127.1/k",
        "http://2130706433/k",
        "http://[::1]:8/k",
    ] {
        let (_, rule) = check_url(url, AddressRule::AnyButLinkLocal).unwrap();
        assert_eq!(rule, AddressRule::LoopbackOnly, "{url}");
    }
    let (_, rule) = check_url("https://idp.example/keys", AddressRule::AnyButLinkLocal).unwrap();
    assert_eq!(rule, AddressRule::AnyButLinkLocal);
}

/// Answers each connection with these bytes and keeps it open. Returns the port and the count of connections.
async fn serve(answer: Vec<u8>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let seen = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            seen.fetch_add(1, Ordering::SeqCst);
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = socket.read(&mut request).await;
                let _ = socket.write_all(&answer).await;
                tokio::time::sleep(Duration::from_secs(5)).await;
            });
        }
    });
    (port, connections)
}

fn fixed(addresses: &[&str]) -> (Lookup, Arc<AtomicUsize>) {
    let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let lookup: Lookup = Arc::new(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        let addresses = addresses.clone();
        Box::pin(async move { Ok(addresses) })
    });
    (lookup, asked)
}

async fn get(outbound: &Outbound, url: &str) -> Result<Fetched, OutboundError> {
    outbound
        .get(url, AddressRule::AnyButLinkLocal, LIMITS)
        .await
}

#[tokio::test]
async fn answer_within_the_limits_is_returned() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".to_vec();
    let (port, _) = serve(answer).await;
    let fetched = get(
        &Outbound::new().unwrap(),
        &format!("http://127.0.0.1:{port}/"),
    )
    .await
    .unwrap();
    assert_eq!((fetched.status, fetched.body), (200, b"hello".to_vec()));
}

#[tokio::test]
async fn redirect_is_returned_and_not_followed() {
    let (canary, touched) = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
    let answer = format!(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{canary}/\r\ncontent-length: 0\r\n\r\n"
    );
    let (port, _) = serve(answer.into_bytes()).await;
    let fetched = get(
        &Outbound::new().unwrap(),
        &format!("http://127.0.0.1:{port}/"),
    )
    .await
    .unwrap();
    assert_eq!(fetched.status, 302);
    assert_eq!(touched.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn name_with_one_refused_address_is_not_called() {
    let (port, touched) = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
    let (lookup, _) = fixed(&["127.0.0.1", "169.254.169.254"]);
    let outbound = Outbound::with_lookup(lookup).unwrap();
    for url in [
        format!("https://idp.example:{port}/"),
        format!("http://localhost:{port}/"),
    ] {
        let answer = get(&outbound, &url).await;
        assert!(
            matches!(answer, Err(OutboundError::AddressRefused(_))),
            "{answer:?}"
        );
    }
    assert_eq!(touched.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn name_is_resolved_once_per_call() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec();
    let (port, _) = serve(answer).await;
    let (lookup, asked) = fixed(&["127.0.0.1"]);
    let outbound = Outbound::with_lookup(lookup).unwrap();
    get(&outbound, &format!("http://localhost:{port}/"))
        .await
        .unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn endless_or_large_body_is_cut_at_the_limit() {
    let mut chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..64 {
        chunked.extend_from_slice(b"40\r\n");
        chunked.extend_from_slice(&[b'x'; 64]);
        chunked.extend_from_slice(b"\r\n");
    }
    let mut sized = b"HTTP/1.1 200 OK\r\ncontent-length: 1025\r\n\r\n".to_vec();
    sized.extend_from_slice(&[b'x'; 1025]);
    for answer in [chunked, sized] {
        let (port, _) = serve(answer).await;
        let answer = get(
            &Outbound::new().unwrap(),
            &format!("http://127.0.0.1:{port}/"),
        )
        .await;
        assert!(
            matches!(answer, Err(OutboundError::TooLarge(1024))),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn slow_body_is_cut_at_the_deadline() {
    let (port, _) = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe".to_vec()).await;
    let began = Instant::now();
    let answer = get(
        &Outbound::new().unwrap(),
        &format!("http://127.0.0.1:{port}/"),
    )
    .await;
    assert!(
        matches!(answer, Err(OutboundError::TimedOut(_))),
        "{answer:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn https_server_without_tls_is_unreachable_and_the_error_shows_no_url() {
    let (port, _) = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
    let url = format!("https://127.0.0.1:{port}/secret-path");
    let answer = get(&Outbound::new().unwrap(), &url).await;
    let error = answer.expect_err("no TLS there");
    assert!(matches!(error, OutboundError::Unreachable(_)), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("secret-path"));
}
