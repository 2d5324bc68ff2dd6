//! A copy is sent once, and only one answer to it means absent.

use crate::telemetry::metrics::Metrics;
use std::time::{Duration, Instant};

use super::super::{CopyAnswer, Store, StoreError};
use super::fake_s3::{Answer, FakeS3, error, say, text};
use super::{URL_SECS, options, sealed, staged};
use crate::config::Storage;
use crate::domain::media_type::MediaType;
use crate::domain::object_key::FinalKey;
use crate::policy::evidence::SealHeaders;

const RESULT: &str = "<CopyObjectResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"d41d8cd98f00b204e9800998ecf8427e\"</ETag></CopyObjectResult>";

fn headers() -> SealHeaders {
    SealHeaders::of(MediaType::parse("image/jpeg").unwrap()).public()
}

async fn copy(answer: Answer) -> (CopyAnswer, Vec<String>) {
    let fake = FakeS3::start(vec![answer]).await;
    let store = fake.store().await;
    let answer = store.seal(&staged(), &sealed(), &headers(), 100).await;
    (answer, fake.requests())
}

#[tokio::test]
async fn a_copy_replaces_every_header_and_names_its_source_once() {
    let (answer, requests) = copy(say("200 OK", RESULT)).await;
    assert_eq!(answer, CopyAnswer::Copied);
    assert_eq!(requests.len(), 1);
    let sent = &requests[0];
    assert!(
        sent.starts_with(&format!("put /media-bucket/{}", sealed().as_str())),
        "{sent}"
    );
    for line in [
        format!("x-amz-copy-source: media-bucket/{}", staged().as_str()),
        "x-amz-metadata-directive: replace".into(),
        "content-type: image/jpeg".into(),
        "content-disposition: inline".into(),
        "cache-control: public, max-age=31536000, immutable".into(),
    ] {
        assert!(
            sent.contains(&format!("\r\n{line}\r\n")),
            "{line} is missing in {sent}"
        );
    }
    for absent in [
        "if-match",
        "if-none-match",
        "x-amz-checksum",
        "expected-bucket-owner",
    ] {
        assert!(!sent.contains(absent), "{absent}");
    }
}

#[tokio::test]
async fn the_expected_owner_is_sent_for_both_ends_of_a_copy() {
    let fake = FakeS3::start(vec![say("200 OK", RESULT)]).await;
    let owned = Storage {
        expected_bucket_owner: Some("123456789012".into()),
        ..options(Some(&fake.url))
    };
    let store = Store::connect(owned, URL_SECS, Metrics::new())
        .await
        .unwrap();
    store.seal(&staged(), &sealed(), &headers(), 100).await;
    let sent = fake.requests().remove(0);
    assert!(sent.contains("x-amz-expected-bucket-owner: 123456789012"));
    assert!(sent.contains("x-amz-source-expected-bucket-owner: 123456789012"));
}

#[tokio::test]
async fn only_a_404_no_such_key_means_that_nothing_was_staged() {
    let (answer, requests) = copy(say("404 Not Found", &error("NoSuchKey"))).await;
    assert_eq!(answer, CopyAnswer::SourceMissing);
    assert_eq!(requests.len(), 1);
}

/// One copy that ends unknown, sent once, in bounded time.
async fn unknown(answer: Answer) -> StoreError {
    let begun = Instant::now();
    let (answer, requests) = copy(answer).await;
    let CopyAnswer::Unknown(error) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(requests.len(), 1, "{error}: a copy is never sent twice");
    assert!(begun.elapsed() < Duration::from_secs(2), "{error}");
    assert_eq!(error.operation, "copy-object");
    error
}

