//! HEAD and read of a sealed copy.

use std::time::{Duration, Instant};

use super::fake_s3::{Answer, FakeS3, error, head, say};
use super::sealed;
use crate::domain::checksum::ChecksumAlgorithm;
use crate::policy::evidence::Observed;

const PLAIN: [&str; 5] = [
    "content-length: 100",
    "content-type: image/jpeg",
    "content-disposition: inline",
    "cache-control: private",
    "etag: \"d41d8cd98f00b204e9800998ecf8427e\"",
];
const SHA: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

async fn observed(more: &[&str]) -> Observed {
    let headers: Vec<&str> = PLAIN.iter().chain(more).copied().collect();
    let fake = FakeS3::start(vec![head("200 OK", &headers)]).await;
    fake.store().await.inspect(&sealed()).await.unwrap()
}

#[tokio::test]
async fn a_head_asks_for_checksums_and_returns_what_was_said() {
    let fake = FakeS3::start(vec![head("200 OK", &PLAIN)]).await;
    let found = fake.store().await.inspect(&sealed()).await.unwrap();
    let expected = Observed {
        key: sealed(),
        size: 100,
        content_type: Some("image/jpeg".into()),
        content_disposition: Some("inline".into()),
        cache_control: Some("private".into()),
        etag: "d41d8cd98f00b204e9800998ecf8427e".into(),
        etag_is_md5: true,
        checksums: Vec::new(),
        smuggled: Vec::new(),
    };
    assert_eq!(found, expected);
    assert!(fake.requests()[0].contains("\r\nx-amz-checksum-mode: enabled\r\n"));
}

#[tokio::test]
async fn checksums_count_only_where_they_cover_the_whole_object_and_have_their_length() {
    let sha = format!("x-amz-checksum-sha256: {SHA}");
    let found = observed(&[
        &sha,
        "x-amz-checksum-crc32: AAAAAA==",
        "x-amz-checksum-crc64nvme: AAAAAAAAAAA=",
    ])
    .await;
    let algorithms: Vec<_> = found
        .checksums
        .iter()
        .map(|checksum| checksum.algorithm())
        .collect();
    let expected = [
        ChecksumAlgorithm::Sha256,
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc64Nvme,
    ];
    assert_eq!(algorithms, expected);
    let composite = format!("x-amz-checksum-sha256: {SHA}-3");
    assert_eq!(
        observed(&[&composite, "x-amz-checksum-crc32: nonsense"])
            .await
            .checksums,
        []
    );
    assert_eq!(
        observed(&[&sha, "x-amz-checksum-type: COMPOSITE"])
            .await
            .checksums,
        []
    );
}

#[tokio::test]
async fn an_etag_is_an_md5_only_where_nothing_changes_its_meaning() {
    let kms = "x-amz-server-side-encryption: aws:kms";
    let dsse = "x-amz-server-side-encryption: aws:kms:dsse";
    let key = "x-amz-server-side-encryption-aws-kms-key-id: arn:aws:kms:x";
    let own = "x-amz-server-side-encryption-customer-algorithm: AES256";
    for masking in [kms, dsse, key, own] {
        assert!(!observed(&[masking]).await.etag_is_md5, "{masking}");
    }
    assert!(
        observed(&["x-amz-server-side-encryption: AES256"])
            .await
            .etag_is_md5
    );
    for (tag, bare) in [
        (
            "W/\"d41d8cd98f00b204e9800998ecf8427e\"",
            "d41d8cd98f00b204e9800998ecf8427e",
        ),
        (
            "\"d41d8cd98f00b204e9800998ecf8427e-2\"",
            "d41d8cd98f00b204e9800998ecf8427e-2",
        ),
        ("unquoted", "unquoted"),
    ] {
        let etag = format!("etag: {tag}");
        let fake = FakeS3::start(vec![head("200 OK", &["content-length: 1", &etag])]).await;
        let found = fake.store().await.inspect(&sealed()).await.unwrap();
        assert_eq!((found.etag.as_str(), found.etag_is_md5), (bare, false));
    }
}

