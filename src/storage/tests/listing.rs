//! Listings: ages by the bucket's clock; nothing outside the layout is listed or aborted.

use super::super::multipart_uploads::{Unfinished, UnfinishedMarker};
use super::fake_s3::{Answer, FakeS3, error, say};
use crate::domain::ids::UploadId;

const DATE: &str = "date: Fri, 15 Jan 2027 08:00:00 GMT";

fn dated(date: &str, body: &str) -> Answer {
    let length = body.len();
    Answer::Say(format!(
        "HTTP/1.1 200 OK\r\n{date}\r\ncontent-type: application/xml\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
}

fn objects(entries: &[(&str, &str)]) -> String {
    let mut body = "<ListBucketResult><IsTruncated>true</IsTruncated>".to_owned();
    for (key, time) in entries {
        body += &format!("<Contents><Key>{key}</Key>{time}<Size>1</Size></Contents>");
    }
    body + "</ListBucketResult>"
}

fn modified(time: &str) -> String {
    format!("<LastModified>{time}</LastModified>")
}

#[tokio::test]
async fn age_is_by_the_buckets_clock_and_foreign_entries_have_none() {
    let id = UploadId::new(super::now(), &[1; 10]);
    let ours = format!("staging/{id}");
    let (old, young) = (
        modified("2027-01-15T07:00:00.900Z"),
        modified("2027-01-15T09:00:00Z"),
    );
    let body = objects(&[
        (&ours, &old),
        (&ours, &young),
        (&ours, ""),
        ("staging/notes.txt", &old),
        ("staging/sub/upl_x", &old),
        ("elsewhere/upl_x", &old),
    ]);
    let fake = FakeS3::start(vec![dated(DATE, &body)]).await;
    let page = fake
        .store()
        .await
        .list_staged(Some("staging/upl_0"), 9_999)
        .await
        .unwrap();
    let ages: Vec<i64> = page.objects.iter().map(|it| it.age_secs).collect();
    assert_eq!(ages, [3_600, -3_600]);
    assert!(page.objects.iter().all(|it| it.id == id));
    assert_eq!(page.foreign, 4);
    assert_eq!(page.next.as_deref(), Some("elsewhere/upl_x"));
    let request = fake.requests().remove(0);
    for part in [
        "prefix=staging%2f",
        "max-keys=1000",
        "start-after=staging%2fupl_0",
    ] {
        assert!(request.contains(part), "{request}");
    }
}

#[tokio::test]
async fn a_listing_without_a_date_or_an_answer_is_an_error() {
    for (root, date) in [
        ("ListBucketResult", "x-date: none"),
        ("ListMultipartUploadsResult", "date: yesterday"),
    ] {
        let answer = dated(date, &format!("<{root}></{root}>"));
        let store = FakeS3::start(vec![answer]).await.store().await;
        let marker = UnfinishedMarker::default();
        let code = match root {
            "ListBucketResult" => store.list_staged(None, 9).await.unwrap_err().code,
            _ => {
                store
                    .list_unfinished("media/", &marker, 9)
                    .await
                    .unwrap_err()
                    .code
            }
        };
        assert_eq!(code, "no-date");
    }
    for (answer, code) in [
        (say("403 Forbidden", &error("AccessDenied")), "AccessDenied"),
        (say("404 Not Found", &error("NoSuchBucket")), "NoSuchBucket"),
        (Answer::BlackHole, "timeout"),
    ] {
        let store = FakeS3::start(vec![answer]).await.store().await;
        assert_eq!(store.list_staged(None, 9).await.unwrap_err().code, code);
        let marker = UnfinishedMarker::default();
        let listed = store.list_unfinished("media/", &marker, 9).await;
        assert_eq!(listed.unwrap_err().code, code);
    }
}

#[tokio::test]
async fn no_multipart_upload_outside_the_layout_is_listed_or_aborted() {
    let fake = FakeS3::start(vec![say("204 No Content", "")]).await;
    let store = fake.store().await;
    for prefix in ["", "elsewhere/", "medi"] {
        let marker = UnfinishedMarker::default();
        let listed = store.list_unfinished(prefix, &marker, 9).await;
        assert_eq!(listed.unwrap_err().code, "outside-layout", "{prefix}");
    }
    let of = |key: &str| Unfinished {
        key: key.to_owned(),
        upload_id: "one".to_owned(),
        age_secs: 9,
    };
    for key in [
        "elsewhere/a.jpg",
        "media/../private/a.jpg",
        "media//a",
        "media/",
    ] {
        let aborted = store.abort_unfinished(&of(key)).await;
        assert_eq!(aborted.unwrap_err().code, "outside-layout", "{key}");
    }
    assert_eq!(fake.requests().len(), 0);
    store
        .abort_unfinished(&of("media/products/a.jpg"))
        .await
        .unwrap();
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test]
async fn missing_upload_counts_as_aborted_but_unclear_answer_does_not() {
    let upload = Unfinished {
        key: "staging/x".to_owned(),
        upload_id: "one".to_owned(),
        age_secs: 9,
    };
    let gone = say("404 Not Found", &error("NoSuchUpload"));
    let store = FakeS3::start(vec![gone]).await.store().await;
    store.abort_unfinished(&upload).await.unwrap();
    for code in ["NoSuchBucket", "NoSuchKey"] {
        let unclear = say("404 Not Found", &error(code));
        let store = FakeS3::start(vec![unclear]).await.store().await;
        let error = store.abort_unfinished(&upload).await.unwrap_err();
        assert_eq!(error.code, code);
    }
}
