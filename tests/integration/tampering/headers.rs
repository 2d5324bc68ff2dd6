//! Types and headers: an object is served with the headers that the broker chose, whatever the client sent.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::DateTime;
use serde_json::json;

use crate::support::api::{Answer, Api, http_client, presigned, send};
use crate::support::test_env::TestEnv;
use crate::support::upload_steps::{create_with, plant, planting, staging_key, text};

const RIGHT: &[u8] = b"%PDF- the bytes that were meant";
const FIELD: &str = "Deposit.deposit_proof";

/// Headers that a client adds without a signature over them.
const SMUGGLED: [(&str, &str); 28] = [
    ("content-disposition", "inline; filename=\"evil.html\""),
    ("content-encoding", "gzip"),
    ("content-encoding", "aws-chunked"),
    ("content-language", "tlh"),
    ("cache-control", "no-store"),
    ("expires", "Thu, 01 Dec 1994 16:00:00 GMT"),
    ("x-amz-meta-a", "b"),
    ("x-amz-meta-s3cmd-attrs", "mode:33188"),
    ("x-amz-tagging", "public=yes"),
    ("x-amz-acl", "public-read-write"),
    (
        "x-amz-grant-read",
        "uri=http://acs.amazonaws.com/groups/global/AllUsers",
    ),
    ("x-amz-grant-read-acp", "id=1"),
    ("x-amz-grant-write-acp", "id=1"),
    ("x-amz-grant-full-control", "id=1"),
    ("x-amz-website-redirect-location", "https://evil.example/"),
    ("x-amz-storage-class", "GLACIER"),
    ("x-amz-object-lock-mode", "COMPLIANCE"),
    (
        "x-amz-object-lock-retain-until-date",
        "2099-01-01T00:00:00Z",
    ),
    ("x-amz-object-lock-legal-hold", "ON"),
    ("x-amz-server-side-encryption", "AES256"),
    ("x-amz-server-side-encryption-aws-kms-key-id", "evil"),
    ("x-amz-server-side-encryption-context", "e30="),
    ("x-amz-server-side-encryption-bucket-key-enabled", "true"),
    ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
    ("x-amz-request-payer", "requester"),
    ("x-amz-expected-bucket-owner", "111122223333"),
    ("x-amz-checksum-crc32", "AAAAAA=="),
    ("x-amz-write-offset-bytes", "0"),
];

/// Headers that differ between answers, or do not describe the object.
const OF_THE_ANSWER: [&str; 9] = [
    "date",
    "last-modified",
    "etag",
    "x-amz-request-id",
    "x-amz-id-2",
    "server",
    "connection",
    "accept-ranges",
    "keep-alive",
];

/// All headers of a confirmed object, without those of the answer itself. Read with the owner's keys: a download's URL
/// names type and disposition itself, which would hide what is stored.
async fn stored(test_env: &TestEnv, user: &Api, id: &str) -> BTreeMap<String, String> {
    let key = text(&user.read(id).await.expect(200), "key");
    let get = test_env
        .bucket
        .client
        .get_object()
        .bucket(&test_env.bucket.name);
    let soon = PresigningConfig::expires_in(Duration::from_secs(60)).expect("a time");
    let url = get.key(key).presigned(soon).await.expect("a URL");
    let object = send(http_client().get(url.uri())).await.expect(200);
    let all = object.headers.keys().map(|name| name.as_str());
    all.filter(|name| !OF_THE_ANSWER.contains(name))
        .map(|name| (name.to_owned(), object.header(name).to_owned()))
        .collect()
}

async fn declare(user: &Api) -> Answer {
    create_with(user, FIELD, RIGHT, "application/pdf", "sha256")
        .await
        .expect(201)
}

/// The headers of an unchanged upload.
async fn policy_headers(test_env: &TestEnv, user: &Api) -> BTreeMap<String, String> {
    let clean = declare(user).await;
    user.put(&clean, RIGHT).await.expect(200);
    user.confirm(clean.id()).await.expect(200);
    let headers = stored(test_env, user, clean.id()).await;
    assert_eq!(headers["content-type"], "application/pdf");
    assert_eq!(headers["content-disposition"], "attachment");
    let cache = "private, max-age=31536000, immutable";
    assert_eq!(headers["cache-control"], cache);
    headers
}

