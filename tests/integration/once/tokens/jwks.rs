//! Issuers that publish their keys: what is fetched, how often, and what a failed fetch means.

use std::time::{Duration, Instant};

use bytepass::auth::AuthError;
use serde_json::json;

use crate::support::jwks_broker::*;
use crate::support::key_server::{Answer, KeyServer, key_set};
use crate::support::token_signers::*;

#[tokio::test]
async fn ten_thousand_random_key_ids_cause_at_most_one_fetch_in_30_s() {
    let (signer, token) = es();
    let broker = Broker::publishing(&[signer.jwk(KID)]).await;
    broker.ask(&token).await.unwrap();
    assert_eq!(broker.server.fetches(), 1);
    let flood = |from: u64| {
        let tokens = (from..from + 5_000).map(|n| {
            let header = with(signer.header(), "kid", json!(format!("random-{n}")));
            format!(
                "{}.{}.AAAA",
                b64(header.to_string()),
                b64(claims().to_string())
            )
        });
        tokens.collect::<Vec<_>>()
    };
    for token in flood(0) {
        assert_eq!(reason(broker.ask(&token).await, "flood"), UNKNOWN);
    }
    assert_eq!(broker.server.fetches(), 1, "within 30 s of the first fetch");
    broker.pass(30);
    for token in flood(5_000) {
        assert_eq!(reason(broker.ask(&token).await, "flood"), UNKNOWN);
    }
    assert_eq!(broker.server.fetches(), 2, "one more after 30 s");
}

#[tokio::test]
async fn failed_fetches_count_for_the_throttle() {
    let (signer, token) = es();
    let broker = Broker::start(Answer::Status(500, None)).await;
    for _ in 0..50 {
        assert_eq!(broker.ask(&token).await, Err(AuthError::KeysUnavailable));
    }
    assert_eq!(broker.server.fetches(), 1);
    broker
        .server
        .answers(Answer::Body(key_set(&[signer.jwk(KID)])));
    broker.pass(29);
    assert_eq!(broker.ask(&token).await, Err(AuthError::KeysUnavailable));
    broker.pass(1);
    assert!(broker.ask(&token).await.is_ok());
    assert_eq!(broker.server.fetches(), 2);
}

#[tokio::test]
async fn concurrent_callers_share_one_fetch() {
    let (signer, _) = es();
    let body = key_set(&[signer.jwk(KID)]);
    let broker = Broker::start(Answer::Slow(Duration::from_millis(200), body)).await;
    let tokens: Vec<String> = (0..64).map(|n| fresh_token(&signer, n)).collect();
    let outcomes = futures::future::join_all(tokens.iter().map(|token| broker.ask(token))).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(broker.server.fetches(), 1);
}

#[tokio::test]
async fn fetch_continues_after_its_caller_hangs_up() {
    let (signer, token) = es();
    let body = key_set(&[signer.jwk(KID)]);
    let broker = Broker::start(Answer::Slow(Duration::from_millis(200), body)).await;
    let hung_up = tokio::time::timeout(Duration::from_millis(50), broker.ask(&token)).await;
    assert!(hung_up.is_err());
    assert!(broker.ask(&token).await.is_ok());
    assert_eq!(broker.server.fetches(), 1);
}

#[tokio::test]
async fn new_key_is_found_and_tokens_of_a_removed_key_are_refused() {
    let ((old, old_token), (new, _)) = (es(), es());
    let broker = Broker::publishing(&[old.jwk(KID)]).await;
    broker.ask(&old_token).await.unwrap();
    broker
        .server
        .answers(Answer::Body(key_set(&[new.jwk("key-2")])));
    broker.pass(30);
    let header = with(new.header(), "kid", json!("key-2")).to_string();
    let new_token = new.raw(&header, &claims().to_string());
    assert!(broker.ask(&new_token).await.is_ok(), "rotation is found");
    // The old token is cached, but for keys that were removed.
    assert_eq!(reason(broker.ask(&old_token).await, "removed"), UNKNOWN);
}

#[tokio::test]
async fn removed_key_is_refused_within_five_minutes_without_unknown_key_ids() {
    let (signer, token) = es();
    let broker = Broker::publishing(&[signer.jwk(KID)]).await;
    broker.ask(&token).await.unwrap();
    broker.server.answers(Answer::Body(key_set(&[])));
    broker.pass(299);
    assert!(broker.ask(&token).await.is_ok(), "remembered, still fresh");
    broker.pass(1);
    assert_eq!(reason(broker.ask(&token).await, "removed"), UNKNOWN);
}

