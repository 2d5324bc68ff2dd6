//! Tests through the whole app, without a broker: a request that reaches one fails with 500.

mod cors;
mod demo;
mod logs;
mod openapi;
mod problems;
mod responses;
mod sockets;

use std::sync::{Arc, OnceLock};

use actix_web::body::to_bytes;
use actix_web::dev::ServiceResponse;
use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::web;
use chrono::Utc;
use secrecy::SecretString;
use serde_json::Value;

use super::routes::{at, get, private};
use super::server::{HttpOptions, Parts, app};
use crate::auth::{
    Authenticator, EventSenders, MintRequest, Signer, mint_hs256, new_signing_key_pem,
};
use crate::config::{Auth, Config, Issuer, IssuerKeys, ReceiptKey, Receipts, Sources};
use crate::domain::principal::Scope;
use crate::telemetry::metrics::Metrics;

/// The public URL of the tested server.
pub const PUBLIC_URL: &str = "https://broker.example/base";

fn secret() -> SecretString {
    SecretString::from("a test secret of thirty-two bytes or more")
}

/// A valid token.
pub fn token() -> String {
    let request = MintRequest {
        issuer: "test",
        audience: "bytepass",
        subject: "1",
        scopes: &Scope::ALL,
        fields: None,
        kid: None,
        now: Utc::now(),
        lifetime_secs: 600,
    };
    mint_hs256(&secret(), &request)
}

/// The app's parts with these options and metrics.
pub fn parts(options: &HttpOptions, metrics: &Metrics) -> Parts {
    // Shared by all tests, because its HTTP client reads the system's certificates, which takes longer than a test.
    static ONE: OnceLock<Arc<Authenticator>> = OnceLock::new();
    let authenticator = ONE.get_or_init(|| Arc::new(authenticator()));
    Parts::new(
        authenticator.clone(),
        Arc::new(signer()),
        metrics.clone(),
        options,
    )
}

fn authenticator() -> Authenticator {
    let issuer = Issuer {
        name: "test".into(),
        issuer: "test".into(),
        audience: "bytepass".into(),
        owner_prefix: "user:".into(),
        scopes: Scope::ALL.to_vec(),
        keys: IssuerKeys::Secret {
            kid: None,
            secret: secret(),
        },
    };
    Authenticator::for_tests(&Auth {
        leeway_secs: 0,
        max_token_lifetime_secs: 3600,
        issuers: vec![issuer],
    })
}

fn signer() -> Signer {
    let receipts = Receipts {
        issuer: None,
        audience: "bytepass-receipts".into(),
        lifetime_secs: 60,
        keys: vec![ReceiptKey {
            kid: "test".into(),
            pem: new_signing_key_pem(),
        }],
    };
    Signer::new(&receipts, PUBLIC_URL).expect("a new key is valid")
}

/// The default configuration with a short body timeout, two origins and no request limits.
pub fn options() -> HttpOptions {
    let config = Config::load(&Sources::default()).expect("the default configuration");
    let mut options = HttpOptions::new(&config, &format!("{PUBLIC_URL}/"), None);
    options.allowed_origins = vec![
        "https://shop.example".into(),
        "http://localhost:3000".into(),
    ];
    options.server.body_timeout_ms = 600;
    options.limits.requests_per_owner_per_sec = 0;
    options.limits.requests_per_address_per_sec = 0;
    options
}

async fn panics() -> &'static str {
    panic!("canary-panic-text")
}

async fn unauthenticated(_: super::extract::Caller) -> &'static str {
    "reached"
}

async fn strict(
    _: super::extract::Json<super::resources::uploads::CreateUploadBody>,
) -> &'static str {
    "accepted"
}

/// Extra routes: one panics, one is not wrapped in `authenticate`, one takes a body and needs no broker.
pub fn test_routes(config: &mut web::ServiceConfig) {
    static NO_SENDERS: OnceLock<Arc<EventSenders>> = OnceLock::new();
    let senders = NO_SENDERS.get_or_init(|| Arc::new(EventSenders::none()));
    config
        .app_data(web::Data::from(senders.clone()))
        .service(at("/panics", "GET, HEAD", |r| r.route(get().to(panics))))
        .service(at("/unauthenticated", "GET, HEAD", |r| {
            r.route(get().to(unauthenticated))
        }))
        .service(at("/strict", "POST", |r| {
            r.route(private(web::post().to(strict)))
        }));
}

/// A response with its body.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    response: ServiceResponse<()>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let value = self.response.headers().get(name)?;
        Some(value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The code, if the response is a complete problem document.
    pub fn problem(&self) -> Option<String> {
        let document = self.json();
        let complete = self.header("content-type") == Some("application/problem+json")
            && document["status"] == self.status
            && document["title"].is_string()
            && document["detail"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
            && document["instance"].as_str()?
                == format!("urn:request:{}", self.header("x-request-id")?)
            && document["type"].as_str()?
                == format!("{PUBLIC_URL}/problems#{}", document["code"].as_str()?);
        complete.then(|| document["code"].as_str().unwrap().to_owned())
    }
}

/// Sends one request through the whole app.
pub async fn send(request: TestRequest) -> Answer {
    send_to(&parts(&options(), &Metrics::new()), request).await
}

/// Sends one request through an app of these parts.
pub async fn send_to(parts: &Parts, request: TestRequest) -> Answer {
    let service = init_service(app(parts, test_routes)).await;
    let response = call_service(&service, request.to_request()).await;
    let (request, response) = response.into_parts();
    let (response, body) = response.into_parts();
    Answer {
        status: response.status().as_u16(),
        body: to_bytes(body).await.unwrap().to_vec(),
        response: ServiceResponse::new(request, response),
    }
}

/// Adds a valid token.
pub fn with_token(request: TestRequest) -> TestRequest {
    request.insert_header(("authorization", format!("Bearer {}", token())))
}