#[tokio::test]
async fn every_other_answer_to_a_copy_is_unknown_and_sent_once() {
    for (status, code) in [
        ("200 OK", "InternalError"),
        ("200 OK", "NoSuchKey"),
        ("404 Not Found", "NoSuchBucket"),
        ("403 Forbidden", "AccessDenied"),
        ("403 Forbidden", "RequestTimeTooSkewed"),
        ("412 Precondition Failed", "PreconditionFailed"),
        ("500 Internal Server Error", "InternalError"),
        ("503 Slow Down", "SlowDown"),
    ] {
        let error = unknown(say(status, &error(code))).await;
        assert_eq!((error.code.as_str(), error.retry_fast), (code, false));
    }
    let stranger = error("see https://evil/?X-Amz-Signature=1");
    for (status, body, code) in [
        ("200 OK", "", "response"),
        ("200 OK", "   ", "response"),
        ("200 OK", "<html>maintenance</html>", "response"),
        ("404 Not Found", "", "NotFound"),
        ("404 Not Found", "<html>no</html>", "http-404"),
        ("400 Bad Request", &stranger, "http-400"),
        ("500 Internal Server Error", "", "http-500"),
    ] {
        let error = unknown(say(status, body)).await;
        assert_eq!((error.code.as_str(), error.retry_fast), (code, false));
    }
}

#[tokio::test]
async fn a_broken_connection_leaves_a_copy_unknown_and_sent_once() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n<CopyObj".to_owned();
    for (answer, code, fast) in [
        (Answer::SayAndClose(cut), "response", false),
        (Answer::Reset, "dispatch", true),
        (Answer::SayAndClose(String::new()), "dispatch", true),
        (Answer::BlackHole, "timeout", false),
    ] {
        let error = unknown(answer).await;
        assert_eq!((error.code.as_str(), error.retry_fast), (code, fast));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = FakeS3::start(vec![say("200 OK", RESULT)]).await;
    for status in ["301 Moved Permanently", "307 Temporary Redirect"] {
        let body = error("PermanentRedirect");
        let length = body.len();
        let to = &elsewhere.url;
        let redirect = format!(
            "HTTP/1.1 {status}\r\nlocation: {to}/media-bucket/x\r\nx-amz-bucket-region: us-west-2\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let (answer, requests) = copy(Answer::Say(redirect)).await;
        assert!(matches!(answer, CopyAnswer::Unknown(error) if error.code == "PermanentRedirect"));
        assert_eq!(requests.len(), 1);
    }
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn a_late_copy_is_unknown_and_its_limit_grows_with_the_size() {
    let late = || Answer::Late(Duration::from_millis(900), text("200 OK", RESULT));
    let (answer, requests) = copy(late()).await;
    assert!(matches!(answer, CopyAnswer::Unknown(error) if error.code == "timeout"));
    assert_eq!(requests.len(), 1);

    let fake = FakeS3::start(vec![late()]).await;
    let store = fake.store().await;
    let answer = store
        .seal(&staged(), &sealed(), &headers(), 40_000_000)
        .await;
    assert_eq!(
        answer,
        CopyAnswer::Copied,
        "500 ms and 40 MB at 20 MB/s are 2.5 s"
    );
}

#[tokio::test]
async fn a_connection_that_the_store_closed_while_idle_costs_no_second_copy() {
    let fake = FakeS3::start(vec![
        Answer::SayAndClose(text("200 OK", RESULT)),
        say("200 OK", RESULT),
    ])
    .await;
    let store = fake.store().await;
    for sent in 1..=2 {
        assert_eq!(
            store.seal(&staged(), &sealed(), &headers(), 1).await,
            CopyAnswer::Copied
        );
        assert_eq!(fake.requests().len(), sent);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn refused_connection_is_an_error_with_fast_retry() {
    let store = Store::connect(
        options(Some("http://127.0.0.1:9")),
        URL_SECS,
        Metrics::new(),
    )
    .await
    .unwrap();
    let CopyAnswer::Unknown(error) = store.seal(&staged(), &sealed(), &headers(), 1).await else {
        panic!("the copy can not have been made")
    };
    assert_eq!((error.code.as_str(), error.retry_fast), ("dispatch", true));
}

#[tokio::test]
async fn a_copy_to_a_key_outside_the_location_is_never_sent() {
    let fake = FakeS3::start(vec![say("200 OK", RESULT)]).await;
    let store = fake.store().await;
    for key in [
        "other/x.jpg",
        "staging/x",
        "media/",
        "media/../x",
        "media//x",
        "mediax",
        "",
    ] {
        let to = FinalKey::recorded(key.into(), key.into());
        let answer = store.seal(&staged(), &to, &headers(), 1).await;
        assert!(
            matches!(answer, CopyAnswer::Unknown(error) if error.code == "outside-layout"),
            "{key}"
        );
    }
    assert_eq!(fake.requests().len(), 0);
}
