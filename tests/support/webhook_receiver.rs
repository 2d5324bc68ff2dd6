//! A receiver of webhooks: records every request, and answers as the test says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A secret for endpoints.
pub const SECRET: &str = "whsec_Zmlyc3Qtc2VjcmV0LWZpcnN0LXNlY3JldC1maXJzdA==";
/// Its successor.
pub const NEXT_SECRET: &str = "whsec_c2Vjb25kLXNlY3JldC1zZWNvbmQtc2VjcmV0LXNlY29uZA==";
/// The time limit for expected requests.
const LIMIT: Duration = Duration::from_secs(60);

/// A received request.
#[derive(Debug, Clone)]
pub struct Received {
    /// Headers by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// The body, byte for byte.
    pub body: String,
    /// The body, parsed.
    pub json: Value,
    /// The status that it was answered with; 0 where it got no answer.
    pub answered: u16,
    /// When.
    pub at: Instant,
}

impl Received {
    /// The `webhook-id`.
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    /// The event's type.
    pub fn kind(&self) -> &str {
        self.json["type"].as_str().expect("a type")
    }

    /// The upload's id.
    pub fn upload(&self) -> &str {
        self.json["data"]["id"].as_str().expect("an id")
    }

    /// The event's number.
    pub fn seq(&self) -> i64 {
        self.json["data"]["seq"].as_i64().expect("a number")
    }

    /// Whether a verifier accepts it with this secret.
    pub fn verifies(&self, secret: &str) -> bool {
        let mut headers = http::HeaderMap::new();
        for (name, value) in self
            .headers
            .iter()
            .filter(|(name, _)| name.starts_with("webhook-"))
        {
            let name: http::HeaderName = name.parse().expect("a name");
            headers.insert(name, value.parse().expect("a value"));
        }
        let verifier = standardwebhooks::Webhook::new(secret).expect("a secret");
        verifier.verify(self.body.as_bytes(), &headers).is_ok()
    }
}

/// The answer to a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// This status and no body.
    Status(u16),
    /// These bytes, a whole HTTP answer, and the connection's end.
    Raw(String),
    /// Nothing: the connection is closed.
    Drop,
    /// Nothing: the connection stays open.
    Hang,
    /// 200 and a body without end.
    Endless,
}

type Decide = Arc<dyn Fn(&Received) -> Reply + Send + Sync>;

/// The receiver; it listens until the test's runtime ends.
#[derive(Clone)]
pub struct Receiver {
    /// Its address.
    pub url: String,
    kept: Arc<Mutex<Vec<Received>>>,
    connections: Arc<Mutex<usize>>,
    decide: Arc<Mutex<Decide>>,
}

impl Receiver {
    /// One that answers 200.
    pub async fn start() -> Receiver {
        Receiver::answering(|_| Reply::Status(200)).await
    }

    /// One that answers as this says.
    pub async fn answering(
        decide: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let receiver = Receiver {
            url: format!("http://{}/hooks", listener.local_addr().expect("bound")),
            kept: Arc::default(),
            connections: Arc::default(),
            decide: Arc::new(Mutex::new(Arc::new(decide))),
        };
        let this = receiver.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                *this.connections.lock().expect("no panic") += 1;
                let this = this.clone();
                tokio::spawn(async move { this.serve(socket).await });
            }
        });
        receiver
    }

    /// Answers differently from now on.
    pub fn now_answers(&self, decide: impl Fn(&Received) -> Reply + Send + Sync + 'static) {
        *self.decide.lock().expect("no panic") = Arc::new(decide);
    }

    /// Everything so far, in the order of arrival.
    pub fn received(&self) -> Vec<Received> {
        self.kept.lock().expect("no panic").clone()
    }

    /// The number of connections made.
    pub fn connections(&self) -> usize {
        *self.connections.lock().expect("no panic")
    }

    /// Waits for this many requests, and returns all.
    pub async fn expect(&self, count: usize) -> Vec<Received> {
        self.until(|all| all.len() >= count).await
    }

    /// Waits until the requests satisfy the condition, and returns all.
    pub async fn until(&self, wished: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let end = Instant::now() + LIMIT;
        loop {
            let all = self.received();
            if wished(&all) {
                return all;
            }
            assert!(Instant::now() < end, "only {} came: {all:?}", all.len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The endpoint's table in a configuration, for this receiver.
    pub fn endpoint(&self, name: &str) -> Value {
        json!({"name": name, "url": self.url, "secrets": [SECRET], "allow_private": true})
    }

    async fn serve(&self, mut socket: TcpStream) {
        let Some(mut received) = read(&mut socket).await else {
            return;
        };
        let decide = self.decide.lock().expect("no panic").clone();
        let reply = decide(&received);
        received.answered = match &reply {
            Reply::Status(status) => *status,
            Reply::Raw(text) => text[9..12].parse().expect("a status"),
            Reply::Endless => 200,
            Reply::Drop | Reply::Hang => 0,
        };
        self.kept.lock().expect("no panic").push(received);
        // The client may have hung up.
        let _ = answer(&mut socket, reply).await;
    }
}

async fn answer(socket: &mut TcpStream, reply: Reply) -> std::io::Result<()> {
    match reply {
        Reply::Status(status) => {
            let head =
                format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            socket.write_all(head.as_bytes()).await
        }
        Reply::Raw(text) => socket.write_all(text.as_bytes()).await,
        Reply::Drop => Ok(()),
        Reply::Hang => {
            // Ends when the other side has had enough.
            socket.read(&mut [0; 1]).await.map(drop)
        }
        Reply::Endless => {
            socket
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                .await?;
            let chunk = [&b"1000\r\n"[..], &[b'x'; 4096], b"\r\n"].concat();
            loop {
                socket.write_all(&chunk).await?;
            }
        }
    }
}

/// A request with a content length; `None` for anything else.
async fn read(socket: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let head_len = loop {
        if let Some(at) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            break at + 4;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_len].to_vec()).ok()?;
    let pair = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers: BTreeMap<String, String> = head.lines().skip(1).filter_map(pair).collect();
    let whole = head_len + headers.get("content-length")?.parse::<usize>().ok()?;
    while bytes.len() < whole {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(bytes[head_len..whole].to_vec()).ok()?;
    Some(Received {
        headers,
        json: serde_json::from_str(&body).unwrap_or(Value::Null),
        body,
        answered: 0,
        at: Instant::now(),
    })
}

/// The same with attempts that are given up after this long, and leases that end soon after.
pub fn impatient(attempts: usize, timeout_ms: u64, endpoints: Vec<Value>) -> Value {
    let mut change = webhooks(attempts, endpoints);
    change["webhooks"]["timeout_ms"] = json!(timeout_ms);
    change["webhooks"]["lease_secs"] = json!(timeout_ms / 1_000 + 2);
    change
}

/// A change of the settings: these endpoints, and this many attempts without a backoff.
pub fn webhooks(attempts: usize, endpoints: Vec<Value>) -> Value {
    json!({"webhooks": {
        "schedule_secs": vec![0; attempts], "jitter_percent": 0, "lease_secs": 30, "timeout_ms": 10_000,
        "endpoints": endpoints,
    }})
}
