//! Steps that tests of attacks and faults share: a broker behind a proxy, objects put without the broker, digests computed without it.

use std::future::Future;
use std::time::{Duration, Instant};

use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::CrcAlgorithm;
use md5::Md5;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use super::api::{Answer, Api};
use super::bucket::TestBucket;
use super::s3_proxy::S3Proxy;
use super::test_env::{Broker, TestEnv};

/// Every algorithm that a client may declare.
pub const ALGORITHMS: [&str; 5] = ["sha256", "crc32", "crc32c", "crc64nvme", "md5"];

/// A broker that reaches the bucket through a proxy, while clients reach it directly. Its time limits are long, so that a test may hold
/// an answer on a slow machine; `change` overrides them.
pub async fn behind_proxy(test_env: &TestEnv, change: Value) -> (Broker, S3Proxy) {
    let endpoint = test_env.bucket.server.endpoint.clone();
    let upstream = endpoint.trim_start_matches("http://");
    let proxy = S3Proxy::start(upstream.parse().expect("an address"));
    let mut storage = json!({
        "endpoint": proxy.endpoint(), "public_endpoint": endpoint,
        "attempt_timeout_ms": 30_000, "operation_timeout_ms": 60_000, "copy_base_ms": 60_000,
    });
    for (key, value) in change.as_object().expect("keys of [storage]") {
        storage[key] = value.clone();
    }
    let broker = test_env.broker_with(json!({"storage": storage})).await;
    (broker, proxy)
}

/// The base64 digest, as S3 writes it.
pub fn digest(algorithm: &str, bytes: &[u8]) -> String {
    let crc = |algorithm, len: usize| {
        let sum = crc_fast::checksum(algorithm, bytes).to_be_bytes();
        STANDARD.encode(&sum[8 - len..])
    };
    match algorithm {
        "sha256" => STANDARD.encode(Sha256::digest(bytes)),
        "md5" => STANDARD.encode(Md5::digest(bytes)),
        "crc32" => crc(CrcAlgorithm::Crc32IsoHdlc, 4),
        "crc32c" => crc(CrcAlgorithm::Crc32Iscsi, 4),
        "crc64nvme" => crc(CrcAlgorithm::Crc64Nvme, 8),
        other => panic!("no algorithm {other}"),
    }
}

/// Asks for a presigned PUT of these bytes with their true checksum.
pub async fn create_with(
    api: &Api,
    field: &str,
    bytes: &[u8],
    content_type: &str,
    algorithm: &str,
) -> Answer {
    let body = json!({
        "field": field, "filename": "picture", "content_type": content_type, "size": bytes.len(),
        "checksum": {"algorithm": algorithm, "value": digest(algorithm, bytes)},
    });
    api.post("/v1/uploads", &body).await
}

/// The staging key of this upload.
pub fn staging_key(id: &str) -> String {
    format!("staging/{id}")
}

/// The member as text.
pub fn text(answer: &Answer, member: &str) -> String {
    let value = answer.json[member].as_str();
    value
        .unwrap_or_else(|| panic!("no {member} in {}", answer.text))
        .to_owned()
}

/// The owner's PutObject to the staging key of this upload, with these bytes' own true checksum.
pub fn planting(
    bucket: &TestBucket,
    id: &str,
    bytes: &[u8],
    algorithm: Option<&str>,
) -> PutObjectFluentBuilder {
    let put = bucket.client.put_object();
    let put = put.bucket(&bucket.name).key(staging_key(id));
    let put = put.body(ByteStream::from(bytes.to_vec()));
    match algorithm {
        None | Some("md5") => put,
        Some("sha256") => put.checksum_sha256(digest("sha256", bytes)),
        Some("crc32") => put.checksum_crc32(digest("crc32", bytes)),
        Some("crc32c") => put.checksum_crc32_c(digest("crc32c", bytes)),
        Some("crc64nvme") => put.checksum_crc64_nvme(digest("crc64nvme", bytes)),
        Some(other) => panic!("no algorithm {other}"),
    }
}

/// Puts bytes under the staging key, as a store without checks of the signed headers would let a client do.
pub async fn plant(bucket: &TestBucket, id: &str, bytes: &[u8], algorithm: Option<&str>) {
    let sent = planting(bucket, id, bytes, algorithm)
        .content_type("image/png")
        .send()
        .await;
    sent.expect("the bucket takes it");
}

/// Sends a PUT with exactly these head lines; returns the status of the answer.
pub async fn raw_put(url: &Url, head_lines: &[String], body: &[u8]) -> u16 {
    let address = url.socket_addrs(|| None).expect("an address")[0];
    let mut stream = TcpStream::connect(address).await.expect("the store");
    let query = url.query().expect("a query");
    let mut request = format!("PUT {}?{query} HTTP/1.1\r\n", url.path());
    for line in head_lines {
        request += &format!("{line}\r\n");
    }
    request += "Connection: close\r\n\r\n";
    let bytes = [request.as_bytes(), body].concat();
    stream.write_all(&bytes).await.expect("the store reads");
    let mut answer = Vec::new();
    // A store may reset after its answer because it did not read the body.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer
        .split(' ')
        .nth(1)
        .unwrap_or_else(|| panic!("{answer:?}"));
    status.parse().expect("a status")
}

/// Waits until it is so; fails the test after 30 s.
pub async fn eventually<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_so().await {
        assert!(Instant::now() < end, "it never came to be: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
