//! Reading and removing: headers come back, ranges, conditions, public prefixes, and reads that outlive their object.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use md5::Digest as _;

use super::running::{BUCKET, OTHER, running};

#[tokio::test]
async fn every_stored_header_comes_back_with_get_and_head() {
    let bucket = running();
    let sdk = bucket.sdk();
    let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(4_102_444_800);
    let put = sdk.put_object().bucket(BUCKET).key("k");
    put.content_type("image/png")
        .cache_control("max-age=60")
        .content_disposition("attachment; filename=\"cat.png\"")
        .content_encoding("gzip")
        .content_language("de")
        .expires(expires.into())
        .metadata("owner", "user:1")
        .body(b"png".to_vec().into())
        .send()
        .await
        .unwrap();
    let metadata = HashMap::from([("owner".to_owned(), "user:1".to_owned())]);
    let head = sdk.head_object().bucket(BUCKET).key("k");
    let head = head.send().await.unwrap();
    let get = sdk.get_object().bucket(BUCKET).key("k");
    let get = get.send().await.unwrap();
    macro_rules! both {
        ($($field:ident = $value:expr;)*) => {$(
            assert_eq!(head.$field(), $value);
            assert_eq!(get.$field(), $value);
        )*};
    }
    both! {
        content_type = Some("image/png");
        cache_control = Some("max-age=60");
        content_disposition = Some("attachment; filename=\"cat.png\"");
        content_encoding = Some("gzip");
        content_language = Some("de");
        expires_string = Some("Fri, 01 Jan 2100 00:00:00 GMT");
        content_length = Some(3);
        metadata = Some(&metadata);
        e_tag = Some(&*format!("\"{}\"", hex::encode(md5::Md5::digest(b"png"))));
    }
    let modified = get.last_modified().unwrap().secs();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    assert!((now.unwrap().as_secs() as i64 - modified).abs() < 60);
}

#[tokio::test]
async fn an_answer_has_a_date_and_a_request_id_and_a_type() {
    let bucket = running();
    let target = bucket.presign("PUT", "/media/k").target();
    bucket.send("PUT", &target, &[], b"x").await;
    let target = bucket.presign("GET", "/media/k").target();
    let answer = bucket.send("GET", &target, &[], b"").await;
    assert!(answer.header("date").unwrap().ends_with("GMT"));
    assert!(answer.header("last-modified").unwrap().ends_with("GMT"));
    assert_eq!(answer.header("x-amz-request-id").unwrap().len(), 32);
    assert_eq!(answer.header("content-type"), Some("binary/octet-stream"));
    assert_eq!(answer.header("accept-ranges"), Some("bytes"));
}

#[tokio::test]
async fn unsigned_content_headers_are_kept_as_s3_keeps_them() {
    let bucket = running();
    let target = bucket.presign("PUT", "/media/k").target();
    let smuggled = [("content-encoding", "br"), ("cache-control", "no-store")];
    let answer = bucket.send("PUT", &target, &smuggled, b"x").await;
    assert_eq!(answer.status, 200);
    let head = bucket.sdk().head_object().bucket(BUCKET).key("k");
    let head = head.send().await.unwrap();
    assert_eq!(head.content_encoding(), Some("br"));
    assert_eq!(head.cache_control(), Some("no-store"));
}

#[tokio::test]
async fn ranges_answer_exactly_the_bytes_asked_for() {
    let bucket = running();
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|number| number as u8).collect();
    bucket.put("k", &bytes).await;
    let get = async |range: &str| {
        let target = bucket.presign("GET", "/media/k").target();
        bucket.send("GET", &target, &[("range", range)], b"").await
    };
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=300000-700000", 300_000, 700_001),
        ("bytes=999999-", 999_999, 1_000_000),
        ("bytes=999990-2000000", 999_990, 1_000_000),
        ("bytes=-5", 999_995, 1_000_000),
        ("bytes=-2000000", 0, 1_000_000),
    ] {
        let answer = get(range).await;
        assert_eq!(answer.status, 206, "{range}");
        assert!(answer.body == bytes[from..to], "{range}");
        let expected = format!("bytes {from}-{}/1000000", to - 1);
        assert_eq!(answer.header("content-range"), Some(&*expected));
        let length = (to - from).to_string();
        assert_eq!(answer.header("content-length"), Some(&*length));
    }
    for range in ["bytes=1000000-", "bytes=-0"] {
        let answer = get(range).await;
        assert_eq!(answer.code(), "416 InvalidRange");
        assert_eq!(answer.header("content-range"), Some("bytes */1000000"));
    }
    for range in ["bytes=0-1,5-6", "lines=1-2", "bytes=5-1"] {
        let answer = get(range).await;
        assert_eq!((answer.status, answer.body.len()), (200, 1_000_000));
    }
}

#[tokio::test]
async fn conditions_on_reads_follow_the_rfc() {
    let bucket = running();
    let etag = format!("\"{}\"", bucket.put("k", b"x").await);
    let get = async |headers: &[(&str, &str)]| {
        let target = bucket.presign("GET", "/media/k").target();
        bucket.send("GET", &target, headers, b"").await.status
    };
    let (past, future) = (
        "Thu, 01 Jan 2015 00:00:00 GMT",
        "Fri, 01 Jan 2100 00:00:00 GMT",
    );
    assert_eq!(get(&[("if-none-match", &etag)]).await, 304);
    assert_eq!(get(&[("if-none-match", "\"00\"")]).await, 200);
    assert_eq!(get(&[("if-match", &etag)]).await, 200);
    assert_eq!(get(&[("if-match", "\"00\"")]).await, 412);
    assert_eq!(get(&[("if-modified-since", future)]).await, 304);
    assert_eq!(get(&[("if-modified-since", past)]).await, 200);
    assert_eq!(get(&[("if-unmodified-since", past)]).await, 412);
    let both = [("if-match", &*etag), ("if-unmodified-since", past)];
    assert_eq!(get(&both).await, 200);
}

