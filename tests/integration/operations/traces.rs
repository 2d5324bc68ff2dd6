//! Traces by OTLP: a caller's trace continues in the broker, holds no secret, and a failing collector delays nothing.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api, send};
use crate::support::broker_process::{BrokerProcess, free_address};
use crate::support::command::bytepass;
use crate::support::s3_proxy::S3Proxy;
use crate::support::s3_script::{Action, RequestMatch};
use crate::support::test_env::{TestEnv, sign_user, user_token};
use crate::support::trace_collector::{Collector, Span};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes of a picture";
const FILE_NAME: &str = "Ada-Lovelace-1815-passport.jpg";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// Short intervals for tests.
const SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "50");

/// A caller's trace: its id, the caller's span, and whether it is sampled.
fn traceparent(trace: &str, sampled: bool) -> String {
    format!("00-{trace}-00f067aa0ba902b7-0{}", u8::from(sampled))
}

fn token() -> String {
    sign_user(&user_token("1"))
}

fn user_of(broker: &BrokerProcess) -> Api {
    Api::new(&broker.url, &token())
}

async fn traced(user: &Api, path: &str, body: &Value, traceparent: &str) -> Answer {
    let request = user
        .request(Method::POST, path)
        .header("traceparent", traceparent);
    send(match body {
        Value::Null => request,
        body => request.json(body),
    })
    .await
}

fn declaration() -> Value {
    json!({"field": "Product.image", "filename": FILE_NAME, "content_type": "image/jpeg", "size": JPEG.len()})
}

async fn staged(user: &Api, traceparent: &str) -> Answer {
    let created = traced(
        user,
        "/v1/uploads?secret=in-the-query",
        &declaration(),
        traceparent,
    )
    .await;
    let created = if created.status == 201 {
        created
    } else {
        traced(user, "/v1/uploads", &declaration(), traceparent).await
    };
    user.put(&created, JPEG).await.expect(200);
    created
}

fn has(span: &Span, name: &str, value: &str) -> bool {
    span.attributes.get(name).is_some_and(|it| it == value)
}

