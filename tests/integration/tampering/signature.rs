//! The presigned PUT is valid for its headers, key, method and host only.

use reqwest::{Method, RequestBuilder};
use url::Url;

use crate::support::api::{Answer, http_client, presigned, send};
use crate::support::test_env::{Broker, TestEnv};
use crate::support::upload_steps::{raw_put, staging_key};

const RIGHT: &[u8] = b"\x89PNG the bytes that were meant";
const SECRET: &[u8] = b"somebody else's payment proof!!";
const SECRET_KEY: &str = "media/deposit_proofs/secret.pdf";

/// A test environment with a pending upload, and an object of another owner.
struct Scene {
    test_env: TestEnv,
    broker: Broker,
    created: Answer,
}

impl Scene {
    async fn new() -> Scene {
        let test_env = TestEnv::new().await;
        test_env
            .bucket
            .put(SECRET_KEY, SECRET, "application/pdf")
            .await;
        let broker = test_env.broker().await;
        let user = broker.user();
        let created = user.create("Product.image", RIGHT, "image/png").await;
        let created = created.expect(201);
        Scene {
            test_env,
            broker,
            created,
        }
    }

    /// The valid PUT, for a test to change.
    fn put(&self) -> RequestBuilder {
        presigned(&http_client(), &self.created.json["presigned"])
    }

    fn url(&self) -> Url {
        let url = self.created.json["presigned"]["url"].as_str();
        url.expect("a URL").parse().expect("a URL")
    }

    /// A query parameter's value in the presigned URL.
    fn signed(&self, name: &str) -> String {
        let url = self.url();
        let found = url.query_pairs().find(|(found, _)| found == name);
        found.expect("it is signed").1.into_owned()
    }

    /// The URL with one query parameter changed, or without it.
    fn url_with(&self, name: &str, value: Option<&str>) -> Url {
        let mut url = self.url();
        let rest = self.url();
        let rest = rest.query_pairs().filter(|(found, _)| found != name);
        url.query_pairs_mut()
            .clear()
            .extend_pairs(rest)
            .extend_pairs(value.map(|value| (name, value)));
        url
    }

    /// Asserts that nothing was written, the secret is unchanged, and the upload can still be used.
    async fn assert_untouched(&self, attack: &str) {
        let all = self.test_env.bucket.list("").await;
        let keys: Vec<&String> = all.keys().collect();
        assert_eq!(keys, [SECRET_KEY], "{attack}");
        let secret = self.test_env.bucket.get(SECRET_KEY).await;
        assert_eq!(secret.expect("it is there"), SECRET, "{attack}");
    }

    async fn assert_still_good(&self) {
        let user = self.broker.user();
        user.put(&self.created, RIGHT).await.expect(200);
        user.confirm(self.created.id()).await.expect(200);
    }
}

fn is_refusal(status: u16) -> bool {
    (400..=499).contains(&status) || status == 501
}

#[tokio::test]
async fn copy_source_on_the_presigned_put_reads_nothing() {
    let scene = Scene::new().await;
    let bucket = scene.test_env.bucket.name.clone();
    let sources = [
        format!("{bucket}/{SECRET_KEY}"),
        format!("/{bucket}/{SECRET_KEY}"),
        format!("/{bucket}/{}", SECRET_KEY.replace('/', "%2F")),
        format!("arn:aws:s3:::{bucket}/{SECRET_KEY}"),
    ];
    for source in sources {
        for body in [RIGHT, b""] {
            let plain = scene.put().header("x-amz-copy-source", &source);
            let replaced = scene
                .put()
                .header("x-amz-copy-source", &source)
                .header("x-amz-metadata-directive", "REPLACE");
            let range = scene
                .put()
                .header("x-amz-copy-source", &source)
                .header("x-amz-copy-source-range", "bytes=0-3");
            for attack in [plain, replaced, range] {
                let answer = send(attack.body(body)).await;
                assert!(is_refusal(answer.status), "{source}: {answer:?}");
                scene.assert_untouched(&source).await;
            }
        }
        let mut url = scene.url();
        url.query_pairs_mut()
            .append_pair("x-amz-copy-source", &source);
        let in_query = http_client().put(url).header("content-type", "image/png");
        let answer = send(in_query.body(RIGHT)).await;
        assert!(is_refusal(answer.status), "in the query: {answer:?}");
        scene.assert_untouched(&source).await;
    }
    scene.assert_still_good().await;
}

#[tokio::test]
async fn signature_moved_into_the_header_covers_no_copy_source() {
    let scene = Scene::new().await;
    let mut url = scene.url();
    url.set_query(None);
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}, SignedHeaders={}, Signature={}",
        scene.signed("X-Amz-Credential"),
        scene.signed("X-Amz-SignedHeaders"),
        scene.signed("X-Amz-Signature")
    );
    let source = format!("{}/{SECRET_KEY}", scene.test_env.bucket.name);
    for payload in ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"] {
        let replay = http_client()
            .put(url.clone())
            .header("authorization", &authorization)
            .header("x-amz-date", scene.signed("X-Amz-Date"))
            .header("x-amz-content-sha256", payload)
            .header("content-type", "image/png")
            .header("x-amz-copy-source", &source);
        let answer = send(replay.body(RIGHT)).await;
        assert!(is_refusal(answer.status), "{payload}: {answer:?}");
        scene.assert_untouched(payload).await;
    }
    scene.assert_still_good().await;
}

