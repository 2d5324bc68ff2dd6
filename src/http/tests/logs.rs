use actix_web::test::TestRequest as Ask;

use super::*;
use crate::http::examples;
use crate::telemetry::logging::{LogFormat, subscriber};
use crate::telemetry::tests::Sink;

/// Captures this thread's log lines from now on. The first request refreshes tracing's callsite cache: a callsite that another
/// test's thread used first, without a subscriber, would stay disabled.
async fn capture(filter: &str) -> (Sink, tracing::subscriber::DefaultGuard) {
    let sink = Sink::default();
    let lines = subscriber(filter, LogFormat::Json, sink.clone()).unwrap();
    let guard = tracing::subscriber::set_default(lines);
    send(with_token(Ask::get().uri("/unauthenticated"))).await;
    tracing::callsite::rebuild_interest_cache();
    sink.clear();
    (sink, guard)
}

#[actix_web::test]
async fn logs_and_metrics_contain_routes_and_ids_but_no_client_input() {
    let (sink, guard) = capture("trace").await;
    let metrics = Metrics::new();
    let parts = parts(&options(), &metrics);
    let path = format!("/v1/uploads/{}?canary-query=canary-value", examples::ID);
    for request in [
        with_token(Ask::get().uri(&path)).insert_header(("referer", "https://x/canary-referer")),
        with_token(Ask::get().uri("/v1/uploads/canary-id?a=canary-value")),
        Ask::get().uri("/canary-path"),
        Ask::get()
            .uri("/v1/stats")
            .insert_header(("authorization", "Bearer canary-token")),
        Ask::with_uri("/livez").method("CANARY".parse().unwrap()),
        with_token(Ask::post().uri("/v1/uploads"))
            .insert_header(("content-type", "application/json"))
            .set_payload("{\"canary-member\":\"canary-value\"}"),
    ] {
        send_to(&parts, request).await;
    }
    drop(guard);
    let (log, numbers) = (sink.text(), metrics.render());
    assert!(!log.to_lowercase().contains("canary"), "{log}");
    assert!(!log.contains(token().split('.').next().unwrap()), "{log}");
    assert!(!numbers.to_lowercase().contains("canary"), "{numbers}");
    assert!(
        log.contains(examples::ID) && log.contains("/v1/uploads/{id}"),
        "{log}"
    );
    assert!(
        // 2: the valid and the malformed id both reach the missing broker.
        numbers.contains("route=\"/v1/uploads/{id}\",status=\"500\"} 2"),
        "{numbers}"
    );
    assert!(
        numbers.contains("method=\"GET\",route=\"unmatched\",status=\"404\"} 1"),
        "{numbers}"
    );
}

#[actix_web::test]
async fn server_error_is_logged_once_and_cause_is_not_sent() {
    let (sink, guard) = capture("error").await;
    let answer = send(with_token(Ask::get().uri("/unauthenticated"))).await;
    drop(guard);
    let log = sink.text();
    assert_eq!(log.lines().count(), 1, "{log}");
    let line: Value = serde_json::from_str(log.trim()).unwrap();
    assert_eq!(line["cause"], "the route is not wrapped in authenticate");
    assert_eq!(line["code"], "internal");
    assert_eq!(
        line["span"]["request_id"],
        answer.header("x-request-id").unwrap()
    );
    assert!(!String::from_utf8_lossy(&answer.body).contains("authenticate"));
}
