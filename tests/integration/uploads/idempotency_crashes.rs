//! A broker or its database dies between the effect and the answer: the retry has the same outcome.

use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::broker_process::BrokerProcess;
use crate::support::postgres_proxy::{PostgresProxy, StatementFault, Trigger};
use crate::support::rows::Rows;
use crate::support::test_env::{TestEnv, backend_token, sign_backend};
use crate::support::upload_rows::is_retryable;

const LIMIT: Duration = Duration::from_secs(30);
const KEYS: usize = 12;

/// The requests: creates of an upload and a grant, each with the rows that it makes.
const ROUTES: [(&str, &str); 2] = [("/v1/uploads", "uploads"), ("/v1/grants", "grants")];

fn body(path: &str) -> Value {
    match path {
        "/v1/grants" => json!({"field": "Product.image", "owner": "user:1"}),
        _ => json!({
            "field": "Product.image", "owner": "user:1", "filename": "a.jpg", "content_type": "image/jpeg", "size": 9,
        }),
    }
}

fn request(api: &Api, path: &str, key: &str) -> reqwest::RequestBuilder {
    let request = api.request(Method::POST, path);
    request.header("idempotency-key", key).json(&body(path))
}

/// Repeats until it succeeds; a dead connection, a 503 and `request-in-progress` are retried.
async fn insist(api: &Api, path: &str, key: &str) -> Answer {
    let end = Instant::now() + LIMIT;
    loop {
        if let Ok(response) = request(api, path, key).send().await {
            let answer = Answer::read(response).await;
            match answer.status {
                201 => return answer,
                409 => drop(answer.expect_problem(409, "request-in-progress")),
                _ => is_retryable(&answer),
            }
        }
        assert!(Instant::now() < end, "no answer to {path} {key}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// The outcome: the upload's id, or the grant's id and expiry.
fn outcome(answer: &Answer) -> String {
    match answer.json["id"].as_str() {
        Some(id) => id.to_owned(),
        None => {
            use base64::Engine as _;
            let token = answer.json["grant"].as_str().expect("a grant");
            let claims = token.split('.').nth(1).expect("claims");
            let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims);
            let claims: Value = serde_json::from_slice(&text.expect("base64")).expect("JSON");
            claims["jti"].as_str().expect("an id").to_owned()
        }
    }
}

fn rows(test_env: &TestEnv, table: &str) -> Vec<String> {
    Rows::of(test_env).lines(&format!("SELECT id AS line FROM {table} ORDER BY id"))
}

fn service_of(url: &str) -> Api {
    Api::new(
        url,
        &sign_backend(&backend_token("uploads:confirm grants:write")),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn broker_killed_during_keyed_requests_leaves_one_outcome_for_each_key() {
    let test_env = TestEnv::new().await;
    let mut broker: BrokerProcess = test_env.process(json!({}), &[]);
    let mut answered: Vec<(usize, String, String)> = Vec::new();
    for round in 0..4u64 {
        let service = service_of(&broker.url);
        let requests = (0..KEYS).map(|n| {
            let (route, key) = (n % 2, format!("r{round}-{n}"));
            let request = request(&service, ROUTES[route].0, &key);
            tokio::spawn(async move {
                let response = request.send().await.ok()?;
                let answer = Answer::read(response).await;
                (answer.status == 201).then(|| (route, key, outcome(&answer)))
            })
        });
        let requests: Vec<_> = requests.collect();
        tokio::time::sleep(Duration::from_millis(round * 7)).await;
        broker.kill();
        for answer in join_all(requests).await {
            // A task that panicked got half an answer, which counts as none.
            answered.extend(answer.ok().flatten());
        }
        broker = broker.restart();
        let service = service_of(&broker.url);
        for n in 0..KEYS {
            let (path, key) = (ROUTES[n % 2].0, format!("r{round}-{n}"));
            let outcome = outcome(&insist(&service, path, &key).await);
            answered.push((n % 2, key, outcome));
        }
    }
    answered.sort();
    answered.dedup();
    for (route, (_, table)) in ROUTES.iter().enumerate() {
        let mut outcomes: Vec<String> = answered
            .iter()
            .filter(|(of, _, _)| *of == route)
            .map(|(_, _, outcome)| outcome.clone())
            .collect();
        outcomes.sort();
        assert_eq!(outcomes.len(), KEYS / 2 * 4, "one outcome for each key");
        assert_eq!(rows(&test_env, table), outcomes, "and no other row");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keyed_request_cut_at_any_statement_has_one_outcome() {
    let test_env = TestEnv::new().await;
    let Some(database) = test_env.database.needs_postgres() else {
        return;
    };
    let proxy = PostgresProxy::start(database.server());
    let url = database.url_through(proxy.network.address());
    let broker = test_env
        .broker_with(json!({"database": {"url": url}}))
        .await;
    let service = service_of(&broker.url);
    for (path, table) in ROUTES {
        insist(&service, path, "warm").await;
        let before = proxy.statements().len();
        insist(&service, path, "counted").await;
        let statements = proxy.statements().len() - before;
        assert!(statements >= 4, "BEGIN, the key, the row, COMMIT");
        let mut outcomes = Vec::new();
        for nth in 1..=statements {
            for (name, fault) in [
                ("cut", StatementFault::CutBefore),
                ("lost", StatementFault::LoseAnswer),
            ] {
                let key = format!("{name}-{nth}");
                proxy.rule(Trigger::Statement(""), nth, fault);
                let first = outcome(&insist(&service, path, &key).await);
                proxy.clear();
                let again = outcome(&insist(&service, path, &key).await);
                assert_eq!(again, first, "{path} {key}");
                outcomes.push(first);
            }
        }
        let made = rows(&test_env, table);
        assert_eq!(made.len(), outcomes.len() + 2, "{table}: no second row");
        assert!(outcomes.iter().all(|it| made.contains(it)));
    }
}
