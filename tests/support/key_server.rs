//! A key-set server that counts fetches and answers as the test says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The answer to the next fetches.
#[derive(Clone)]
pub enum Answer {
    /// 200 and this body.
    Body(Vec<u8>),
    /// This status, an empty body, and a `location` where there is one.
    Status(u16, Option<String>),
    /// The body, after a wait.
    Slow(Duration, Vec<u8>),
    /// An endless chunked body.
    Endless,
}

pub struct KeyServer {
    pub url: String,
    fetches: Arc<AtomicUsize>,
    answer: Arc<Mutex<Answer>>,
}

pub fn key_set(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

impl KeyServer {
    pub async fn start(answer: Answer) -> KeyServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = KeyServer {
            url: format!("http://{}/keys", listener.local_addr().unwrap()),
            fetches: Arc::default(),
            answer: Arc::new(Mutex::new(answer)),
        };
        let (fetches, answer) = (server.fetches.clone(), server.answer.clone());
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                fetches.fetch_add(1, Ordering::SeqCst);
                let answer = answer.lock().unwrap().clone();
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let _ = socket.read(&mut request).await;
                    let _ = respond(&mut socket, answer).await;
                });
            }
        });
        server
    }

    pub fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

async fn respond(socket: &mut tokio::net::TcpStream, answer: Answer) -> std::io::Result<()> {
    let body = match answer {
        Answer::Body(body) => body,
        Answer::Slow(wait, body) => {
            tokio::time::sleep(wait).await;
            body
        }
        Answer::Status(status, location) => {
            let location = location.map_or(String::new(), |to| format!("location: {to}\r\n"));
            let head = format!("HTTP/1.1 {status} X\r\n{location}content-length: 0\r\n\r\n");
            return socket.write_all(head.as_bytes()).await;
        }
        Answer::Endless => {
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            socket.write_all(head).await?;
            let chunk = [&b"1000\r\n"[..], &[b' '; 4096], b"\r\n"].concat();
            loop {
                socket.write_all(&chunk).await?;
            }
        }
    };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(&body).await
}