#[tokio::test(flavor = "multi_thread")]
async fn trace_of_a_caller_reaches_bucket_and_database_and_holds_no_secret() {
    let (test_env, collector) = (TestEnv::new().await, Collector::start().await);
    let secret = "collectors-own-secret";
    let headers = format!("authorization=Bearer%20{secret}");
    let env = [
        (ENDPOINT, collector.endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", &headers),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=test",
        ),
        SOON,
    ];
    let broker = test_env.process(json!({}), &env);
    let (user, trace) = (user_of(&broker), "4bf92f3577b34da6a3ce929d0e0e4736");
    let created = staged(&user, &traceparent(trace, true)).await;
    let path = format!("/v1/uploads/{}/confirm", created.id());
    let confirmed = traced(&user, &path, &Value::Null, &traceparent(trace, true)).await;
    let confirmed = confirmed.expect(200);

    let is_confirm = |span: &Span| span.name == "POST /v1/uploads/{id}/confirm";
    let server = collector.wait("the request", is_confirm).await.remove(0);
    assert_eq!((server.trace.as_str(), server.kind), (trace, 2));
    assert_eq!(server.parent, "00f067aa0ba902b7", "the caller's span");
    assert!(
        has(&server, "http.response.status_code", "200"),
        "{server:?}"
    );
    assert!(
        has(&server, "bytepass.upload_id", created.id()),
        "{server:?}"
    );
    let request_id = confirmed.header("x-request-id");
    assert!(has(&server, "request_id", request_id), "{server:?}");
    assert_eq!(server.resource["service.name"], "bytepass");
    assert_eq!(server.resource["deployment.environment.name"], "test");
    for name in [
        "S3 copy-object",
        "S3 head-object",
        "database read",
        "database write",
    ] {
        let within = |span: &Span| span.name == name && span.parent == server.id;
        let found = collector.wait(name, within).await;
        assert!(found.iter().all(|it| it.trace == trace && it.kind == 3));
    }

    let (token, url) = (
        token(),
        created.json["presigned"]["url"].as_str().expect("a URL"),
    );
    let signature = url.split("X-Amz-Signature=").nth(1).expect("a signature");
    let signature = signature.split('&').next().expect("its value");
    for posted in collector.posted() {
        assert_eq!(posted.path, "/v1/traces");
        assert_eq!(posted.headers["content-type"], "application/x-protobuf");
        assert_eq!(posted.headers["authorization"], format!("Bearer {secret}"));
        let text = String::from_utf8_lossy(&posted.body).into_owned();
        for canary in [token.as_str(), signature, FILE_NAME, secret, "in-the-query"] {
            assert!(!text.contains(canary), "a span shows {canary}");
        }
    }
    let log = broker.log();
    let line = format!("\"trace_id\":\"{trace}\"");
    assert!(log.contains(&line) && !log.contains("otel."), "{log}");
    assert!(!log.contains(secret) && !log.contains("\"s3\""), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sampled_flag_is_respected_and_a_request_without_a_trace_gets_one() {
    let (test_env, collector) = (TestEnv::new().await, Collector::start().await);
    let proxy = S3Proxy::before(&test_env.bucket);
    let change = json!({"storage": {"endpoint": proxy.endpoint(), "public_endpoint": test_env.bucket.server.endpoint}});
    let env = [
        (ENDPOINT, collector.endpoint.as_str()),
        ("OTEL_SERVICE_NAME", "uploads"),
        SOON,
    ];
    let broker = test_env.process(change, &env);
    let (user, unsampled) = (user_of(&broker), "0af7651916cd43dd8448eb211c80319c");
    let created = staged(&user, &traceparent(unsampled, false)).await;
    for nonsense in [
        "",
        "00-zz-11-01",
        "ff-00000000000000000000000000000000-0-01",
    ] {
        traced(&user, "/v1/uploads", &declaration(), nonsense)
            .await
            .expect(201);
    }
    proxy.rule(RequestMatch::copy(), Action::Answer(503, "SlowDown"));
    user.confirm(created.id())
        .await
        .expect_problem(503, "store-unavailable");

    let is_confirm = |span: &Span| span.name == "POST /v1/uploads/{id}/confirm";
    let server = collector.wait("the request", is_confirm).await.remove(0);
    assert_eq!(
        (server.parent.as_str(), server.status),
        ("", 2),
        "{server:?}"
    );
    assert_eq!(server.resource["service.name"], "uploads");
    let is_copy = |span: &Span| span.name == "S3 copy-object" && span.parent == server.id;
    let copy = collector.wait("the copy", is_copy).await.remove(0);
    assert!(
        copy.status == 2 && has(&copy, "error.type", "SlowDown"),
        "{copy:?}"
    );
    let spans = collector.spans();
    assert!(
        spans.iter().all(|span| span.trace != unsampled),
        "{spans:#?}"
    );
    let creates = spans.iter().filter(|span| span.name == "POST /v1/uploads");
    assert_eq!(creates.count(), 3, "{spans:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn last_spans_are_exported_before_exit_and_none_without_an_endpoint() {
    let (test_env, collector) = (TestEnv::new().await, Collector::start().await);
    let env = [
        (ENDPOINT, collector.endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
    ];
    let mut broker = test_env.process(json!({}), &env);
    let uploaded = user_of(&broker)
        .upload("Product.image", JPEG, "image/jpeg")
        .await;
    assert!(collector.posted().is_empty(), "they wait for the batch");
    assert_eq!(broker.terminate().code(), Some(0));
    let spans = collector.spans();
    let confirm = spans
        .iter()
        .find(|it| has(it, "bytepass.upload_id", uploaded.id()));
    assert!(confirm.is_some(), "{spans:#?}");

    let silent = test_env.process(json!({}), &[("OTEL_SERVICE_NAME", "bytepass")]);
    staged(
        &user_of(&silent),
        &traceparent("4bf92f3577b34da6a3ce929d0e0e4736", true),
    )
    .await;
    let log = silent.log();
    assert!(
        log.contains("\"request completed\"") && !log.contains("trace_id"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_or_silent_collector_delays_neither_requests_nor_the_stop() {
    let test_env = TestEnv::new().await;
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_address = silent.local_addr().expect("an address");
    for address in [free_address(), silent_address] {
        let endpoint = format!("http://{address}");
        // A queue that is full at once.
        let env = [
            (ENDPOINT, endpoint.as_str()),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "4"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2"),
            SOON,
        ];
        let mut broker = test_env.process(json!({}), &env);
        let user = user_of(&broker);
        let begun = Instant::now();
        for _ in 0..5 {
            user.upload("Product.image", JPEG, "image/jpeg").await;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{:?}",
            begun.elapsed()
        );
        if address != silent_address {
            let begun = Instant::now();
            while !broker.log().contains("takes no spans") {
                assert!(
                    begun.elapsed() < Duration::from_secs(20),
                    "{}",
                    broker.log()
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert_eq!(broker.log().matches("takes no spans").count(), 1);
        }
        let begun = Instant::now();
        assert_eq!(broker.terminate().code(), Some(0));
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{:?}",
            begun.elapsed()
        );
    }
}

#[tokio::test]
async fn unsupported_otel_variables_are_configuration_errors() {
    let folder = TestEnv::new().await.configured(json!({}));
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        (ENDPOINT, "collector.example:4318"),
        (ENDPOINT, "http://collector-without-tls@93.184.215.14"),
        (ENDPOINT, "http://93.184.215.14:4318"),
    ] {
        let env = [(ENDPOINT, "http://127.0.0.1:4318"), (name, value)];
        let outcome = bytepass(folder.path(), &["serve", "--config", "bytepass.toml"], &env);
        let line = outcome.expect_line(2);
        assert!(line.contains(name) && line.contains("traces"), "{line}");
    }
}