#[tokio::test]
async fn replaced_key_with_the_same_id_is_refused() {
    let ((old, _), (new, new_token)) = (es(), es());
    let broker = Broker::publishing(&[old.jwk(KID)]).await;
    broker.ask(&fresh_token(&old, 1)).await.unwrap();
    broker
        .server
        .answers(Answer::Body(key_set(&[new.jwk(KID)])));
    broker.pass(300);
    let outcome = broker.ask(&fresh_token(&old, 2)).await;
    assert_eq!(reason(outcome, "swapped"), "the token's signature is wrong");
    assert!(broker.ask(&new_token).await.is_ok());
}

#[tokio::test]
async fn keys_are_used_for_an_hour_of_outage_and_then_fail_closed() {
    let (signer, token) = es();
    let broker = Broker::publishing(&[signer.jwk(KID)]).await;
    broker.ask(&token).await.unwrap();
    broker.server.answers(Answer::Status(503, None));
    broker.pass(3_599);
    assert!(broker.ask(&token).await.is_ok(), "stale, within the hour");
    assert!(broker.server.fetches() >= 2, "it was asked for");
    broker.pass(1);
    for token in [&token, &fresh_token(&signer, 1)] {
        assert_eq!(broker.ask(token).await, Err(AuthError::KeysUnavailable));
    }
    broker
        .server
        .answers(Answer::Body(key_set(&[signer.jwk(KID)])));
    broker.pass(30);
    assert!(broker.ask(&token).await.is_ok(), "and it recovers");
}

#[tokio::test]
async fn keys_older_than_four_minutes_are_refreshed_in_the_background() {
    let (signer, token) = es();
    let broker = Broker::publishing(&[signer.jwk(KID)]).await;
    broker.ask(&token).await.unwrap();
    let body = key_set(&[signer.jwk(KID)]);
    broker
        .server
        .answers(Answer::Slow(Duration::from_secs(1), body));
    broker.pass(240);
    let began = Instant::now();
    assert!(broker.ask(&fresh_token(&signer, 1)).await.is_ok());
    assert!(began.elapsed() < Duration::from_millis(900), "it waited");
    while broker.server.fetches() < 2 {
        assert!(began.elapsed() < Duration::from_secs(5), "no fetch");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn invalid_and_oversized_key_sets_give_no_keys() {
    let (signer, token) = es();
    let keys = |count: usize| {
        let keys = (0..count).map(|n| signer.jwk(&format!("key-{n}")));
        key_set(&keys.collect::<Vec<_>>())
    };
    let mut oversized = keys(2);
    oversized.resize(64 * 1024 + 1, b' ');
    let elsewhere = KeyServer::start(Answer::Body(keys(2))).await;
    let hostile = [
        ("51 keys", Answer::Body(keys(51))),
        ("64 KiB and a byte", Answer::Body(oversized)),
        ("endless", Answer::Endless),
        ("no JSON", Answer::Body(b"<html>".to_vec())),
        ("a list", Answer::Body(b"[]".to_vec())),
        ("no keys", Answer::Body(b"{}".to_vec())),
        (
            "keys twice",
            Answer::Body(b"{\"keys\":[],\"keys\":[]}".to_vec()),
        ),
        ("404", Answer::Status(404, None)),
        ("redirect", Answer::Status(302, Some(elsewhere.url.clone()))),
    ];
    for (case, answer) in hostile {
        let broker = Broker::start(answer).await;
        let outcome = broker.ask(&token).await;
        assert_eq!(outcome, Err(AuthError::KeysUnavailable), "{case}");
    }
    assert_eq!(elsewhere.fetches(), 0, "the redirect was followed");
    let mut largest = keys(50);
    largest.resize(64 * 1024, b' ');
    assert!(
        Broker::start(Answer::Body(largest))
            .await
            .ask(&token)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn silent_key_server_costs_two_seconds_once() {
    let (_, token) = es();
    let broker = Broker::start(Answer::Slow(Duration::from_secs(60), vec![])).await;
    let began = Instant::now();
    assert_eq!(broker.ask(&token).await, Err(AuthError::KeysUnavailable));
    assert!((1_900..4_000).contains(&began.elapsed().as_millis()));
    let began = Instant::now();
    assert_eq!(broker.ask(&token).await, Err(AuthError::KeysUnavailable));
    assert!(began.elapsed() < Duration::from_millis(500));
}
