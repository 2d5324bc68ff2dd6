//! Requests through the S3 proxy keep their signatures in front of a real store.

use crate::support::bucket::TestBucket;
use crate::support::needs;
use crate::support::s3_proxy::S3Proxy;

#[tokio::test]
async fn s3_proxy_keeps_signatures_valid_in_front_of_a_real_store() {
    if needs("BYTEPASS_TEST_S3_ENDPOINT").is_none() {
        return;
    }
    let Some(bucket) = TestBucket::create().await else {
        return;
    };
    let upstream = bucket.server.endpoint.trim_start_matches("http://");
    let proxy = S3Proxy::start(upstream.parse().expect("an address"));
    let mut server = bucket.server.clone();
    server.endpoint = proxy.endpoint();
    let through = TestBucket::at(server, &bucket.name);
    through.put("staging/a", b"hello", "image/png").await;
    assert_eq!(bucket.get("staging/a").await.expect("it is there"), "hello");
    assert_eq!(
        through.get("staging/a").await.expect("it is there"),
        "hello"
    );
    let head = through.head("staging/a").await.expect("it is there");
    assert_eq!(head.content_length(), Some(5));
    assert!(through.head("staging/b").await.is_none());
    assert_eq!(through.list("staging/").await.len(), 1);
}
