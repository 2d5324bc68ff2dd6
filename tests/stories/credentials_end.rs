//! C5: the broker's credentials come from a container's endpoint and end. No URL ever states a time beyond them, a URL works
//! until the time it states, and with nothing left to sign with the answer is a 503, never a dead URL.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::api::{Answer, Api, http_client, presigned};
use crate::support::broker_process::BrokerProcess;
use crate::support::bucket::S3Server;
use crate::support::records::is_come_back;
use crate::support::world::{World, sign_user, user_token};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes of a picture";
/// How long each set of credentials lives: a minute of it is the broker's margin, the rest is what a URL may state.
const LIFE_SECS: i64 = 72;

/// An endpoint as ECS and EKS have it, which gives the bucket's keys with an end.
struct CredentialServer {
    url: String,
    up: Arc<AtomicBool>,
    /// The latest end that was given, seconds since 1970.
    ends_at: Arc<AtomicI64>,
}

impl CredentialServer {
    async fn start(keys: S3Server) -> CredentialServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = CredentialServer {
            url: format!("http://{address}/credentials"),
            up: Arc::new(AtomicBool::new(true)),
            ends_at: Arc::default(),
        };
        let (up, ends_at) = (server.up.clone(), server.ends_at.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (up, ends_at, keys) = (up.clone(), ends_at.clone(), keys.clone());
                let service = service_fn(move |_: Request<hyper::body::Incoming>| {
                    let answer = answer(&keys, &up, &ends_at);
                    async move { Ok::<_, std::convert::Infallible>(answer) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service);
                tokio::spawn(connection);
            }
        });
        server
    }

    fn ends_at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.ends_at.load(Ordering::SeqCst), 0).expect("a time")
    }
}

fn answer(keys: &S3Server, up: &AtomicBool, ends_at: &AtomicI64) -> Response<Full<Bytes>> {
    if !up.load(Ordering::SeqCst) {
        let mut down = Response::new(Full::default());
        *down.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        return down;
    }
    let end = Utc::now() + TimeDelta::seconds(LIFE_SECS);
    ends_at.store(end.timestamp(), Ordering::SeqCst);
    let body = json!({
        "AccessKeyId": keys.access_key, "SecretAccessKey": keys.secret_key, "Token": "",
        "Expiration": end.to_rfc3339_opts(SecondsFormat::Secs, true),
    });
    Response::new(Full::from(body.to_string()))
}

/// `serve` without keys in its configuration, and with nothing of the machine's own in its environment.
fn broker_without_keys(world: &World, server: &CredentialServer) -> BrokerProcess {
    let storage = json!({"access_key_id": "", "secret_access_key": ""});
    let env = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url.as_str()),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_PROFILE", "default"),
        ("AWS_CONFIG_FILE", "/nonexistent/config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials"),
    ];
    world.process(json!({ "storage": storage }), &env)
}

fn stated_end(answer: &Answer) -> DateTime<Utc> {
    let text = answer.json["presigned"]["expires_at"].as_str();
    text.expect("a time").parse().expect("RFC 3339")
}

/// Creates, and fails the test if the URL's end lies beyond that of every set of credentials given so far.
async fn create(user: &Api, server: &CredentialServer) -> Answer {
    let created = user
        .create("Product.image", JPEG, "image/jpeg")
        .await
        .expect(201);
    let (stated, end) = (stated_end(&created), server.ends_at());
    assert!(
        stated <= end,
        "{stated} is after the credentials' end {end}"
    );
    assert!(stated > Utc::now(), "{stated} is over already");
    created
}

async fn put(presigned_request: &Value) -> u16 {
    let request = presigned(&http_client(), presigned_request).body(JPEG);
    request.send().await.expect("an answer").status().as_u16()
}

async fn until(time: DateTime<Utc>) {
    if let Ok(left) = (time - Utc::now()).to_std() {
        tokio::time::sleep(left).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c5_a_url_never_outlives_the_credentials_that_signed_it_and_works_until_its_end() {
    let world = World::new().await;
    let server = CredentialServer::start(world.bucket.server.clone()).await;
    let broker = broker_without_keys(&world, &server);
    let user = Api::new(&broker.url, &sign_user(&user_token("1")));
    let (first, unused) = (create(&user, &server).await, create(&user, &server).await);
    let left = stated_end(&first) - Utc::now();
    assert!(
        left <= TimeDelta::seconds(LIFE_SECS - 60),
        "{left}: a minute of margin"
    );
    let first_end = server.ends_at();

    until(stated_end(&first) - TimeDelta::seconds(2)).await;
    assert_eq!(
        put(&first.json["presigned"]).await,
        200,
        "before its stated end"
    );
    user.confirm(first.id()).await.expect(200);
    until(stated_end(&unused) + TimeDelta::seconds(2)).await;
    assert_eq!(
        put(&unused.json["presigned"]).await,
        403,
        "after its stated end"
    );

    // Renewed by now, without anybody waiting for it.
    let renewed = create(&user, &server).await;
    assert!(server.ends_at() > first_end);
    assert!(stated_end(&renewed) > stated_end(&first));
    assert_eq!(put(&renewed.json["presigned"]).await, 200);
    let again = user
        .post_empty(&format!("/v1/uploads/{}/presign", unused.id()))
        .await
        .expect(200);
    assert_eq!(put(&again.json["presigned"]).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn c5_with_no_credentials_left_a_create_is_told_to_come_back_and_later_succeeds() {
    let world = World::new().await;
    let server = CredentialServer::start(world.bucket.server.clone()).await;
    let broker = broker_without_keys(&world, &server);
    let user = Api::new(&broker.url, &sign_user(&user_token("1")));
    create(&user, &server).await;
    server.up.store(false, Ordering::SeqCst);
    // One that was renewed a moment ago may still sign; then nothing is left.
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = user.create("Product.image", JPEG, "image/jpeg").await;
        if answer.status != 201 {
            assert_eq!(answer.code(), "store-unavailable", "{answer:?}");
            is_come_back(&answer);
            break;
        }
        assert!(stated_end(&answer) <= server.ends_at());
        assert!(Instant::now() < end, "it signs with credentials that ended");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    server.up.store(true, Ordering::SeqCst);
    let end = Instant::now() + Duration::from_secs(30);
    while user
        .create("Product.image", JPEG, "image/jpeg")
        .await
        .status
        != 201
    {
        assert!(Instant::now() < end, "it does not recover");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let created = create(&user, &server).await;
    assert_eq!(put(&created.json["presigned"]).await, 200);
}
