//! Unclear answers to HEAD, DELETE and HeadBucket: their meaning, retries and time limits.

use std::time::{Duration, Instant};

use super::super::StoreError;
use super::fake_s3::{Answer, FakeS3, error, head, say};
use super::{sealed, staged};
use crate::domain::object_key::FinalKey;

#[derive(Clone, Copy, Debug)]
enum Call {
    Inspect,
    Remove,
    Ping,
}

async fn call(call: Call, answers: Vec<Answer>) -> (Result<(), StoreError>, usize) {
    let fake = FakeS3::start(answers).await;
    let store = fake.store().await;
    let answer = match call {
        Call::Inspect => store.inspect(&sealed()).await.map(|_| ()),
        Call::Remove => store.remove_final(&sealed()).await,
        Call::Ping => store.ping().await,
    };
    (answer, fake.requests().len())
}

const EMPTY: &[&str] = &["content-length: 0"];

#[tokio::test]
async fn every_unclear_answer_to_a_head_is_an_error() {
    for (status, code, sent) in [
        ("404 Not Found", "NotFound", 1),
        ("403 Forbidden", "http-403", 1),
        ("400 Bad Request", "http-400", 1),
        ("301 Moved Permanently", "http-301", 1),
        ("500 Internal Server Error", "http-500", 3),
        ("503 Slow Down", "http-503", 3),
    ] {
        for asked in [Call::Inspect, Call::Ping] {
            let (answer, requests) = call(asked, vec![head(status, EMPTY)]).await;
            let error = answer.unwrap_err();
            assert_eq!(
                (error.code.as_str(), error.retry_fast),
                (code, false),
                "{asked:?} {status}"
            );
            assert_eq!(requests, sent, "{asked:?} {status}");
        }
    }
}

#[tokio::test]
async fn store_that_never_answers_costs_bounded_time() {
    for asked in [Call::Inspect, Call::Remove, Call::Ping] {
        let begun = Instant::now();
        let (answer, requests) = call(asked, vec![Answer::BlackHole]).await;
        assert_eq!(answer.unwrap_err().code, "timeout");
        assert!(
            begun.elapsed() < Duration::from_millis(1_800),
            "{asked:?} {:?}",
            begun.elapsed()
        );
        assert!((2..=3).contains(&requests), "{asked:?} {requests}");
    }
}

#[tokio::test]
async fn a_head_survives_two_bad_answers_but_not_three() {
    let good = head("200 OK", &["content-length: 1", "etag: \"x\""]);
    let bad = || vec![Answer::Reset, say("503 Slow Down", &error("SlowDown"))];
    let (answer, requests) = call(Call::Inspect, [bad(), vec![good]].concat()).await;
    assert_eq!((answer, requests), (Ok(()), 3));
    let (answer, requests) = call(Call::Remove, bad()).await;
    assert_eq!(
        (answer.unwrap_err().code.as_str(), requests),
        ("SlowDown", 3)
    );
    let (answer, _) = call(Call::Ping, vec![Answer::Reset]).await;
    let error = answer.unwrap_err();
    assert_eq!((error.code.as_str(), error.retry_fast), ("dispatch", true));
}

#[tokio::test]
async fn missing_object_counts_as_removed_but_missing_bucket_is_an_error() {
    for (answer, removed) in [
        (head("204 No Content", &[]), true),
        (say("404 Not Found", &error("NoSuchKey")), true),
        (say("404 Not Found", ""), true),
        (say("404 Not Found", &error("NoSuchBucket")), false),
        (say("403 Forbidden", &error("AccessDenied")), false),
    ] {
        let (answer, _) = call(Call::Remove, vec![answer]).await;
        assert_eq!(answer.is_ok(), removed, "{answer:?}");
    }
}

#[tokio::test]
async fn refused_is_set_only_for_errors_about_this_request() {
    for (status, code, refused) in [
        ("403 Forbidden", "AccessDenied", true),
        ("400 Bad Request", "InvalidRequest", true),
        ("409 Conflict", "OperationAborted", true),
        ("403 Forbidden", "ExpiredToken", false),
        ("400 Bad Request", "ExpiredToken", false),
        ("400 Bad Request", "InvalidToken", false),
        ("403 Forbidden", "InvalidAccessKeyId", false),
        ("403 Forbidden", "SignatureDoesNotMatch", false),
        ("403 Forbidden", "RequestTimeTooSkewed", false),
        ("403 Forbidden", "AllAccessDisabled", false),
        ("403 Forbidden", "AccountProblem", false),
        ("404 Not Found", "NoSuchBucket", false),
        ("400 Bad Request", "RequestTimeout", false),
        ("400 Bad Request", "SlowDown", false),
        ("429 Too Many Requests", "TooMany", false),
        ("500 Internal Server Error", "InternalError", false),
    ] {
        let (answer, _) = call(Call::Remove, vec![say(status, &error(code))]).await;
        let error = answer.unwrap_err();
        assert_eq!((&*error.code, error.refused), (code, refused));
    }
}

#[tokio::test]
async fn nothing_outside_the_layout_is_read_or_removed() {
    let fake = FakeS3::start(vec![head("204 No Content", &[])]).await;
    let store = fake.store().await;
    for key in [
        "backup/x",
        "staging/upl_x",
        "media/../backup/x",
        "media/.hidden",
        "media",
        "",
    ] {
        let key = FinalKey::recorded(key.into(), key.into());
        assert_eq!(
            store.remove_final(&key).await.unwrap_err().code,
            "outside-layout"
        );
        assert_eq!(
            store.inspect(&key).await.unwrap_err().code,
            "outside-layout"
        );
    }
    let elsewhere = crate::domain::object_key::Layout {
        location: "media/".into(),
        staging_prefix: "incoming/".into(),
    };
    let id = crate::domain::ids::UploadId::new(super::now(), &[1; 10]);
    let error = store
        .remove_staging(&elsewhere.staging_key(id))
        .await
        .unwrap_err();
    assert_eq!(error.code, "outside-layout");
    assert_eq!(fake.requests().len(), 0);

    store.remove_staging(&staged()).await.unwrap();
    let sent = fake.requests().remove(0);
    assert!(
        sent.starts_with(&format!("delete /media-bucket/{}", staged().as_str())),
        "{sent}"
    );
}
