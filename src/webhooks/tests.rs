//! The outcome of attempts, signatures, and the check of endpoint addresses.

use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderMap;
use secrecy::SecretString;
use standardwebhooks::Webhook;

use super::Webhooks;
use super::endpoint::Signer;
use super::schedule::{self, Answer};
use crate::config::{WebhookEndpoint, WebhookSettings};
use crate::db::Outcome;
use crate::domain::event::EventType;

const OLD: &str = "whsec_b2xkLXNlY3JldC1vbGQtc2VjcmV0LW9sZC1zZWNyZXQ=";
const NEW: &str = "whsec_bmV3LXNlY3JldC1uZXctc2VjcmV0LW5ldy1zZWNyZXQ=";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn settings(schedule_secs: Vec<u32>, jitter_percent: u32) -> WebhookSettings {
    WebhookSettings {
        schedule_secs,
        jitter_percent,
        lease_secs: 60,
        timeout_ms: 1_000,
        max_response_bytes: 8_192,
        endpoints: Vec::new(),
    }
}

fn after(answer: Answer, attempts: u32, random: u32) -> Outcome {
    let settings = settings(vec![0, 5, 300], 20);
    schedule::outcome(&settings, &answer, attempts, now(), random)
}

fn in_secs(secs: i64) -> Outcome {
    Outcome::Retry(now() + TimeDelta::seconds(secs))
}

#[test]
fn only_2xx_is_delivered_and_410_is_gone() {
    for status in [200, 201, 204, 299] {
        assert_eq!(after(Answer::of(status, None), 0, 0), Outcome::Delivered);
    }
    for status in [
        100, 199, 300, 301, 302, 307, 308, 400, 404, 409, 429, 500, 503, 599,
    ] {
        assert_eq!(
            after(Answer::of(status, None), 0, 0),
            in_secs(5),
            "{status}"
        );
    }
    assert_eq!(after(Answer::of(410, None), 0, 0), Outcome::Gone);
    assert_eq!(after(Answer::failed("no".into()), 0, 0), in_secs(5));
}

#[test]
fn pauses_follow_schedule_with_bounded_jitter_until_dead() {
    let failed = || Answer::of(500, None);
    assert_eq!(after(failed(), 0, u32::MAX), in_secs(6));
    assert_eq!(after(failed(), 1, 0), in_secs(300));
    assert_eq!(after(failed(), 1, u32::MAX), in_secs(360));
    assert_eq!(after(failed(), 2, 0), Outcome::Dead);
    assert_eq!(after(failed(), u32::MAX - 1, 0), Outcome::Dead);
}

#[test]
fn retry_after_makes_pause_longer_up_to_a_day_and_never_shorter() {
    let retry_after = |text: &str| after(Answer::of(503, Some(text.into())), 0, 0);
    assert_eq!(retry_after("60"), in_secs(60));
    assert_eq!(retry_after("1"), in_secs(5));
    assert_eq!(retry_after("0"), in_secs(5));
    assert_eq!(retry_after("99999999999999999999"), in_secs(5));
    assert_eq!(retry_after("18446744073709551615"), in_secs(86_400));
    assert_eq!(retry_after("-5"), in_secs(5));
    assert_eq!(retry_after("soon"), in_secs(5));
    let date = (now() + TimeDelta::seconds(90)).format("%a, %d %b %Y %H:%M:%S GMT");
    assert_eq!(retry_after(&date.to_string()), in_secs(90));
    assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), in_secs(5));
}

#[test]
fn long_error_is_cut_between_characters() {
    let answer = Answer::failed("ä".repeat(500));
    assert_eq!(answer.error.unwrap().len(), 200);
    assert_eq!(
        Answer::failed(format!("x{}", "ä".repeat(500)))
            .error
            .unwrap()
            .len(),
        199
    );
}

#[test]
fn two_secrets_give_signatures_that_either_verifies() {
    let signer = Signer::new(&[SecretString::from(NEW), SecretString::from(OLD)]).unwrap();
    let body = "{\"a\":1}";
    let signed = signer
        .headers("evt_1", Utc::now().timestamp(), body)
        .unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in signed {
        headers.insert(name, value.parse().unwrap());
    }
    for secret in [OLD, NEW] {
        let verifier = Webhook::new(secret).unwrap();
        verifier.verify(body.as_bytes(), &headers).unwrap();
        assert!(verifier.verify(b"{\"a\":2}", &headers).is_err());
    }
    let other = Webhook::new("whsec_c3RyYW5nZXItc3RyYW5nZXItc3RyYW5nZXI=").unwrap();
    assert!(other.verify(body.as_bytes(), &headers).is_err());
}

fn with_url(url: &str, allow_private: bool) -> WebhookSettings {
    WebhookSettings {
        endpoints: vec![WebhookEndpoint {
            name: "shop".into(),
            url: url.into(),
            secrets: vec![SecretString::from(NEW)],
            types: EventType::ALL.to_vec(),
            allow_private,
            concurrency: 1,
        }],
        ..settings(vec![0], 0)
    }
}

#[test]
fn plain_http_and_private_addresses_are_refused_unless_allowed() {
    let good = |url: &str, private| Webhooks::check(&with_url(url, private)).is_ok();
    assert!(good("https://shop.example/hooks", false));
    assert!(good("https://shop.example:8443/hooks", false));
    for url in [
        "http://shop.example/",
        "http://127.0.0.1:1/",
        "https://10.0.0.1/",
        "https://a.example:25/",
    ] {
        assert!(!good(url, false), "{url}");
    }
    for url in [
        "http://web:8000/hooks",
        "http://127.0.0.1:1/",
        "https://10.0.0.1/",
    ] {
        assert!(good(url, true), "{url}");
    }
    for url in [
        "http://8.8.8.8/",
        "http://169.254.169.254/",
        "https://169.254.169.254/",
    ] {
        assert!(!good(url, true), "{url}");
    }
}
