//! PUT stores the declared bytes or nothing, and one of several racing writers wins.

use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, ChecksumType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::Digest as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use super::running::{BUCKET, OTHER, running};

const IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-');

/// The five checksums of `hello`.
const HELLO: [(&str, &str); 5] = [
    ("x-amz-checksum-crc32", "NhCmhg=="),
    ("x-amz-checksum-crc32c", "mnG7TA=="),
    ("x-amz-checksum-crc64nvme", "M3eFcAZSQlc="),
    ("x-amz-checksum-sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00="),
    (
        "x-amz-checksum-sha256",
        "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
    ),
];

#[tokio::test]
async fn each_checksum_is_stored_and_returned_by_head() {
    let bucket = running();
    for (name, value) in HELLO {
        let signed = bucket.presign("PUT", "/media/k").header(name, value);
        let target = signed.target();
        let answer = bucket
            .send("PUT", &target, &[(name, value)], b"hello")
            .await;
        assert_eq!(answer.code(), "200 ", "{name}");
        assert_eq!(answer.header(name), Some(value));
        let signed = bucket.presign("HEAD", "/media/k");
        let mode = ("x-amz-checksum-mode", "ENABLED");
        let target = signed.header(mode.0, mode.1).target();
        let head = bucket.send("HEAD", &target, &[mode], b"").await;
        assert_eq!(head.header(name), Some(value), "{name}");
        assert_eq!(head.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
        let target = bucket.presign("HEAD", "/media/k").target();
        let head = bucket.send("HEAD", &target, &[], b"").await;
        assert_eq!(head.header(name), None, "only with x-amz-checksum-mode");
    }
}

#[tokio::test]
async fn wrong_checksum_stores_nothing() {
    let bucket = running();
    let md5 = BASE64.encode(md5::Md5::digest(b"hello"));
    let mut declared = HELLO.to_vec();
    declared.push(("content-md5", &md5));
    let sha256 = hex::encode(sha2::Sha256::digest(b"hello"));
    declared.push(("x-amz-content-sha256", &sha256));
    for (name, value) in declared {
        let signed = bucket.presign("PUT", "/media/k").header(name, value);
        let target = signed.target();
        let answer = bucket
            .send("PUT", &target, &[(name, value)], b"jello")
            .await;
        let codes = ["400 BadDigest", "400 XAmzContentSHA256Mismatch"];
        assert!(
            codes.contains(&&*answer.code()),
            "{name}: {}",
            answer.code()
        );
        assert_eq!(bucket.read(BUCKET, "k").await, None, "{name}");
        assert_eq!(bucket.files(), 0, "{name}");
    }
    bucket.put("k", b"before").await;
    let (name, value) = HELLO[4];
    let target = bucket.presign("PUT", "/media/k").header(name, value);
    let target = target.target();
    bucket
        .send("PUT", &target, &[(name, value)], b"jello")
        .await;
    assert_eq!(bucket.read(BUCKET, "k").await.unwrap(), b"before");
    assert_eq!(bucket.files(), 1);
}

#[tokio::test]
async fn malformed_digest_or_two_checksums_are_refused() {
    let bucket = running();
    let put = async |headers: &[(&'static str, &'static str)]| {
        let mut signed = bucket.presign("PUT", "/media/k");
        for (name, value) in headers {
            signed = signed.header(name, value);
        }
        let target = signed.target();
        bucket.send("PUT", &target, headers, b"hello").await.code()
    };
    assert_eq!(put(&[("content-md5", "bm8=")]).await, "400 InvalidDigest");
    assert_eq!(
        put(&[("x-amz-checksum-sha256", "NhCmhg==")]).await,
        "400 InvalidRequest"
    );
    assert_eq!(put(&HELLO[..2]).await, "400 InvalidRequest");
    assert_eq!(bucket.files(), 0);
}

#[tokio::test]
async fn trailer_checksum_is_stored() {
    let bucket = running();
    let sdk = bucket.sdk_with(RequestChecksumCalculation::WhenSupported);
    for algorithm in [ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Sha256] {
        // The SDK hashes a stream while sending it, so the checksum comes in the trailer.
        let path = bucket.dir.path().join("source");
        std::fs::write(&path, vec![7; 300_000]).unwrap();
        let body = aws_sdk_s3::primitives::ByteStream::read_from().path(&path);
        let put = sdk.put_object().bucket(BUCKET).key("k");
        let put = put.checksum_algorithm(algorithm.clone());
        let body = body.build().await.unwrap();
        put.body(body)
            .content_encoding("gzip")
            .send()
            .await
            .unwrap();
        let head = sdk.head_object().bucket(BUCKET).key("k");
        let head = head.checksum_mode(ChecksumMode::Enabled).send().await;
        let head = head.unwrap();
        assert_eq!(head.content_length(), Some(300_000));
        assert_eq!(head.content_encoding(), Some("gzip"));
        assert_eq!(head.checksum_type(), Some(&ChecksumType::FullObject));
        assert!(head.checksum_crc32().or(head.checksum_sha256()).is_some());
    }
}

#[tokio::test]
async fn wrong_trailer_checksum_is_refused() {
    let bucket = running();
    let send = |value: &str| {
        let signed = bucket
            .presign("PUT", "/media/k")
            .header("content-encoding", "aws-chunked")
            .header("x-amz-decoded-content-length", "5")
            .header("x-amz-trailer", "x-amz-checksum-crc32");
        let headers = signed.authorization("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
        let body = format!("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:{value}\r\n\r\n");
        (headers, body)
    };
    for (value, expected) in [("NhCmhg==", "200 "), ("AAAAAA==", "400 BadDigest")] {
        let (headers, body) = send(value);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (&**n, &**v)).collect();
        let answer = bucket.send("PUT", "/media/k", &headers, body.as_bytes());
        assert_eq!(answer.await.code(), expected);
    }
    assert_eq!(bucket.files(), 1);
}

#[tokio::test]
async fn racing_puts_with_if_none_match_have_one_winner() {
    let bucket = running();
    for round in 0..5 {
        let key = format!("race-{round}");
        let puts = (0..8_u8).map(|number| {
            let put = bucket.sdk().put_object().bucket(BUCKET).key(&key);
            let put = put.if_none_match("*").body(vec![number; 1000].into());
            async move { (number, put.send().await) }
        });
        let results = futures::future::join_all(puts).await;
        let mut winners = Vec::new();
        for (number, result) in results {
            match result {
                Ok(_) => winners.push(number),
                Err(error) => {
                    let status = error.raw_response().map(|raw| raw.status().as_u16());
                    assert_eq!(status, Some(412));
                }
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        let stored = bucket.read(BUCKET, &key).await.unwrap();
        assert_eq!(stored, vec![winners[0]; 1000]);
    }
    assert_eq!(bucket.files(), 5, "the losers' bytes are gone");
}

#[tokio::test]
async fn put_with_if_match_replaces_only_that_version() {
    let bucket = running();
    let sdk = bucket.sdk();
    let put = |etag: &str| {
        let put = sdk.put_object().bucket(BUCKET).key("k").if_match(etag);
        put.body(b"two".to_vec().into()).send()
    };
    let status = |error: &aws_sdk_s3::error::SdkError<_, _>| {
        let raw: Option<&aws_sdk_s3::config::http::HttpResponse> = error.raw_response();
        raw.map(|raw| raw.status().as_u16())
    };
    let missing = put("\"00\"").await.unwrap_err();
    assert_eq!(status(&missing), Some(404));
    let seen = bucket.put("k", b"one").await;
    let other = put("\"00\"").await.unwrap_err();
    assert_eq!(status(&other), Some(412));
    put(&format!("\"{seen}\"")).await.unwrap();
    assert_eq!(bucket.read(BUCKET, "k").await.unwrap(), b"two");
}

#[tokio::test]
async fn key_with_dots_or_slashes_stays_in_its_bucket() {
    let bucket = running();
    let keys = [
        "../other/x",
        "../../x",
        "/etc/passwd",
        "a/../../other/x",
        "./x",
        "..",
        "a//b",
        "\u{202e}gnp.exe",
        "con",
    ];
    for key in keys {
        let encoded = percent_encoding::utf8_percent_encode(key, IN_A_PATH);
        let path = format!("/{BUCKET}/{encoded}");
        // Sent over a socket, because HTTP clients normalize such paths.
        let target = bucket.presign("PUT", &path).target();
        let host = bucket.host();
        let request = format!(
            "PUT {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{key}",
            key.len()
        );
        let answer = bucket.raw(request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200"), "{key}: {answer}");
    }
    let sdk = bucket.sdk();
    let listed = sdk.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    let mut found: Vec<&str> = listed.contents().iter().map(|o| o.key().unwrap()).collect();
    let mut expected = keys.to_vec();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    let other = sdk.list_objects_v2().bucket(OTHER).send().await.unwrap();
    assert_eq!(other.key_count(), Some(0));
    assert_eq!(bucket.files(), keys.len());
}

#[tokio::test]
async fn key_above_1024_bytes_or_with_nul_is_refused() {
    let bucket = running();
    let longest = "k".repeat(1024);
    bucket.put(&longest, b"x").await;
    assert_eq!(bucket.read(BUCKET, &longest).await.unwrap(), b"x");
    let path = format!("/media/{}", "k".repeat(1025));
    let target = bucket.presign("PUT", &path).target();
    let answer = bucket.send("PUT", &target, &[], b"x").await;
    assert_eq!(answer.code(), "400 KeyTooLongError");
    let target = bucket.presign("PUT", "/media/a%00b").target();
    let answer = bucket.send("PUT", &target, &[], b"x").await;
    assert_eq!(answer.code(), "400 InvalidURI");
}

#[tokio::test]
async fn too_large_put_is_refused_before_its_body() {
    let bucket = running();
    let length = (5_u64 * 1024 * 1024 * 1024 + 1).to_string();
    let signed = bucket.presign("PUT", "/media/k");
    let target = signed.header("content-length", &length).target();
    let host = bucket.host();
    let answer = bucket.raw(
        format!("PUT {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n")
            .as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("EntityTooLarge"), "{answer}");
}
