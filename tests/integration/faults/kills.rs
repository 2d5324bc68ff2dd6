//! Brokers are killed at random while clients work and repeat requests without an answer. Afterwards every answer given is still
//! true, every object is as recorded, and the events of every upload have no gap and one end.
//!
//! `BYTEPASS_TEST_KILLS` says how often; two processes share the database, on SQLite too, whose lock and WAL allow it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::Rng;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api, http_client, presigned};
use crate::support::broker_process::BrokerProcess;
use crate::support::setting;
use crate::support::test_env::{TestEnv, backend_token, sign_backend, sign_user, user_token};
use crate::support::upload_rows::StoredUploads;

const CLIENTS: usize = 4;
/// The time limit for one step of a client, including restarts of brokers.
const STEP_LIMIT: Duration = Duration::from_secs(60);

/// The answers that a client got about one upload.
#[derive(Default)]
struct ClientView {
    id: String,
    bytes: Vec<u8>,
    /// The answer of the first successful confirm.
    confirmed: Option<Value>,
    deleted: bool,
}

/// A client that uses any broker, and repeats requests without a clear answer.
struct Client {
    brokers: Vec<Api>,
    put: reqwest::Client,
}

impl Client {
    fn new(urls: &[String], subject: &str) -> Client {
        let token = sign_user(&user_token(subject).expires_in(3_600));
        Client {
            brokers: urls.iter().map(|url| Api::new(url, &token)).collect(),
            put: http_client(),
        }
    }

    /// Repeats the request until the status is one of these; a dead connection and a 503 are retried, anything else fails the test.
    async fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
        good: &[u16],
    ) -> Answer {
        let end = Instant::now() + STEP_LIMIT;
        loop {
            let broker = &self.brokers[rand::random_range(0..self.brokers.len())];
            let mut request = broker.request(method.clone(), path);
            if let Some(body) = body {
                request = request.json(body);
            }
            if let Ok(response) = request.send().await
                && let Some(answer) = whole(response).await
            {
                if good.contains(&answer.status) {
                    return answer;
                }
                assert_eq!(answer.status, 503, "{method} {path}: {answer:?}");
            }
            assert!(Instant::now() < end, "{method} {path} never succeeds");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// One upload from create to confirm, sometimes to delete.
    async fn upload(&self, number: usize) -> ClientView {
        let mut bytes = format!("picture {number} ").into_bytes();
        bytes.extend_from_slice(&rand::random::<[u8; 32]>());
        let body = json!({"field": "Product.image", "filename": "a.jpg", "content_type": "image/jpeg", "size": bytes.len()});
        let created = self
            .ask(reqwest::Method::POST, "/v1/uploads", Some(&body), &[201])
            .await;
        let put = presigned(&self.put, &created.json["presigned"]).body(bytes.clone());
        assert_eq!(put.send().await.expect("the bucket lives").status(), 200);
        let mut views = ClientView {
            id: created.id().to_owned(),
            bytes,
            ..ClientView::default()
        };
        let path = format!("/v1/uploads/{}", views.id);
        let confirm = format!("{path}/confirm");
        let confirmed = self
            .ask(reqwest::Method::POST, &confirm, None, &[200])
            .await;
        let again = self
            .ask(reqwest::Method::POST, &confirm, None, &[200])
            .await;
        assert_eq!(again.json["key"], confirmed.json["key"]);
        views.confirmed = Some(confirmed.upload());
        if number % 4 == 3 {
            self.ask(reqwest::Method::DELETE, &path, None, &[204]).await;
            views.deleted = true;
        }
        views
    }
}

/// The answer, unless its connection died on the way.
async fn whole(response: reqwest::Response) -> Option<Answer> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.ok()?;
    let json = serde_json::from_str(&text).unwrap_or(Value::Null);
    Some(Answer {
        status,
        headers,
        json,
        text,
    })
}

fn kills() -> usize {
    setting("BYTEPASS_TEST_KILLS").map_or(5, |text| {
        text.parse().expect("BYTEPASS_TEST_KILLS is a number")
    })
}

