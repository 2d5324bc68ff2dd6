//! Invalid tokens at the real server. `once::tokens` holds all forgeries; these tests show that HTTP requires a token.

use super::*;
use crate::support::test_env::{sign_user, user_token};
use crate::support::tokens::now_secs;

const SECRET: &[u8] = b"users-secret-of-the-tests-32-bytes-long";

#[tokio::test]
async fn forged_or_expired_token_answers_401_with_a_challenge() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let good = sign_user(&user_token("1"));
    let user = |token: &str| broker.anonymous().with_token(token);
    user(&good).get("/v1/uploads").await.expect(200);
    let none = user_token("1").header("alg", json!("none"));
    let (head, signature) = good.rsplit_once('.').expect("three parts");
    let (_, claims) = head.split_once('.').expect("two parts");
    let other = sign_user(&user_token("2"));
    let other_head = other.rsplit_once('.').expect("three parts").0;
    let cases = [
        ("none", format!("{}.", none.unsigned())),
        ("none, signed", none.sign(SECRET)),
        (
            "another key",
            user_token("1").sign(b"another secret, also of thirty-two bytes or more"),
        ),
        (
            "the issuer's name with a backend's key",
            user_token("1").sign(b"backends-secret-of-the-tests-32-bytes-long"),
        ),
        ("expired", sign_user(&user_token("1").expires_in(-60))),
        (
            "no exp",
            sign_user(&user_token("1").claim("exp", Value::Null)),
        ),
        (
            "no aud",
            sign_user(&user_token("1").claim("aud", Value::Null)),
        ),
        (
            "another aud",
            sign_user(&user_token("1").claim("aud", json!("other"))),
        ),
        (
            "no iss",
            sign_user(&user_token("1").claim("iss", Value::Null)),
        ),
        (
            "no sub",
            sign_user(&user_token("1").claim("sub", Value::Null)),
        ),
        (
            "another iss",
            sign_user(&user_token("1").claim("iss", json!("https://evil.example"))),
        ),
        ("a week", sign_user(&user_token("1").expires_in(7 * 86_400))),
        (
            "jku",
            sign_user(&user_token("1").header("jku", json!("https://evil.example/keys"))),
        ),
        (
            "crit",
            sign_user(&user_token("1").header("crit", json!(["exp"]))),
        ),
        (
            "another's claims under this signature",
            format!("{other_head}.{signature}"),
        ),
        ("no signature", format!("{head}.")),
        ("claims only", claims.to_owned()),
        ("words", "let me in".to_owned()),
        ("long", "a".repeat(10_000)),
    ];
    for (what, token) in cases {
        let answer = user(&token).get("/v1/uploads").await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "token-invalid"),
            "{what}"
        );
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let challenge = answer.header("www-authenticate");
        assert!(
            challenge.starts_with("Bearer realm=\"bytepass\", error=\"invalid_token\""),
            "{what}: {challenge}"
        );
        assert!(!answer.text.contains(&token), "{what} is repeated");
    }
    user(&good).get("/v1/uploads").await.expect(200);
}

#[tokio::test]
async fn token_is_read_from_one_authorization_header_only() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let good = sign_user(&user_token("1"));
    let ask = |path: &str| broker.anonymous().request(Method::GET, path);
    for request in [
        ask("/v1/uploads"),
        ask("/v1/uploads").header("cookie", format!("token={good}; access_token={good}")),
        ask("/v1/uploads").header("x-forwarded-authorization", format!("Bearer {good}")),
        ask("/v1/uploads").header("authorization", "Bearer"),
        ask("/v1/uploads").header("authorization", "Bearer "),
        ask(&format!("/v1/uploads?access_token={good}")),
    ] {
        let answer = send(request).await.expect_problem(401, "token-missing");
        assert_eq!(
            answer.header("www-authenticate"),
            "Bearer realm=\"bytepass\""
        );
    }
    let bearer = format!("Bearer {good}");
    for request in [
        ask("/v1/uploads").header("authorization", format!("Basic {good}")),
        ask("/v1/uploads").header("authorization", &good),
        ask("/v1/uploads").header("authorization", format!("Bearer {good} {good}")),
        ask("/v1/uploads")
            .header("authorization", &bearer)
            .header("authorization", &bearer),
    ] {
        send(request).await.expect_problem(401, "token-invalid");
    }
    let lower = ask("/v1/uploads").header("authorization", format!("bearer {good}"));
    send(lower).await.expect(200);
}

#[tokio::test]
async fn clock_difference_above_the_leeway_is_refused() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let strict = test_env
        .broker_with(json!({"auth": {"leeway_secs": 0}}))
        .await;
    let cases = [
        ("ended 10 s ago", user_token("1").expires_in(-10), true),
        ("ended 45 s ago", user_token("1").expires_in(-45), false),
        (
            "begins in 10 s",
            user_token("1").claim("nbf", json!(now_secs() + 10)),
            true,
        ),
        (
            "begins in 90 s",
            user_token("1").claim("nbf", json!(now_secs() + 90)),
            false,
        ),
        (
            "was issued 10 s from now",
            user_token("1").claim("iat", json!(now_secs() + 10)),
            true,
        ),
        (
            "was issued 90 s from now",
            user_token("1").claim("iat", json!(now_secs() + 90)),
            false,
        ),
    ];
    for (what, token, within) in cases {
        let token = sign_user(&token);
        let answer = broker
            .anonymous()
            .with_token(&token)
            .get("/v1/uploads")
            .await;
        assert_eq!(answer.status == 200, within, "{what}: {}", answer.text);
        let answer = strict
            .anonymous()
            .with_token(&token)
            .get("/v1/uploads")
            .await;
        assert_eq!(answer.status, 401, "{what}, without a leeway");
    }
}

#[tokio::test]
async fn accepted_token_is_refused_as_soon_as_it_expires() {
    let test_env = TestEnv::new().await;
    let broker = test_env
        .broker_with(json!({"auth": {"leeway_secs": 0}}))
        .await;
    let token = sign_user(&user_token("1").expires_in(3));
    let caller = broker.anonymous().with_token(&token);
    caller.get("/v1/uploads").await.expect(200);
    let begun = std::time::Instant::now();
    // A verified token is cached for up to a minute, and must still expire on time.
    while caller.get("/v1/uploads").await.status == 200 {
        assert!(begun.elapsed().as_secs() < 20, "the token outlived its end");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let answer = caller.get("/v1/uploads").await;
    answer.expect_problem(401, "token-invalid");
}
