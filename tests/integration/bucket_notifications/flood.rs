//! A flood of unauthenticated SNS messages does not delay genuine ones.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::support::bucket_notifications::PATH;
use crate::support::sns::{CERTIFICATE, Sns};
use crate::support::test_env::{Broker, TestEnv};

/// The address of genuine SNS messages; forged ones come from 127.0.0.1.
const SNS_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const HEADER: &str = "x-amz-sns-message-type";

fn client_at(address: Ipv4Addr) -> Client {
    let builder = Client::builder().no_proxy();
    let builder = builder.local_address(IpAddr::V4(address));
    builder.build().expect("a client")
}

async fn notify(client: &Client, broker: &Broker, message: &Value) -> StatusCode {
    let request = client
        .post(format!("{}{PATH}", broker.url))
        .header(HEADER, "Notification")
        .body(message.to_string());
    request.send().await.expect("an answer").status()
}

fn genuine(sns: &Sns) -> Value {
    sns.notification(&json!({"Event": "s3:TestEvent"}).to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_certificate_names_do_not_block_the_fetch_of_a_genuine_certificate() {
    let (sns, test_env) = (
        Sns::with_one_certificate(CERTIFICATE).await,
        TestEnv::new().await,
    );
    let broker = Arc::new(test_env.broker_with(sns.settings()).await);
    let (done, refused) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let forged = genuine(&sns);
    let (began, mut strangers) = (Instant::now(), Vec::new());
    for _ in 0..6 {
        let (broker, done, refused) = (broker.clone(), done.clone(), refused.clone());
        let (mut forged, origin) = (forged.clone(), sns.origin.clone());
        strangers.push(tokio::spawn(async move {
            let client = client_at(Ipv4Addr::LOCALHOST);
            while !done.load(Ordering::SeqCst) {
                let name = format!("{:032x}", rand::random::<u128>());
                let url = format!("{origin}/SimpleNotificationService-{name}.pem");
                forged["SigningCertURL"] = json!(url);
                assert_eq!(notify(&client, &broker, &forged).await, 503);
                refused.fetch_add(1, Ordering::SeqCst);
            }
        }));
    }
    while refused.load(Ordering::SeqCst) < 100 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The first request for this certificate, whose name is new.
    let accepted = notify(&client_at(SNS_ADDRESS), &broker, &forged).await;
    done.store(true, Ordering::SeqCst);
    for stranger in strangers {
        stranger.await.expect("each is refused");
    }
    assert_eq!(accepted, 200);
    // Forged messages cause few fetches: one a second, besides the genuine one.
    let most = began.elapsed().as_secs() as usize + 3;
    let asked = sns.asked().len();
    assert!(asked <= most, "{asked} of at most {most}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_unauthenticated_bodies_are_cut_off_and_do_not_block_genuine_messages() {
    let (sns, test_env) = (Sns::start(CERTIFICATE).await, TestEnv::new().await);
    let change = sns.settings();
    let mut change = change.clone();
    change["server"] = json!({"body_timeout_ms": 30_000});
    let broker = test_env.broker_with(change).await;
    let address: SocketAddr = broker.url["http://".len()..].parse().expect("an address");
    let slow: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(address).expect("a connection");
            let head = format!(
                "POST {PATH} HTTP/1.1\r\nhost: broker\r\n{HEADER}: Notification\r\ncontent-length: 1000\r\n\r\n{{"
            );
            stream.write_all(head.as_bytes()).expect("it is taken");
            stream
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let message = genuine(&sns);
    assert_eq!(
        notify(&client_at(SNS_ADDRESS), &broker, &message).await,
        200
    );
    // Its own address can connect again long before the usual time limit of a body.
    let (begun, own) = (Instant::now(), client_at(Ipv4Addr::LOCALHOST));
    while notify(&own, &broker, &message).await != 200 {
        assert!(begun.elapsed() < Duration::from_secs(10), "still no place");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(slow);
}