/// Kills one of the brokers at a random moment and starts it again, `kills` times.
fn reap(mut brokers: Vec<BrokerProcess>, times: usize) -> Vec<BrokerProcess> {
    let mut random = rand::rng();
    for _ in 0..times {
        std::thread::sleep(Duration::from_millis(random.random_range(50..600)));
        let mut victim = brokers.swap_remove(random.random_range(0..brokers.len()));
        victim.kill();
        std::thread::sleep(Duration::from_millis(random.random_range(0..200)));
        brokers.push(victim.restart());
    }
    brokers
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_killed_at_random_keep_every_answer_they_gave() {
    let test_env = TestEnv::new().await;
    let brokers = vec![
        test_env.process(json!({}), &[]),
        test_env.process(json!({}), &[]),
    ];
    let urls: Vec<String> = brokers.iter().map(|broker| broker.url.clone()).collect();
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (client, over) = (Client::new(&urls, &number.to_string()), over.clone());
            tokio::spawn(async move {
                let mut views = Vec::new();
                while !over.load(Ordering::SeqCst) {
                    views.push(client.upload(views.len()).await);
                }
                views
            })
        })
        .collect();
    let killer = tokio::task::spawn_blocking(|| reap(brokers, kills()));
    let brokers = killer.await.expect("every broker starts again");
    over.store(true, Ordering::SeqCst);
    let mut views = Vec::new();
    for client in clients {
        views.extend(client.await.expect("no client got a wrong answer"));
    }
    println!("{} kills, {} uploads", kills(), views.len());
    assert!(views.len() >= CLIENTS, "no upload was completed");
    let backend = sign_backend(&backend_token("uploads:confirm"));
    let reader = Api::new(&brokers[0].url, &backend);
    for upload in &views {
        is_true(&test_env, &reader, upload).await;
    }
    every_row_is_sound(&test_env, &views);
}

/// The answers of the client agree with the tables and the bucket.
async fn is_true(test_env: &TestEnv, reader: &Api, views: &ClientView) {
    let now = reader.read(&views.id).await.expect(200).json;
    let confirmed = views
        .confirmed
        .as_ref()
        .expect("each client goes on until then");
    let key = confirmed["key"].as_str().expect("a key");
    let object = test_env.bucket.get(key).await;
    if views.deleted {
        assert_eq!(now["status"], "deleted");
        // A broker killed between row and object leaves the object to the sweeper, and says so in the row.
        let noted = StoredUploads::of(&test_env.database)
            .upload(&views.id)
            .removed_at
            .is_some();
        assert!(
            object.is_none() || !noted,
            "{key} is there, and said to be gone"
        );
        return;
    }
    assert_eq!(&now, confirmed, "an acknowledged confirm changed");
    assert_eq!(object.as_deref(), Some(views.bytes.as_slice()), "{key}");
}

/// Every row, including those without an answered create: events without a gap, a version that counts them, at most one recorded key.
fn every_row_is_sound(test_env: &TestEnv, views: &[ClientView]) {
    let mut records = StoredUploads::of(&test_env.database);
    let rows = records.uploads();
    assert!(rows.len() >= views.len());
    for row in rows {
        let events = records.events(&row.id);
        let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
        let expected: &[&str] = match row.status.as_str() {
            "pending" => &[],
            "confirmed" => &["upload.confirmed"],
            "deleted" => &["upload.confirmed", "upload.deleted"],
            other => panic!("{}: nobody asked for {other}", row.id),
        };
        assert_eq!(kinds, expected, "{}", row.id);
        let numbers: Vec<i64> = events.iter().map(|event| event.seq).collect();
        assert_eq!(numbers, (1..=row.version).collect::<Vec<_>>());
        let attempts = records.attempts(&row.id);
        let recorded: Vec<_> = attempts
            .into_iter()
            .filter(|it| it.state == "recorded")
            .map(|it| it.object_key)
            .collect();
        assert_eq!(recorded, Vec::from_iter(row.object_key), "{}", row.id);
    }
}
