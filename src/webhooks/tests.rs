//! What an answer leads to, and what a signature covers.

use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderMap;
use secrecy::SecretString;
use standardwebhooks::Webhook;

use super::schedule::{Answer, Schedule};
use super::sign::Signer;
use super::{EndpointOptions, WebhookOptions, Webhooks};
use crate::db::Outcome;
use crate::domain::event::EventType;

const OLD: &str = "whsec_b2xkLXNlY3JldC1vbGQtc2VjcmV0LW9sZC1zZWNyZXQ=";
const NEW: &str = "whsec_bmV3LXNlY3JldC1uZXctc2VjcmV0LW5ldy1zZWNyZXQ=";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn schedule() -> Schedule {
    Schedule {
        pauses_secs: vec![0, 5, 300],
        jitter_percent: 20,
    }
}

fn after(answer: Answer, before: u32, chance: u32) -> Outcome {
    schedule().outcome(&answer, before, now(), chance)
}

fn in_secs(secs: i64) -> Outcome {
    Outcome::Retry(now() + TimeDelta::seconds(secs))
}

#[test]
fn only_a_2xx_is_success_and_410_ends_it() {
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
fn pauses_follow_the_schedule_with_bounded_jitter_and_end_in_death() {
    let failed = || Answer::of(500, None);
    assert_eq!(after(failed(), 0, u32::MAX), in_secs(6));
    assert_eq!(after(failed(), 1, 0), in_secs(300));
    assert_eq!(after(failed(), 1, u32::MAX), in_secs(360));
    assert_eq!(after(failed(), 2, 0), Outcome::Dead);
    assert_eq!(after(failed(), u32::MAX - 1, 0), Outcome::Dead);
}

#[test]
fn retry_after_makes_a_pause_longer_and_never_shorter_or_endless() {
    let wish = |text: &str| after(Answer::of(503, Some(text.into())), 0, 0);
    assert_eq!(wish("60"), in_secs(60));
    assert_eq!(wish("1"), in_secs(5));
    assert_eq!(wish("0"), in_secs(5));
    assert_eq!(wish("99999999999999999999"), in_secs(5));
    assert_eq!(wish("18446744073709551615"), in_secs(86_400));
    assert_eq!(wish("-5"), in_secs(5));
    assert_eq!(wish("soon"), in_secs(5));
    let date = (now() + TimeDelta::seconds(90)).format("%a, %d %b %Y %H:%M:%S GMT");
    assert_eq!(wish(&date.to_string()), in_secs(90));
    assert_eq!(wish("Wed, 21 Oct 2015 07:28:00 GMT"), in_secs(5));
}

#[test]
fn an_error_is_cut_between_characters() {
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
fn while_a_secret_is_being_replaced_both_verify() {
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
    let stranger = Webhook::new("whsec_c3RyYW5nZXItc3RyYW5nZXItc3RyYW5nZXI=").unwrap();
    assert!(stranger.verify(body.as_bytes(), &headers).is_err());
}

fn with_url(url: &str, allow_private: bool) -> WebhookOptions {
    WebhookOptions {
        endpoints: vec![EndpointOptions {
            name: "shop".into(),
            url: url.into(),
            secrets: vec![SecretString::from(NEW)],
            types: EventType::ALL.to_vec(),
            allow_private,
            concurrency: 1,
        }],
        schedule_secs: vec![0],
        jitter_percent: 0,
        lease_secs: 60,
        timeout_ms: 1_000,
        max_response_bytes: 8_192,
    }
}

#[test]
fn c2_plain_http_and_private_addresses_need_to_be_allowed() {
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
