//! The broker's credentials come from a container endpoint and expire. A URL never states a time after their expiry, it works until
//! the time it states, and without valid credentials the answer is a 503.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::api::{Answer, Api, http_client, presigned};
use crate::support::broker_process::BrokerProcess;
use crate::support::temporary_credentials::TemporaryCredentials;
use crate::support::test_env::{TestEnv, sign_user, user_token};
use crate::support::upload_rows::is_retryable;

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes of a picture";
/// The lifetime of credentials: a minute is the broker's margin, the rest is the longest expiry of a URL.
const LIFE_SECS: i64 = 72;
const PATIENCE: Duration = Duration::from_secs(40);

/// `serve` without keys in its configuration, and with nothing of the machine's own in its environment.
fn broker_without_keys(test_env: &TestEnv, server: &TemporaryCredentials) -> BrokerProcess {
    let storage = json!({"endpoint": server.url, "access_key_id": "", "secret_access_key": ""});
    let credentials = format!("{}/credentials", server.url);
    let env = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", credentials.as_str()),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", ""),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_PROFILE", "default"),
        ("AWS_CONFIG_FILE", "/nonexistent/config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials"),
    ];
    let env = env
        .iter()
        .filter(|(name, value)| !value.is_empty() || std::env::var_os(name).is_some());
    test_env.process(
        json!({ "storage": storage }),
        &env.copied().collect::<Vec<_>>(),
    )
}

fn stated_end(answer: &Answer) -> DateTime<Utc> {
    let text = answer.json["presigned"]["expires_at"].as_str();
    text.expect("a time").parse().expect("RFC 3339")
}

/// Fails the test if the URL expires after all credentials returned so far, or has already expired.
fn is_in_time(created: &Answer, server: &TemporaryCredentials) {
    let (stated, end) = (stated_end(created), server.ends_at());
    assert!(
        stated <= end,
        "{stated} is after the credentials' end {end}"
    );
    assert!(
        stated > Utc::now() - TimeDelta::seconds(1),
        "{stated} is over already"
    );
}

async fn create(user: &Api) -> Answer {
    user.create("Product.image", JPEG, "image/jpeg").await
}

async fn put(presigned_request: &Value) -> (u16, String) {
    let request = presigned(&http_client(), presigned_request).body(JPEG);
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.text().await.expect("a body"))
}

async fn until(time: DateTime<Utc>) {
    if let Ok(left) = (time - Utc::now()).to_std() {
        tokio::time::sleep(left).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn presigned_url_works_until_its_end_and_never_outlives_its_credentials() {
    let test_env = TestEnv::new().await;
    let server = TemporaryCredentials::start(TimeDelta::seconds(LIFE_SECS)).await;
    let broker = broker_without_keys(&test_env, &server);
    let user = Api::new(&broker.url, &sign_user(&user_token("1")));
    let first = create(&user).await.expect(201);
    is_in_time(&first, &server);
    let left = stated_end(&first) - Utc::now();
    assert!(
        left <= TimeDelta::seconds(LIFE_SECS - 60),
        "{left}: a minute of margin"
    );
    assert_eq!(put(&first.json["presigned"]).await.0, 200);
    let given = server.given();

    until(stated_end(&first) - TimeDelta::milliseconds(1_500)).await;
    assert_eq!(put(&first.json["presigned"]).await, (200, String::new()));
    until(stated_end(&first) + TimeDelta::seconds(1)).await;
    assert_eq!(put(&first.json["presigned"]).await.0, 403, "after its end");

    // Renewed before that, in the background.
    assert!(server.given() > given);
    let renewed = create(&user).await.expect(201);
    is_in_time(&renewed, &server);
    assert!(stated_end(&renewed) > stated_end(&first));
    assert_eq!(put(&renewed.json["presigned"]).await, (200, String::new()));
    let path = format!("/v1/uploads/{}/presign", first.id());
    let again = user.post_empty(&path).await.expect(200);
    is_in_time(&again, &server);
    assert_eq!(put(&again.json["presigned"]).await, (200, String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn create_without_credentials_answers_503_and_succeeds_later() {
    let test_env = TestEnv::new().await;
    let server = TemporaryCredentials::start(TimeDelta::seconds(LIFE_SECS)).await;
    let broker = broker_without_keys(&test_env, &server);
    let user = Api::new(&broker.url, &sign_user(&user_token("1")));
    is_in_time(&create(&user).await.expect(201), &server);
    server.set_down(true);
    // The remaining lifetime may still sign; afterwards nothing may.
    let end = Instant::now() + PATIENCE;
    let refused = loop {
        let answer = create(&user).await;
        if answer.status != 201 {
            break answer;
        }
        is_in_time(&answer, &server);
        let outcome = put(&answer.json["presigned"]).await;
        let in_time = Utc::now() < stated_end(&answer);
        assert!(outcome.0 == 200 || !in_time, "{outcome:?}");
        assert!(Instant::now() < end, "it signs with credentials that ended");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(refused.code(), "store-unavailable", "{refused:?}");
    is_retryable(&refused);
    server.set_down(false);
    let end = Instant::now() + PATIENCE;
    let created = loop {
        let answer = create(&user).await;
        if answer.status == 201 {
            break answer;
        }
        is_retryable(&answer);
        assert!(Instant::now() < end, "it does not recover");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    is_in_time(&created, &server);
    assert_eq!(put(&created.json["presigned"]).await, (200, String::new()));
}
