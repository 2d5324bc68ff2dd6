use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use super::logging::{LogFormat, install, subscriber};
use super::metrics::Metrics;

/// A writer whose text a test can read.
#[derive(Clone, Default)]
pub(crate) struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Sink {
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Sink;
    fn make_writer(&'a self) -> Sink {
        self.clone()
    }
}

#[test]
fn other_crates_never_log_below_warn() {
    for filter in [
        "trace",
        "aws_sigv4=trace,hyper=trace,bytepass=trace",
        "bytepassenger=trace",
    ] {
        let sink = Sink::default();
        let lines = subscriber(filter, LogFormat::Json, sink.clone()).unwrap();
        tracing::subscriber::with_default(lines, || {
            tracing::trace!(target: "aws_sigv4::http_request::sign", "canary-signing-key");
            tracing::debug!(target: "aws_smithy_runtime::client", "canary-request");
            tracing::info!(target: "hyper::proto", "canary-hyper");
            tracing::trace!(target: "bytepassenger", "canary-neighbor");
            tracing::warn!(target: "aws_config", "heard: credentials expire");
            tracing::trace!(target: "bytepass::storage", "heard: ours");
        });
        let text = sink.text();
        assert!(!text.contains("canary"), "{filter}: {text}");
        assert_eq!(
            text.contains("heard: ours"),
            filter != "bytepassenger=trace"
        );
    }
}

#[test]
fn json_line_is_one_object_with_its_span() {
    let sink = Sink::default();
    let lines = subscriber("info", LogFormat::Json, sink.clone()).unwrap();
    tracing::subscriber::with_default(lines, || {
        let _in = tracing::info_span!(target: "bytepass", "request", request_id = "7").entered();
        tracing::info!(target: "bytepass", status = 200, "answered\nnot a second line");
    });
    let line: serde_json::Value = serde_json::from_str(sink.text().trim_end()).unwrap();
    assert_eq!(line["status"], 200);
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["target"], "bytepass");
    assert_eq!(line["message"], "answered\nnot a second line");
    assert_eq!(line["span"]["request_id"], "7");
    let time = line["timestamp"].as_str().unwrap();
    chrono::DateTime::parse_from_rfc3339(time).unwrap();
}

#[test]
fn installing_twice_succeeds_and_a_bad_filter_is_a_clear_error() {
    install("warn", LogFormat::Json, None).unwrap();
    install("warn", LogFormat::Text, None).unwrap();
    let error = install("bytepass=loud", LogFormat::Json, None)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("bytepass=loud") && error.contains("debug"),
        "{error}"
    );
}

#[test]
fn brokers_in_one_process_have_separate_metrics() {
    let (one, two) = (Metrics::new(), Metrics::new());
    one.upload_created("Product.image");
    assert!(
        one.render()
            .contains(r#"bytepass_uploads_created_total{field="Product.image"} 1"#)
    );
    assert!(!two.render().contains("Product.image"));
}

#[test]
fn every_metric_has_the_product_prefix_and_is_rendered() {
    let metrics = Metrics::new();
    metrics.upload_created("Product.image");
    metrics.transition("Product.image", "pending", "confirmed", "client");
    metrics.http_answered("POST", "/v1/uploads", 201, Duration::from_millis(3));
    metrics.s3_call("CopyObject", "ok", Duration::from_millis(9));
    metrics.confirm_took(Duration::from_millis(20));
    metrics.batch_written(17);
    metrics.webhook_attempted("shop", "delivered");
    let text = metrics.render();
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    assert_eq!(names.len(), 8, "{text}");
    assert!(
        names.iter().all(|name| name.starts_with("bytepass_")),
        "{names:?}"
    );
    assert!(text.contains(r#"bytepass_upload_status_changes_total{by="client",field="Product.image",from="pending",to="confirmed"} 1"#));
    assert!(text.contains(r#"bytepass_http_request_duration_seconds_count{method="POST",route="/v1/uploads",status="201"} 1"#));
}

#[test]
fn unknown_code_of_a_store_does_not_become_a_label() {
    let metrics = Metrics::new();
    metrics.s3_call(
        "HeadObject",
        "https://bucket/x?X-Amz-Signature=canary",
        Duration::ZERO,
    );
    metrics.s3_call("HeadObject", &"x".repeat(65), Duration::ZERO);
    let text = metrics.render();
    assert!(!text.contains("canary") && !text.contains("xxx"), "{text}");
    assert!(text.contains(
        r#"bytepass_s3_request_duration_seconds_count{code="other",operation="HeadObject"} 2"#
    ));
}

#[test]
fn bucket_calls_are_counted_by_operation_and_code() {
    let metrics = Metrics::new();
    for code in ["ok", "ok", "NoSuchKey", "ok"] {
        metrics.s3_call("copy-object", code, Duration::from_millis(3));
    }
    let named = |code: &str, count| ("copy-object".to_owned(), code.to_owned(), count);
    assert_eq!(metrics.s3_calls(), [named("NoSuchKey", 1), named("ok", 3)]);
}

#[test]
fn sweeper_numbers_tell_done_deferred_and_failed_apart() {
    let metrics = Metrics::new();
    assert!(metrics.sweeps().is_empty());
    for (result, count) in [
        ("found", 9),
        ("expired", 4),
        ("confirmed", 2),
        ("postponed", 1),
        ("failed", 1),
        ("foreign", 5),
    ] {
        metrics.swept("pending", result, count);
    }
    metrics.sweep_took("pending", true, Duration::from_millis(3));
    metrics.sweep_took("pending", false, Duration::from_millis(3));
    let (kind, numbers) = metrics.sweeps().remove(0);
    assert_eq!(kind, "pending");
    assert_eq!((numbers.done, numbers.postponed, numbers.failed), (6, 1, 2));
    assert!(numbers.last_ended_at.is_some());
}