#[tokio::test]
async fn headers_added_to_the_put_are_never_served() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let policy = policy_headers(&test_env, &user).await;
    let (mut sealed, mut refused) = (Vec::new(), Vec::new());
    for (name, value) in SMUGGLED {
        let created = declare(&user).await;
        let request = presigned(&http_client(), &created.json["presigned"]);
        let put = send(request.header(name, value).body(RIGHT)).await;
        let confirm = user.confirm(created.id()).await;
        match (put.status, confirm.status) {
            (200, 200) => {
                let found = stored(&test_env, &user, created.id()).await;
                assert_eq!(found, policy, "{name}: {value}");
                sealed.push(name);
            }
            (200, 422) => refused.push(name),
            (400..=499 | 501, 409) => {
                confirm.expect_problem(409, "object-missing");
                refused.push(name);
            }
            other => panic!("{name}: {value}: {other:?} {} {}", put.text, confirm.text),
        }
    }
    for name in SMUGGLED
        .map(|it| it.0)
        .iter()
        .filter(|it| it.starts_with("x-amz-"))
    {
        assert!(refused.contains(name), "{name} is unsigned and was taken");
    }
    assert!(sealed.contains(&"content-disposition"), "{sealed:?}");
}

#[tokio::test]
async fn headers_of_a_staged_object_do_not_survive_the_seal() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let policy = policy_headers(&test_env, &user).await;
    let created = declare(&user).await;
    let planted = planting(&test_env.bucket, created.id(), RIGHT, Some("sha256"))
        .content_type("text/html")
        .content_disposition("inline; filename=\"evil.html\"")
        .content_encoding("br")
        .content_language("tlh")
        .cache_control("no-store")
        .expires(DateTime::from_secs(1_000_000_000))
        .metadata("evil", "yes")
        .metadata("attrs", "mode:33188");
    planted.send().await.expect("the bucket takes it");
    let staged = test_env.bucket.head(&staging_key(created.id())).await;
    let staged = staged.expect("the staged object");
    assert_eq!(staged.content_encoding(), Some("br"));
    let smuggled = staged.metadata().expect("metadata");
    assert_eq!(smuggled.len(), 2, "{smuggled:?}");
    user.confirm(created.id()).await.expect(200);
    assert_eq!(stored(&test_env, &user, created.id()).await, policy);
}

#[tokio::test]
async fn put_with_another_type_than_declared_is_refused() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let created = user.create("Product.image", RIGHT, "image/png").await;
    let url = text_of_url(&created.clone().expect(201));
    let types = [
        "text/html",
        "image/svg+xml",
        "image/png; charset=utf-7",
        "image/jpeg",
        "",
    ];
    for content_type in types {
        let lying = http_client().put(&url).header("content-type", content_type);
        let answer = send(lying.body(RIGHT)).await;
        assert!(
            [400, 403].contains(&answer.status),
            "{content_type}: {answer:?}"
        );
    }
    assert!(test_env.bucket.list("").await.is_empty());
}

#[tokio::test]
async fn executable_types_are_refused_by_every_default_field() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let types = [
        "text/html",
        "image/svg+xml",
        "application/xhtml+xml",
        "text/xml",
        "application/xml",
        "multipart/related",
        "message/rfc822",
        "application/wasm",
        "text/javascript",
        "application/zip",
        "application/x-shockwave-flash",
        "image/png, text/html",
        "image/png;text/html",
        " image/png",
        "",
        "application/octet-stream",
        "*/*",
        "image/*",
        "image/png\r\nx: y",
    ];
    for field in [
        "Product.image",
        "ProductImage.image",
        "Deposit.deposit_proof",
        "Order.txid_proof",
    ] {
        for content_type in types {
            let body = json!({
                "field": field, "filename": "f", "content_type": content_type, "size": 9,
                "checksum": {"algorithm": "sha256", "value": crate::support::upload_steps::digest("sha256", b"")},
            });
            let answer = user.post("/v1/uploads", &body).await;
            answer.expect_problem(422, "media-type-not-allowed");
        }
    }
}

#[tokio::test]
async fn presigned_get_with_another_response_type_is_refused() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let created = declare(&user).await;
    plant(&test_env.bucket, created.id(), RIGHT, Some("sha256")).await;
    user.confirm(created.id()).await.expect(200);
    let download = user
        .get(&format!("/v1/uploads/{}/download", created.id()))
        .await;
    let url = text(&download.expect(200), "url");
    for change in [
        "response-content-type=text/html",
        "response-content-disposition=inline",
    ] {
        let answer = send(http_client().get(format!("{url}&{change}"))).await;
        assert!([400, 403].contains(&answer.status), "{change}: {answer:?}");
    }
}

fn text_of_url(created: &Answer) -> String {
    let url = created.json["presigned"]["url"].as_str();
    url.expect("a URL").to_owned()
}