#[tokio::test]
async fn copy_source_in_any_spelling_is_refused() {
    let scene = Scene::new().await;
    let url = scene.url();
    let host = format!(
        "Host: {}",
        &url[url::Position::BeforeHost..url::Position::AfterPort]
    );
    let base = [
        host,
        format!("Content-Length: {}", RIGHT.len()),
        "Content-Type: image/png".to_owned(),
    ];
    let source = format!("{}/{SECRET_KEY}", scene.test_env.bucket.name);
    let spellings: [&[String]; 5] = [
        &[format!("X-AMZ-COPY-SOURCE: {source}")],
        &[format!("X-Amz-Copy-Source:{source}")],
        &[format!("x-amz-copy-source: \t{source} ")],
        &[
            "x-amz-copy-source:".to_owned(),
            format!("X-Amz-Copy-Source: {source}"),
        ],
        &[
            format!("x-amz-copy-source: {source}"),
            format!("x-amz-copy-source: {source}"),
        ],
    ];
    for spelling in spellings {
        let lines = [&base[..], spelling].concat();
        let status = raw_put(&url, &lines, RIGHT).await;
        assert!(is_refusal(status), "{spelling:?}: {status}");
        scene.assert_untouched(&spelling[0]).await;
    }
    assert_eq!(
        raw_put(&url, &base, RIGHT).await,
        200,
        "without it the request is sound"
    );
}

#[tokio::test]
async fn presigned_put_with_another_query_method_key_or_host_is_refused() {
    let scene = Scene::new().await;
    let (client, url) = (http_client(), scene.url());
    let put = |url: Url| {
        client
            .put(url)
            .header("content-type", "image/png")
            .body(RIGHT)
    };
    let path = |path: String| {
        let mut url = scene.url();
        url.set_path(&path);
        url
    };
    let added = |query: &str| format!("{url}&{query}").parse::<Url>().expect("a URL");
    let bucket = &scene.test_env.bucket.name;
    let own = staging_key(scene.created.id());
    let mut attacks = vec![
        ("another key", put(path(format!("/{bucket}/staging/other")))),
        (
            "a final key",
            put(path(format!("/{bucket}/media/products/x.png"))),
        ),
        ("a key below", put(path(format!("/{bucket}/{own}/x")))),
        (
            "the secret's key",
            put(path(format!("/{bucket}/{SECRET_KEY}"))),
        ),
        ("the bucket", put(path(format!("/{bucket}")))),
        ("another bucket", put(path(format!("/{bucket}-x/{own}")))),
        (
            "another host",
            put(url.clone()).header("host", "evil.example"),
        ),
        (
            "no host that was signed",
            put(url.clone()).header("host", "localhost:1"),
        ),
    ];
    for query in [
        "acl",
        "tagging",
        "partNumber=1&uploadId=x",
        "uploads",
        "retention",
        "legal-hold",
        "torrent",
        "versionId=x",
    ] {
        attacks.push((query, put(added(query))));
    }
    for (name, value) in [
        ("X-Amz-Expires", Some("604800")),
        ("X-Amz-Date", Some("20300101T000000Z")),
        ("X-Amz-SignedHeaders", Some("host")),
        ("X-Amz-Algorithm", Some("none")),
        ("X-Amz-Signature", Some("")),
        ("X-Amz-Signature", None),
        ("x-id", Some("DeleteObject")),
        ("x-id", None),
    ] {
        attacks.push((name, put(scene.url_with(name, value))));
    }
    for method in [Method::GET, Method::HEAD, Method::DELETE, Method::POST] {
        attacks.push(("another method", client.request(method, url.clone())));
    }
    for (attack, request) in attacks {
        let answer = send(request).await;
        assert!(is_refusal(answer.status), "{attack}: {answer:?}");
        scene.assert_untouched(attack).await;
    }
    scene.assert_still_good().await;
}

#[tokio::test]
async fn streaming_payload_markers_are_refused_on_a_presigned_put() {
    let scene = Scene::new().await;
    let framed = format!("{:x}\r\n{}\r\n0\r\n\r\n", 5, "hello");
    for sentinel in [
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    ] {
        let plain = scene.put().header("x-amz-content-sha256", sentinel);
        let length = RIGHT.len().to_string();
        let framing = scene
            .put()
            .header("x-amz-content-sha256", sentinel)
            .header("content-encoding", "aws-chunked")
            .header("x-amz-decoded-content-length", length);
        for attack in [plain.body(RIGHT), framing.body(framed.clone())] {
            let answer = send(attack).await;
            assert!(is_refusal(answer.status), "{sentinel}: {answer:?}");
            scene.assert_untouched(sentinel).await;
        }
    }
    scene.assert_still_good().await;
}