#[tokio::test]
async fn every_header_that_only_a_client_can_set_is_found() {
    for (header, name) in [
        ("content-encoding: gzip", "content-encoding"),
        ("content-encoding: aws-chunked", "content-encoding"),
        ("content-language: en", "content-language"),
        ("expires: Thu, 01 Dec 2050 16:00:00 GMT", "expires"),
        ("expires: never", "expires"),
        (
            "x-amz-website-redirect-location: https://evil.example/",
            "x-amz-website-redirect-location",
        ),
        ("x-amz-meta-identified: true", "x-amz-meta-identified"),
        ("x-amz-missing-meta: 1", "x-amz-missing-meta"),
        ("x-amz-tagging-count: 2", "x-amz-tagging-count"),
        (
            "x-amz-object-lock-legal-hold: ON",
            "x-amz-object-lock-legal-hold",
        ),
        (
            "x-amz-server-side-encryption-customer-algorithm: AES256",
            "x-amz-server-side-encryption-customer-algorithm",
        ),
    ] {
        let found = observed(&[header]).await.smuggled;
        assert_eq!(
            found
                .iter()
                .map(|(name, _)| name.as_str())
                .collect::<Vec<_>>(),
            [name]
        );
    }
    for of_the_bucket in [
        "x-amz-storage-class: STANDARD_IA",
        "x-amz-object-lock-mode: GOVERNANCE",
        "x-amz-object-lock-legal-hold: OFF",
        "x-amz-server-side-encryption: AES256",
        "x-amz-version-id: abc",
        "x-amz-tagging-count: 0",
    ] {
        assert_eq!(
            observed(&[of_the_bucket]).await.smuggled,
            [],
            "{of_the_bucket}"
        );
    }
}

#[tokio::test]
async fn a_head_without_a_length_is_an_error_and_not_zero_bytes() {
    let etag = "etag: \"d41d8cd98f00b204e9800998ecf8427e\"";
    for (headers, code) in [
        (vec![etag], "no-content-length"),
        (
            vec![etag, "transfer-encoding: chunked"],
            "no-content-length",
        ),
        (vec!["content-length: 1"], "no-etag"),
        (vec!["content-length: 1", "etag: \"\""], "no-etag"),
    ] {
        let fake = FakeS3::start(vec![head("200 OK", &headers)]).await;
        let error = fake.store().await.inspect(&sealed()).await.unwrap_err();
        assert_eq!(error.code, code);
    }
    let doubled = head(
        "200 OK",
        &[
            etag,
            "content-length: 1",
            "content-type: a/a",
            "content-type: text/html",
        ],
    );
    let fake = FakeS3::start(vec![doubled]).await;
    assert!(fake.store().await.inspect(&sealed()).await.is_err());
}

#[tokio::test]
async fn hashing_reads_the_object_and_knows_every_algorithm() {
    // The published check values of "123456789".
    for (algorithm, digest) in [
        (
            ChecksumAlgorithm::Sha256,
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
        ),
        (ChecksumAlgorithm::Md5, "25f9e794323b453885f5181f1b624d0b"),
        (ChecksumAlgorithm::Crc32, "cbf43926"),
        (ChecksumAlgorithm::Crc32c, "e3069283"),
        (ChecksumAlgorithm::Crc64Nvme, "ae8b14860a799888"),
    ] {
        let fake = FakeS3::start(vec![say("200 OK", "123456789")]).await;
        let found = fake.store().await.hash(&sealed(), algorithm, 9).await;
        assert_eq!(found.unwrap().to_hex(), digest, "{algorithm}");
    }
    let fake = FakeS3::start(vec![say("200 OK", "")]).await;
    let store = fake.store().await;
    let empty = store.hash(&sealed(), ChecksumAlgorithm::Sha256, 0).await;
    assert_eq!(empty.unwrap().value(), SHA);
}

#[tokio::test]
async fn hashing_stops_at_the_size_and_at_its_time() {
    let endless = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n".to_owned();
    for (answer, size, code) in [
        (say("200 OK", "123456789"), 8, "size-changed"),
        (say("200 OK", "123456789"), 10, "size-changed"),
        (Answer::Say(endless), 10, "timeout"),
        (Answer::BlackHole, 10, "timeout"),
        (
            Answer::SayAndClose("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123".into()),
            9,
            "dispatch",
        ),
        (say("404 Not Found", &error("NoSuchKey")), 9, "NoSuchKey"),
    ] {
        let begun = Instant::now();
        let fake = FakeS3::start(vec![answer]).await;
        let error = fake
            .store()
            .await
            .hash(&sealed(), ChecksumAlgorithm::Crc32, size)
            .await
            .unwrap_err();
        assert_eq!((error.operation, error.code.as_str()), ("get-object", code));
        assert!(begun.elapsed() < Duration::from_secs(2));
    }
}
