//! CopyObject, as the broker seals objects with it.

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::{ChecksumMode, MetadataDirective};

use super::running::{BUCKET, OTHER, Running, running};

const SHA256: (&str, &str) = (
    "x-amz-checksum-sha256",
    "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
);

async fn staged(bucket: &Running) -> String {
    let signed = bucket
        .presign("PUT", "/media/staging/upl_1")
        .header("content-type", "image/png")
        .header(SHA256.0, SHA256.1);
    let headers = [
        ("content-type", "image/png"),
        ("content-encoding", "br"),
        ("content-disposition", "inline"),
        SHA256,
    ];
    let target = signed.target();
    let answer = bucket.send("PUT", &target, &headers, b"hello").await;
    assert_eq!(answer.status, 200);
    answer.header("etag").unwrap().to_owned()
}

#[tokio::test]
async fn replacing_copy_drops_smuggled_headers_and_keeps_the_checksum() {
    let bucket = running();
    let etag = staged(&bucket).await;
    let sdk = bucket.sdk();
    let copy = sdk.copy_object().bucket(BUCKET).key("media/products/x.png");
    let copied = copy
        .copy_source("media/staging/upl_1")
        .copy_source_if_match(&etag)
        .metadata_directive(MetadataDirective::Replace)
        .content_type("image/png")
        .cache_control("public, max-age=31536000, immutable")
        .send()
        .await
        .unwrap();
    let result = copied.copy_object_result().unwrap();
    assert_eq!(result.e_tag(), Some(&*etag));
    assert_eq!(result.checksum_sha256(), Some(SHA256.1));
    assert!(result.last_modified().is_some());
    let head = sdk.head_object().bucket(BUCKET).key("media/products/x.png");
    let head = head
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .unwrap();
    assert_eq!(head.checksum_sha256(), Some(SHA256.1));
    assert_eq!(head.content_type(), Some("image/png"));
    assert_eq!(head.content_encoding(), None);
    assert_eq!(head.content_disposition(), None);
    let cache = head.cache_control();
    assert_eq!(cache, Some("public, max-age=31536000, immutable"));
    assert_eq!(bucket.files(), 1, "the copy shares the bytes");
}

#[tokio::test]
async fn copy_is_independent_of_its_source() {
    let bucket = running();
    staged(&bucket).await;
    let sdk = bucket.sdk();
    let copy = sdk.copy_object().bucket(OTHER).key("sealed");
    let copy = copy.copy_source("media/staging/upl_1");
    copy.send().await.unwrap();
    let head = sdk.head_object().bucket(OTHER).key("sealed").send().await;
    let head = head.unwrap();
    assert_eq!(head.content_encoding(), Some("br"), "COPY keeps headers");
    bucket.put("staging/upl_1", b"swapped").await;
    assert_eq!(bucket.read(OTHER, "sealed").await.unwrap(), b"hello");
    let remove = sdk.delete_object().bucket(BUCKET).key("staging/upl_1");
    remove.send().await.unwrap();
    assert_eq!(bucket.read(OTHER, "sealed").await.unwrap(), b"hello");
    let remove = sdk.delete_object().bucket(OTHER).key("sealed");
    remove.send().await.unwrap();
    assert_eq!(bucket.files(), 0);
}

#[tokio::test]
async fn copy_with_a_missing_key_or_bucket_answers_404() {
    let bucket = running();
    let copy = |source: &str, target: &str| {
        let copy = bucket.sdk().copy_object().bucket(target).key("k");
        copy.copy_source(source).send()
    };
    for (source, target, code) in [
        ("media/staging/none", BUCKET, "NoSuchKey"),
        ("nowhere/k", BUCKET, "NoSuchBucket"),
    ] {
        let error = copy(source, target).await.unwrap_err();
        let status = error.raw_response().unwrap().status().as_u16();
        assert_eq!((error.code(), status), (Some(code), 404));
    }
    bucket.put("there", b"x").await;
    let error = copy("media/there", "nowhere").await.unwrap_err();
    assert_eq!(error.code(), Some("NoSuchBucket"));
}

#[tokio::test]
async fn copy_obeys_conditions_on_source_and_target() {
    let bucket = running();
    let etag = format!("\"{}\"", bucket.put("source", b"x").await);
    let past = "Thu, 01 Jan 2015 00:00:00 GMT";
    let copy = async |name: &'static str, value: &str| {
        let signed = bucket
            .presign("PUT", "/media/copy")
            .header("x-amz-copy-source", "/media/source")
            .header(name, value);
        let headers = [("x-amz-copy-source", "/media/source"), (name, value)];
        let target = signed.target();
        bucket.send("PUT", &target, &headers, b"").await.status
    };
    assert_eq!(copy("x-amz-copy-source-if-match", "\"00\"").await, 412);
    assert_eq!(copy("x-amz-copy-source-if-none-match", &etag).await, 412);
    assert_eq!(
        copy("x-amz-copy-source-if-unmodified-since", past).await,
        412
    );
    assert_eq!(copy("if-match", "\"00\"").await, 404, "no target to match");
    assert_eq!(copy("x-amz-copy-source-if-match", &etag).await, 200);
    assert_eq!(copy("x-amz-copy-source-if-modified-since", past).await, 200);
    assert_eq!(copy("if-none-match", "*").await, 412, "the target exists");
}

#[tokio::test]
async fn copy_onto_itself_without_replace_is_refused() {
    let bucket = running();
    bucket.put("k", b"x").await;
    let copy = bucket.sdk().copy_object().bucket(BUCKET).key("k");
    let copy = copy.copy_source("media/k");
    let error = copy.clone().send().await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidRequest"));
    let replace = copy.metadata_directive(MetadataDirective::Replace);
    replace.content_type("text/plain").send().await.unwrap();
    assert_eq!(bucket.read(BUCKET, "k").await.unwrap(), b"x");
    assert_eq!(bucket.files(), 1);
}

#[tokio::test]
async fn copy_source_with_special_characters_is_found() {
    let bucket = running();
    let key = "a b+c/ä&?d";
    bucket.put(key, b"x").await;
    let source = percent_encoding::utf8_percent_encode(key, percent_encoding::NON_ALPHANUMERIC);
    let copy = bucket.sdk().copy_object().bucket(BUCKET).key("copy");
    let copy = copy.copy_source(format!("media/{source}"));
    copy.send().await.unwrap();
    assert_eq!(bucket.read(BUCKET, "copy").await.unwrap(), b"x");
}
