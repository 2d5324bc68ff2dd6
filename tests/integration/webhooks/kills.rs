//! A receiver that fails three times in ten, and brokers that are killed while they deliver: no event is lost, sequences have no gap,
//! and a repeated delivery has the same id and bytes.
//!
//! `BYTEPASS_TEST_EVENTS` says how many events at least, `BYTEPASS_TEST_KILLS` how many kills; 2,000 and 20 are the whole of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::api::{Answer, Api, http_client, presigned};
use crate::support::broker_process::BrokerProcess;
use crate::support::rows::Rows;
use crate::support::setting;
use crate::support::test_env::{TestEnv, backend_token, sign_backend};
use crate::support::webhook_receiver::{Received, Receiver, Reply, SECRET, impatient};

const CLIENTS: usize = 4;
/// The events of an upload from create to delete.
const LIFE: usize = 4;
const STEP_LIMIT: Duration = Duration::from_secs(60);

fn number(name: &str, usual: usize) -> usize {
    setting(name).map_or(usual, |text| text.parse().expect("a number"))
}

/// Repeats a request until the killed broker is back and answers: with one of these, or that it was done before.
async fn ask(api: &Api, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let end = Instant::now() + STEP_LIMIT;
    loop {
        let method = method.parse().expect("a method");
        let mut request = api.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Ok(response) = request.send().await {
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            if let Ok(text) = response.text().await
                && status != 503
            {
                let json: Value = serde_json::from_str(&text).unwrap_or_default();
                // A detach whose answer was lost.
                let done = json["status_now"] == "detached";
                assert!(status < 300 || done, "{path}: {status} {text}");
                return Answer {
                    status,
                    headers,
                    json,
                    text,
                };
            }
        }
        assert!(Instant::now() < end, "{path} never succeeds");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One upload through all of its life: confirmed, attached, detached, deleted.
async fn live(api: &Api, http: &reqwest::Client, n: usize) {
    let bytes = format!("picture {n}").into_bytes();
    let body = json!({"field": "ProductImage.image", "filename": "a.jpg", "content_type": "image/jpeg", "size": bytes.len(), "owner": "user:1"});
    let created = ask(api, "POST", "/v1/uploads", Some(&body)).await;
    let put = presigned(http, &created.json["presigned"])
        .body(bytes)
        .send();
    assert_eq!(put.await.expect("the bucket lives").status(), 200);
    let path = format!("/v1/uploads/{}", created.id());
    ask(api, "POST", &format!("{path}/confirm"), None).await;
    let record = json!({"object_id": n.to_string()});
    ask(api, "POST", &format!("{path}/attach"), Some(&record)).await;
    ask(api, "POST", &format!("{path}/detach"), None).await;
    ask(api, "DELETE", &path, None).await;
}

/// Kills the broker `kills` times, spread over the events.
fn reap(
    mut broker: BrokerProcess,
    times: usize,
    events: usize,
    receiver: &Receiver,
) -> BrokerProcess {
    for n in 1..=times {
        let end = Instant::now() + STEP_LIMIT;
        while receiver.received().len() < n * events / (times + 1) {
            assert!(Instant::now() < end, "nothing is delivered");
            std::thread::sleep(Duration::from_millis(5));
        }
        broker.kill();
        broker = broker.restart();
    }
    broker
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_receiver_and_killed_brokers_lose_no_event() {
    let (events, kills) = (
        number("BYTEPASS_TEST_EVENTS", 160),
        number("BYTEPASS_TEST_KILLS", 4),
    );
    let test_env = TestEnv::new().await;
    let receiver = Receiver::answering(|_| match rand::random_range(0..10) {
        0 => Reply::Status(500),
        1 => Reply::Drop,
        2 => Reply::Status(302),
        _ => Reply::Status(200),
    })
    .await;
    let broker = test_env.process(impatient(30, 1_000, vec![receiver.endpoint("shop")]), &[]);
    let token = sign_backend(&backend_token("uploads:confirm attachments:write").expires_in(3_600));
    let (url, next) = (broker.url.clone(), Arc::new(AtomicUsize::new(0)));
    let uploads = events.div_ceil(LIFE);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (api, next) = (Api::new(&url, &token), next.clone());
            tokio::spawn(async move {
                let http = http_client();
                loop {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    if n >= uploads {
                        return;
                    }
                    live(&api, &http, n).await;
                }
            })
        })
        .collect();
    let seen = receiver.clone();
    let killer = tokio::task::spawn_blocking(move || reap(broker, kills, events, &seen));
    for client in clients {
        client.await.expect("no client was told nonsense");
    }
    let broker = killer.await.expect("the broker starts again");
    let open = "SELECT event_id AS line FROM deliveries WHERE state <> 'delivered'";
    let end = Instant::now() + 2 * STEP_LIMIT;
    while !Rows::of(&test_env).lines(open).is_empty() {
        assert!(
            Instant::now() < end,
            "deliveries are left: {:?}",
            Rows::of(&test_env).lines(open)
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(broker);
    let written = Rows::of(&test_env).lines("SELECT id || ' ' || upload_id || ' ' || CAST(seq AS text) AS line FROM events ORDER BY upload_id, seq");
    assert!(written.len() >= events, "only {} events", written.len());
    is_complete_and_ordered(&written, &receiver.received());
}

fn is_complete_and_ordered(written: &[String], received: &[Received]) {
    let mut bodies: HashMap<&str, &str> = HashMap::new();
    // Per upload, the last event that the receiver has answered 200.
    let mut had: HashMap<&str, i64> = HashMap::new();
    for one in received {
        assert!(one.verifies(SECRET));
        let body = bodies.entry(one.id()).or_insert(&one.body);
        assert_eq!(*body, one.body, "a duplicate differs");
        let last = had.entry(one.upload()).or_default();
        assert!(one.seq() <= *last + 1, "{} overtook", one.id());
        if one.answered == 200 {
            *last = (*last).max(one.seq());
        }
    }
    let mut numbers: HashMap<&str, i64> = HashMap::new();
    for line in written {
        let parts: Vec<&str> = line.split(' ').collect();
        let (event, upload) = (parts[0], parts[1]);
        let expected = numbers.entry(upload).or_default();
        *expected += 1;
        assert_eq!(parts[2], expected.to_string(), "a gap in {upload}");
        assert!(bodies.contains_key(event), "{event} was never sent");
    }
    assert_eq!(numbers, had, "what was answered 200 is not what happened");
    let (sent, events) = (received.len(), written.len());
    println!("{events} events in {sent} requests");
    assert!(sent > events, "nothing failed");
}
