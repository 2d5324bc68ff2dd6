//! Temporary credentials: an endpoint as on ECS and EKS, which returns new keys with an expiry each time, and an S3 store that checks
//! presigned requests with its own Signature Version 4. The test buckets can't do that, because they know no session tokens.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, NaiveDateTime, SecondsFormat, TimeDelta, Utc};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use ring::hmac;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

use super::unique;

/// One set of credentials.
#[derive(Clone)]
struct Keys {
    id: String,
    secret: String,
    token: String,
    ends_at: DateTime<Utc>,
}

#[derive(Default)]
struct State {
    given: Vec<Keys>,
    is_down: bool,
}

/// Both servers on one port.
pub struct TemporaryCredentials {
    /// The store's endpoint; the credentials are at `/credentials` below it.
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl TemporaryCredentials {
    /// Starts; each set of credentials lives so long.
    pub async fn start(life: TimeDelta) -> TemporaryCredentials {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let state = shared.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let state = state.clone();
                    async move {
                        let mut state = state.lock().expect("no panic while held");
                        Ok::<_, Infallible>(state.answer(&request, life))
                    }
                });
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(TokioIo::new(socket), service));
            }
        });
        TemporaryCredentials {
            url: format!("http://{address}"),
            state,
        }
    }

    /// Whether the endpoint returns credentials; the store always works.
    pub fn set_down(&self, is_down: bool) {
        self.state.lock().expect("no panic while held").is_down = is_down;
    }

    /// The number of credentials returned.
    pub fn given(&self) -> usize {
        self.state.lock().expect("no panic while held").given.len()
    }

    /// When the latest set ends.
    pub fn ends_at(&self) -> DateTime<Utc> {
        let state = self.state.lock().expect("no panic while held");
        state.given.last().expect("some were given").ends_at
    }
}

impl State {
    fn answer(&mut self, request: &Request<Incoming>, life: TimeDelta) -> Response<Full<Bytes>> {
        let (status, body) = match request.uri().path() {
            "/credentials" if self.is_down => (500, String::new()),
            "/credentials" => (200, self.give(life)),
            _ => match self.judge(request) {
                Ok(()) => (200, String::new()),
                Err(why) => (403, why.to_owned()),
            },
        };
        let mut answer = Response::new(Full::from(body));
        *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
        answer
    }

    fn give(&mut self, life: TimeDelta) -> String {
        let keys = Keys {
            id: unique("ASIA"),
            secret: unique("secret-"),
            token: format!("{}/+==", unique("token-")),
            ends_at: Utc::now() + life,
        };
        self.given.push(keys.clone());
        json!({
            "AccessKeyId": keys.id, "SecretAccessKey": keys.secret, "Token": keys.token,
            "Expiration": keys.ends_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        })
        .to_string()
    }

    /// Checks a presigned request: its key, its signature, its expiry, and the expiry of the credentials.
    fn judge(&self, request: &Request<Incoming>) -> Result<(), &'static str> {
        let query = request.uri().query().ok_or("AccessDenied")?;
        let mut pairs: Vec<(&str, &str)> = query
            .split('&')
            .filter_map(|it| it.split_once('='))
            .collect();
        let value = |name: &str| {
            let found = pairs
                .iter()
                .find(|pair| pair.0 == name)
                .ok_or("AccessDenied")?;
            Ok::<_, &'static str>(percent_decode_str(found.1).decode_utf8_lossy().into_owned())
        };
        let (credential, stamp) = (value("X-Amz-Credential")?, value("X-Amz-Date")?);
        let (id, scope) = credential.split_once('/').ok_or("AccessDenied")?;
        let keys = self
            .given
            .iter()
            .find(|keys| keys.id == id)
            .ok_or("InvalidAccessKeyId")?;
        if value("X-Amz-Security-Token")? != keys.token {
            return Err("InvalidToken");
        }
        let lifetime: i64 = value("X-Amz-Expires")?
            .parse()
            .map_err(|_| "AccessDenied")?;
        let (signature, names) = (value("X-Amz-Signature")?, value("X-Amz-SignedHeaders")?);
        pairs.retain(|pair| pair.0 != "X-Amz-Signature");
        pairs.sort_unstable();
        let query: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let header = |name: &str| {
            request
                .headers()
                .get(name)
                .and_then(|it| it.to_str().ok())
                .unwrap_or_default()
        };
        let headers: String = names
            .split(';')
            .map(|name| format!("{name}:{}\n", header(name)))
            .collect();
        let canonical = format!(
            "{}\n{}\n{}\n{headers}\n{names}\nUNSIGNED-PAYLOAD",
            request.method(),
            request.uri().path(),
            query.join("&"),
        );
        let hash = hex::encode(Sha256::digest(canonical));
        let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hash}");
        let key = scope
            .split('/')
            .fold(format!("AWS4{}", keys.secret).into_bytes(), |key, part| {
                mac(&key, part)
            });
        if hex::encode(mac(&key, &to_sign)) != signature {
            return Err("SignatureDoesNotMatch");
        }
        let signed_at =
            NaiveDateTime::parse_from_str(&stamp, "%Y%m%dT%H%M%SZ").map_err(|_| "AccessDenied")?;
        match Utc::now() {
            now if now >= keys.ends_at => Err("ExpiredToken"),
            now if now >= signed_at.and_utc() + TimeDelta::seconds(lifetime) => Err("AccessDenied"),
            _ => Ok(()),
        }
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}
