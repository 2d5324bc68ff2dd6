//! A bucket on loopback that gives scripted answers and records its requests.

use crate::telemetry::metrics::Metrics;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::Store;
use super::{URL_SECS, options};

/// What the next request gets.
#[derive(Clone)]
pub(super) enum Answer {
    /// These bytes; the connection stays open.
    Say(String),
    /// These bytes, and the connection ends.
    SayAndClose(String),
    /// These bytes, but late.
    Late(Duration, String),
    /// Nothing, for ever.
    BlackHole,
    /// A TCP reset.
    Reset,
}

/// An answer with a body.
pub(super) fn say(status: &str, body: &str) -> Answer {
    Answer::Say(text(status, body))
}

pub(super) fn text(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/xml\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// An answer with headers only, as a HEAD gets it.
pub(super) fn head(status: &str, headers: &[&str]) -> Answer {
    Answer::Say(format!(
        "HTTP/1.1 {status}\r\n{}\r\n\r\n",
        headers.join("\r\n")
    ))
}

pub(super) fn error(code: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>m</Message></Error>"
    )
}

/// The fake; it ends with the test's runtime.
pub(super) struct FakeS3 {
    pub(super) url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl FakeS3 {
    /// Gives the answers in turn, the last one for ever.
    pub(super) async fn start(answers: Vec<Answer>) -> FakeS3 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answers) = (requests.clone(), Arc::new(answers));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answers.clone(), seen.clone()));
            }
        });
        FakeS3 { url, requests }
    }

    /// A store that calls this fake.
    pub(super) async fn store(&self) -> Store {
        Store::connect(options(Some(&self.url)), URL_SECS, Metrics::new())
            .await
            .unwrap()
    }

    /// The heads of all requests so far, in lower case.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, answers: Arc<Vec<Answer>>, seen: Arc<Mutex<Vec<String>>>) {
    while let Some(request) = read_head(&mut stream).await {
        let answer = {
            let mut seen = seen.lock().unwrap();
            let next = seen.len().min(answers.len() - 1);
            seen.push(request);
            answers[next].clone()
        };
        match answer {
            Answer::Say(bytes) => stream.write_all(bytes.as_bytes()).await.unwrap_or_default(),
            Answer::SayAndClose(bytes) => {
                stream.write_all(bytes.as_bytes()).await.unwrap_or_default();
                return;
            }
            Answer::Late(delay, bytes) => {
                tokio::time::sleep(delay).await;
                stream.write_all(bytes.as_bytes()).await.unwrap_or_default();
            }
            Answer::BlackHole => std::future::pending().await,
            Answer::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
        }
    }
}

/// Reads one request's head; none of the store's calls has a body.
async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap().to_lowercase())
}