#[tokio::test]
async fn below_a_public_prefix_anyone_reads_and_nobody_writes_or_lists() {
    let bucket = running();
    bucket.put("media/products/a.png", b"png").await;
    bucket.put("media/private/b.png", b"png").await;
    let public = "/media/media/products/a.png";
    for method in ["GET", "HEAD"] {
        let answer = bucket.send(method, public, &[], b"").await;
        assert_eq!(answer.status, 200, "{method}");
    }
    assert_eq!(bucket.send("GET", public, &[], b"").await.body, b"png");
    let missing = bucket.send("GET", "/media/media/products/no.png", &[], b"");
    assert_eq!(missing.await.code(), "404 NoSuchKey");
    for (method, target) in [
        ("PUT", public),
        ("DELETE", public),
        ("POST", public),
        ("GET", "/media/media/private/b.png"),
        ("GET", "/media/media/products/"),
        ("GET", "/media/media/products/a.png?acl"),
        ("GET", "/media/media/products/a.png?uploadId=x"),
        ("GET", "/media?list-type=2&prefix=media/products/"),
        ("GET", "/media"),
        ("GET", "/"),
        ("HEAD", "/media"),
        ("PUT", "/new-bucket"),
    ] {
        let answer = bucket.send(method, target, &[], b"").await;
        assert_eq!(answer.status, 403, "{method} {target}");
    }
    let host = bucket.host();
    let climbing = "/media/media/products/../private/b.png";
    let answer = bucket.raw(
        format!("GET {climbing} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[tokio::test]
async fn a_reader_finishes_the_object_that_is_overwritten_and_removed_under_it() {
    let bucket = running();
    let old = vec![1_u8; 8 * 1024 * 1024];
    bucket.put("k", &old).await;
    let sdk = bucket.sdk();
    let mut reading = sdk
        .get_object()
        .bucket(BUCKET)
        .key("k")
        .send()
        .await
        .unwrap();
    let first = reading.body.next().await.unwrap().unwrap();
    bucket.put("k", b"new").await;
    let remove = sdk.delete_object().bucket(BUCKET).key("k");
    remove.send().await.unwrap();
    assert_eq!(bucket.files(), 0, "the old bytes need no name any more");
    let mut read = first.to_vec();
    while let Some(chunk) = reading.body.next().await {
        read.extend_from_slice(&chunk.unwrap());
    }
    assert!(read == old);
}

#[tokio::test]
async fn removing_is_repeatable_and_frees_the_bytes() {
    let bucket = running();
    let sdk = bucket.sdk();
    bucket.put("k", b"x").await;
    for _ in 0..2 {
        let target = bucket.presign("DELETE", "/media/k").target();
        let answer = bucket.send("DELETE", &target, &[], b"").await;
        assert_eq!(answer.status, 204);
    }
    for key in ["a", "b", "c"] {
        bucket.put(key, b"x").await;
    }
    let keys = ["a", "b", "missing"].map(|key| ObjectIdentifier::builder().key(key).build());
    let keys = keys.into_iter().map(Result::unwrap).collect();
    let delete = Delete::builder().set_objects(Some(keys)).build().unwrap();
    let delete = sdk.delete_objects().bucket(BUCKET).delete(delete);
    let deleted = delete.send().await.unwrap();
    assert_eq!(deleted.deleted().len(), 3);
    assert_eq!(bucket.files(), 1);
}

#[tokio::test]
async fn missing_object_or_bucket_returns_its_error() {
    let bucket = running();
    let sdk = bucket.sdk();
    let missing = sdk.get_object().bucket(BUCKET).key("no").send().await;
    assert!(missing.unwrap_err().into_service_error().is_no_such_key());
    let missing = sdk.head_object().bucket(BUCKET).key("no").send().await;
    assert!(missing.unwrap_err().into_service_error().is_not_found());
    let missing = sdk.get_object().bucket("nowhere").key("no").send().await;
    let error = missing.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("NoSuchBucket"));
    let missing = sdk.head_bucket().bucket("nowhere").send().await;
    assert!(missing.unwrap_err().into_service_error().is_not_found());
    let head = sdk.head_bucket().bucket(OTHER).send().await.unwrap();
    assert_eq!(head.bucket_region(), Some("us-east-1"));
}

#[tokio::test]
async fn unsupported_request_is_refused() {
    let bucket = running();
    for (name, value) in [
        ("x-amz-acl", "public-read"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-object-lock-mode", "GOVERNANCE"),
    ] {
        let signed = bucket.presign("PUT", "/media/k").header(name, value);
        let target = signed.target();
        let answer = bucket.send("PUT", &target, &[(name, value)], b"x").await;
        assert_eq!(answer.code(), "501 NotImplemented", "{name}");
    }
    for query in ["acl", "tagging", "attributes", "partNumber"] {
        let signed = bucket.presign("GET", "/media/k").query(query, "1");
        let answer = bucket.send("GET", &signed.target(), &[], b"").await;
        assert!(
            [400, 501].contains(&answer.status),
            "{query}: {}",
            answer.code()
        );
    }
    let large = "m".repeat(2_048);
    let signed = bucket.presign("PUT", "/media/k");
    let target = signed.header("x-amz-meta-a", &large).target();
    let headers = [("x-amz-meta-a", &*large)];
    let answer = bucket.send("PUT", &target, &headers, b"x").await;
    assert_eq!(answer.code(), "400 MetadataTooLarge");
}
