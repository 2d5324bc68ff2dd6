//! Presigned requests: what the signature covers works, everything else is refused.

use chrono::{TimeDelta, Utc};

use super::running::{BUCKET, running};
use super::sign::{ACCESS_KEY, REGION, scope};

const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[tokio::test]
async fn an_unsigned_amz_header_on_a_presigned_put_is_refused() {
    let bucket = running();
    bucket.put("secret", b"not yours").await;
    let smuggled = [
        ("x-amz-copy-source", "/media/secret"),
        ("x-amz-acl", "public-read"),
        ("x-amz-meta-a", "b"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-storage-class", "STANDARD"),
        ("x-amz-website-redirect-location", "/x"),
        ("x-amz-content-sha256", EMPTY_SHA256),
        ("x-amz-checksum-crc32", "AAAAAA=="),
        ("X-AMZ-Date", "20260101T000000Z"),
        ("x-amz-anything", "at all"),
    ];
    for (name, value) in smuggled {
        let target = bucket.presign("PUT", "/media/k").target();
        let answer = bucket.send("PUT", &target, &[(name, value)], b"").await;
        assert_eq!(answer.code(), "403 AccessDenied", "{name}");
    }
    assert_eq!(bucket.read(BUCKET, "k").await, None);
}

#[tokio::test]
async fn an_unsigned_amz_header_on_a_request_signed_in_its_header_is_refused() {
    let bucket = running();
    bucket.put("secret", b"not yours").await;
    let signed = bucket
        .presign("PUT", "/media/k")
        .authorization("UNSIGNED-PAYLOAD");
    let mut headers: Vec<(&str, &str)> = signed.iter().map(|(n, v)| (&**n, &**v)).collect();
    let answer = bucket.send("PUT", "/media/k", &headers, b"x").await;
    assert_eq!(answer.status, 200);
    headers.push(("x-amz-copy-source", "/media/secret"));
    let answer = bucket.send("PUT", "/media/k", &headers, b"").await;
    assert_eq!(answer.code(), "403 AccessDenied");
}

#[tokio::test]
async fn a_presigned_put_works_with_what_was_signed_and_with_nothing_else() {
    let bucket = running();
    let target = bucket
        .presign("PUT", "/media/k")
        .header("content-length", "5")
        .header("content-type", "image/png")
        .target();
    let put = |target: String, kind: &'static str, body: &'static [u8]| {
        let bucket = &bucket;
        async move {
            let headers = [("content-type", kind)];
            bucket.send("PUT", &target, &headers, body).await.code()
        }
    };
    assert_eq!(put(target.clone(), "image/png", b"hello").await, "200 ");
    let refused = "403 SignatureDoesNotMatch";
    assert_eq!(put(target.clone(), "image/png", b"hello!").await, refused);
    assert_eq!(put(target.clone(), "image/png", b"hell").await, refused);
    assert_eq!(put(target.clone(), "text/html", b"hello").await, refused);
    let other_key = target.replace("/media/k", "/media/other");
    assert_eq!(put(other_key, "image/png", b"hello").await, refused);
    let longer = target.replace("X-Amz-Expires=900", "X-Amz-Expires=901");
    assert_eq!(put(longer, "image/png", b"hello").await, refused);
    let more = format!("{target}&partNumber=1&uploadId=x");
    assert_eq!(put(more, "image/png", b"hello").await, refused);
    let answer = bucket.send("DELETE", &target, &[], b"").await;
    assert_eq!(answer.code(), refused);
    assert_eq!(bucket.read(BUCKET, "k").await.unwrap(), b"hello");
}

#[tokio::test]
async fn a_body_without_a_length_or_shorter_than_signed_is_refused() {
    let bucket = running();
    let host = bucket.host();
    let signed = bucket
        .presign("PUT", "/media/k")
        .header("content-length", "5");
    let target = signed.target();
    let chunked = format!(
        "PUT {target} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    );
    let answer = bucket.raw(chunked.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 411"), "{answer}");
    let both = format!(
        "PUT {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    );
    let answer = bucket.raw(both.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    let short = format!("PUT {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nabc");
    bucket.raw(short.as_bytes());
    assert_eq!(bucket.read(BUCKET, "k").await, None);
    // Dropping the connection took its draft away.
    for _ in 0..50 {
        if bucket.files() == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the draft of the broken upload is still there");
}

#[tokio::test]
async fn an_expired_url_and_one_from_the_future_are_refused() {
    let bucket = running();
    let mut old = bucket.presign("PUT", "/media/k");
    old.at = Utc::now() - TimeDelta::seconds(61);
    old.expires_secs = 60;
    let answer = bucket.send("PUT", &old.target(), &[], b"x").await;
    assert_eq!(answer.code(), "403 AccessDenied");
    let mut early = bucket.presign("PUT", "/media/k");
    early.at = Utc::now() + TimeDelta::minutes(20);
    let answer = bucket.send("PUT", &early.target(), &[], b"x").await;
    assert_eq!(answer.code(), "403 RequestTimeTooSkewed");
    for secs in [0, 604_801] {
        let mut signed = bucket.presign("PUT", "/media/k");
        signed.expires_secs = secs;
        let answer = bucket.send("PUT", &signed.target(), &[], b"x").await;
        assert_eq!(answer.status, 400, "{secs}");
    }
}

#[tokio::test]
async fn a_signature_for_another_region_or_service_is_refused() {
    let bucket = running();
    for (region, service) in [("eu-west-1", "s3"), (REGION, "sts"), ("", "s3")] {
        let mut signed = bucket.presign("PUT", "/media/k");
        (signed.region, signed.service) = (region, service);
        let answer = bucket.send("PUT", &signed.target(), &[], b"x").await;
        assert_eq!(answer.code(), "400 AuthorizationQueryParametersError");
        let mut signed = bucket.presign("PUT", "/media/k");
        (signed.region, signed.service) = (region, service);
        let signed = signed.authorization("UNSIGNED-PAYLOAD");
        let headers: Vec<(&str, &str)> = signed.iter().map(|(n, v)| (&**n, &**v)).collect();
        let answer = bucket.send("PUT", "/media/k", &headers, b"x").await;
        assert_eq!(answer.code(), "400 AuthorizationHeaderMalformed");
    }
}

#[tokio::test]
async fn version_2_signatures_are_refused_in_query_and_header() {
    let bucket = running();
    let target = format!("/media/k?AWSAccessKeyId={ACCESS_KEY}&Expires=4102444800&Signature=x");
    let answer = bucket.send("GET", &target, &[], b"").await;
    assert_eq!(answer.code(), "400 InvalidRequest");
    let header = format!("AWS {ACCESS_KEY}:c2lnbmF0dXJl");
    let headers = [("authorization", &*header)];
    let answer = bucket.send("GET", "/media/k", &headers, b"").await;
    assert_eq!(answer.code(), "400 InvalidRequest");
}

#[tokio::test]
async fn streaming_sentinels_on_a_presigned_put_are_refused_even_if_signed() {
    let bucket = running();
    for sentinel in [
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    ] {
        let header = [("x-amz-content-sha256", sentinel)];
        let target = bucket.presign("PUT", "/media/k").target();
        let answer = bucket.send("PUT", &target, &header, b"0\r\n\r\n").await;
        assert_eq!(answer.code(), "403 AccessDenied");
        let signed = bucket.presign("PUT", "/media/k");
        let target = signed.header("x-amz-content-sha256", sentinel).target();
        let answer = bucket.send("PUT", &target, &header, b"0\r\n\r\n").await;
        assert_eq!(answer.code(), "400 InvalidRequest");
        let hoisted = bucket.presign("PUT", "/media/k");
        let target = hoisted.query("X-Amz-Content-Sha256", sentinel).target();
        let answer = bucket.send("PUT", &target, &[], b"0\r\n\r\n").await;
        assert_eq!(answer.code(), "400 InvalidRequest");
    }
    assert_eq!(bucket.read(BUCKET, "k").await, None);
}

#[tokio::test]
async fn a_header_that_the_signer_moved_into_the_query_counts() {
    let bucket = running();
    let put = |value: &'static str| {
        let signed = bucket.presign("PUT", "/media/k");
        signed.query("x-amz-checksum-crc32", value).target()
    };
    let answer = bucket.send("PUT", &put("AAAAAA=="), &[], b"hello").await;
    assert_eq!(answer.code(), "400 BadDigest");
    let answer = bucket.send("PUT", &put("NhCmhg=="), &[], b"hello").await;
    assert_eq!(answer.code(), "200 ");
    assert_eq!(answer.header("x-amz-checksum-crc32"), Some("NhCmhg=="));
}

#[tokio::test]
async fn a_presigned_get_overrides_response_headers_and_a_public_one_does_not() {
    let bucket = running();
    bucket.put("media/products/a.png", b"png").await;
    let path = "/media/media/products/a.png";
    let signed = bucket
        .presign("GET", path)
        .query("response-content-type", "application/pdf")
        .query("response-content-disposition", "attachment; filename=\"a\"")
        .query("response-cache-control", "no-store");
    let answer = bucket.send("GET", &signed.target(), &[], b"").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/pdf"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let disposition = answer.header("content-disposition");
    assert_eq!(disposition, Some("attachment; filename=\"a\""));
    let unsigned = format!("{path}?response-content-type=text/html");
    let answer = bucket.send("GET", &unsigned, &[], b"").await;
    assert_eq!(answer.code(), "403 AccessDenied");
}

#[tokio::test]
async fn two_ways_to_sign_at_once_and_a_wrong_signature_are_refused() {
    let bucket = running();
    let target = bucket.presign("PUT", "/media/k").target();
    let header = [("authorization", "AWS4-HMAC-SHA256 Credential=x")];
    let answer = bucket.send("PUT", &target, &header, b"x").await;
    assert_eq!(answer.code(), "400 InvalidArgument");
    let (start, _) = target.split_at(target.len() - 4);
    let answer = bucket.send("PUT", &format!("{start}0000"), &[], b"x").await;
    assert_eq!(answer.code(), "403 SignatureDoesNotMatch");
    let unknown = target.replace(ACCESS_KEY, "AKSOMEONE");
    let answer = bucket.send("PUT", &unknown, &[], b"x").await;
    assert_eq!(answer.code(), "403 InvalidAccessKeyId");
    assert!(scope(Utc::now(), REGION, "s3").ends_with("us-east-1/s3/aws4_request"));
}
