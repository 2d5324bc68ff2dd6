//! Tests of `PublicOnly`: every notation of special addresses, and names that resolve to one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::super::*;

/// At least one address of each special range.
const INSIDE_V4: [&str; 31] = [
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "127.0.0.53",
    "172.17.0.1",
    "10.96.0.1",
    "192.168.1.1",
];
const INSIDE_V6: [&str; 16] = [
    "::",
    "::1",
    "::2",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "ff02::1",
];
const PUBLIC: [&str; 18] = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450::1",
    "2001:4860::8888",
];

fn permits(address: IpAddr) -> bool {
    AddressRule::PublicOnly.permits(address)
}

/// The IPv6 forms of an IPv4 address.
fn ipv6_forms(v4: Ipv4Addr) -> [Ipv6Addr; 4] {
    let [a, b, c, d] = v4.octets().map(u16::from);
    let (high, low) = (a << 8 | b, c << 8 | d);
    [
        v4.to_ipv6_mapped(),
        Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
    ]
}

#[test]
fn special_addresses_are_not_public_in_any_notation() {
    for text in INSIDE_V4 {
        let v4: Ipv4Addr = text.parse().unwrap();
        assert!(!permits(v4.into()), "{text}");
        for v6 in ipv6_forms(v4) {
            assert!(!permits(v6.into()), "{v6} for {text}");
        }
    }
    for text in INSIDE_V6 {
        assert!(!permits(text.parse().unwrap()), "{text}");
    }
    for text in PUBLIC {
        assert!(permits(text.parse().unwrap()), "{text}");
    }
}

/// More than 200 URLs: each address in many notations.
fn corpus(port: u16) -> Vec<String> {
    let mut hosts: Vec<String> = INSIDE_V6.iter().map(|it| format!("[{it}]")).collect();
    for text in INSIDE_V4 {
        let v4: Ipv4Addr = text.parse().unwrap();
        let ([a, b, c, d], number) = (v4.octets(), u32::from(v4));
        hosts.extend([
            text.to_owned(),
            number.to_string(),
            format!("0x{number:x}"),
            format!("0{number:o}"),
        ]);
        hosts.push(format!("0x{a:x}.{b}.0{c:o}.{d}"));
        hosts.push(format!("{a}.{}", number & 0xff_ffff));
        hosts.extend(ipv6_forms(v4).map(|v6| format!("[{v6}]")));
    }
    hosts.extend(
        [
            "user@127.0.0.1",
            "1.1.1.1@127.0.0.1",
            "a:b@10.0.0.1",
            "[fe80::1%25eth0]",
            "127.0.0.1.",
            "１２７.0.0.1",
        ]
        .map(String::from),
    );
    let mut urls: Vec<String> = hosts
        .iter()
        .map(|host| format!("https://{host}:{port}/hooks"))
        .collect();
    let schemes = [
        "http://shop.example/",
        "ftp://shop.example/",
        "gopher://shop.example/",
        "file:///etc/passwd",
        "//shop.example/",
        "unix:/run/x",
        "https://shop.example:25/",
        "https://shop.example:22/",
        "https://shop.example:80/",
        "https:///",
        "",
    ];
    urls.extend(schemes.map(String::from));
    urls
}

async fn canary() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, touched) = (
        listener.local_addr().unwrap().port(),
        Arc::new(AtomicUsize::new(0)),
    );
    let count = touched.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = socket.read(&mut [0; 1024]).await;
            let _ = socket
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
    });
    (port, touched)
}

async fn post(outbound: &Outbound, url: &str, rule: AddressRule) -> Result<Posted, OutboundError> {
    let post = Post {
        url,
        rule,
        headers: &[("x-test", "1".to_owned())],
        body: "{}".into(),
    };
    let limits = Limits {
        max_bytes: 8_192,
        deadline: Duration::from_secs(2),
    };
    outbound.post(post, limits).await
}

#[tokio::test]
async fn no_url_with_a_special_address_is_called() {
    let (port, touched) = canary().await;
    let (outbound, urls) = (Outbound::new().unwrap(), corpus(port));
    assert!(urls.len() > 200, "{}", urls.len());
    for url in urls {
        let answer = post(&outbound, &url, AddressRule::PublicOnly).await;
        let refused = matches!(
            answer,
            Err(OutboundError::AddressRefused(_) | OutboundError::BadUrl(_))
        );
        assert!(refused, "{url}: {answer:?}");
    }
    assert_eq!(touched.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn name_that_rebinds_to_this_machine_is_not_called() {
    let (port, touched) = canary().await;
    // The first answer is a documentation address; later ones are this machine.
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let lookup: Lookup = Arc::new(move |_| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        let address = if first { "192.0.2.1" } else { "127.0.0.1" };
        Box::pin(async move { Ok(vec![address.parse().unwrap(), "8.8.8.8".parse().unwrap()]) })
    });
    let outbound = Outbound::with_lookup(lookup).unwrap();
    for _ in 0..3 {
        let answer = post(
            &outbound,
            &format!("https://shop.example:{port}/"),
            AddressRule::PublicOnly,
        )
        .await;
        assert!(
            matches!(answer, Err(OutboundError::AddressRefused(_))),
            "{answer:?}"
        );
    }
    assert_eq!(
        (asked.load(Ordering::SeqCst), touched.load(Ordering::SeqCst)),
        (3, 0)
    );
}

#[tokio::test]
async fn private_only_permits_http_to_private_addresses_only() {
    let (port, touched) = canary().await;
    let outbound = Outbound::new().unwrap();
    let url = format!("http://localhost:{port}/hooks");
    let posted = post(&outbound, &url, AddressRule::PrivateOnly)
        .await
        .unwrap();
    assert_eq!((posted.status, touched.load(Ordering::SeqCst)), (200, 1));
    for url in [
        "http://8.8.8.8/",
        "http://169.254.169.254/",
        "http://[fd00:ec2::254]/",
        "http://100.100.100.200/",
    ] {
        let answer = post(&outbound, url, AddressRule::PrivateOnly).await;
        assert!(
            matches!(answer, Err(OutboundError::AddressRefused(_))),
            "{url}: {answer:?}"
        );
    }
}
