//! The load generator: HTTP/1.1 over kept connections, with as little work as possible; every status is checked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Outcome, failed};

/// An answer of this size is an error.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// Requests, as they go over the wire.
pub type Requests = Arc<Vec<Vec<u8>>>;

/// When a round ends.
#[derive(Clone, Copy)]
pub enum Until {
    /// After this time; the requests are used again and again.
    Elapsed(Duration),
    /// When each request was sent once.
    AllSent,
}

/// The result of a round.
pub struct Load {
    /// From the first request to the last answer, in seconds.
    pub elapsed_secs: f64,
    /// The time of each answer, in microseconds, sorted.
    pub latencies_us: Vec<u32>,
}

/// A GET with a token.
pub fn get(path: &str, token: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n")
        .into_bytes()
}

/// A POST with these headers and this JSON body.
pub fn post(path: &str, token: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends requests on `connections` connections, one at a time on each; an answer with another status fails the round.
pub async fn load(
    address: SocketAddr,
    requests: Requests,
    connections: usize,
    until: Until,
    status: u16,
) -> Outcome<Load> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(address).await?);
    }
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let tasks = open.into_iter().map(|mut connection| {
        let (requests, next) = (requests.clone(), next.clone());
        tokio::spawn(async move {
            let mut latencies_us = Vec::with_capacity(16 * 1024);
            loop {
                let turn = next.fetch_add(1, Ordering::Relaxed);
                let over = match until {
                    Until::Elapsed(time) => begun.elapsed() >= time,
                    Until::AllSent => turn >= requests.len(),
                };
                if over {
                    return Ok::<_, String>(latencies_us);
                }
                let sent = Instant::now();
                connection
                    .exchange(&requests[turn % requests.len()], status)
                    .await?;
                latencies_us.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
            }
        })
    });
    let mut latencies_us = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        latencies_us.extend(task.await.map_err(failed("a connection's task"))??);
    }
    let elapsed_secs = begun.elapsed().as_secs_f64();
    latencies_us.sort_unstable();
    Ok(Load {
        elapsed_secs,
        latencies_us,
    })
}

/// One kept connection.
pub struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Outcome<Connection> {
        let stream = TcpStream::connect(address).await;
        let stream = stream.map_err(failed("connecting"))?;
        stream.set_nodelay(true).map_err(failed("connecting"))?;
        Ok(Connection {
            stream,
            answer: Vec::with_capacity(MAX_ANSWER_BYTES),
        })
    }

    /// Sends one request and reads its whole answer; returns the body, or an error for another status.
    pub async fn exchange(&mut self, request: &[u8], status: u16) -> Outcome<&[u8]> {
        let (start, end) = self.ask(request).await?;
        let wanted = format!("HTTP/1.1 {status} ");
        if self.answer.starts_with(wanted.as_bytes()) {
            return Ok(&self.answer[start..end]);
        }
        Err(format!("an answer is no {status}{}", self.beginning()))
    }

    /// Sends one request and reads its whole answer; returns the status.
    pub async fn status(&mut self, request: &[u8]) -> Outcome<u16> {
        self.ask(request).await?;
        let status = self.answer.get(9..12).unwrap_or_default();
        let status = std::str::from_utf8(status).unwrap_or_default().parse();
        status.map_err(|_| format!("an answer has no status{}", self.beginning()))
    }

    /// The position of the body in the answer.
    async fn ask(&mut self, request: &[u8]) -> Outcome<(usize, usize)> {
        let written = self.stream.write_all(request).await;
        written.map_err(failed("sending"))?;
        self.answer.clear();
        let mut whole = None;
        while whole.is_none_or(|(_, end)| self.answer.len() < end) {
            if self.answer.len() >= MAX_ANSWER_BYTES {
                return Err("an answer is too long".to_owned());
            }
            let read = self.stream.read_buf(&mut self.answer).await;
            if read.map_err(failed("reading"))? == 0 {
                return Err(format!("the server hung up{}", self.beginning()));
            }
            if whole.is_none() {
                whole = bounds(&self.answer)?;
            }
        }
        whole.ok_or_else(|| format!("an answer has no end{}", self.beginning()))
    }

    /// The start of what has come, for an error.
    fn beginning(&self) -> String {
        let text = String::from_utf8_lossy(&self.answer);
        let start: String = text.chars().take(1000).collect();
        format!(": {start}")
    }
}

/// The start and end of the body; `None` while the head is incomplete.
fn bounds(answer: &[u8]) -> Outcome<Option<(usize, usize)>> {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let length = answer[..head]
        .split(|&byte| byte == b'\n')
        .find_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let (name, value) = line.split_at(colon);
            let value = std::str::from_utf8(&value[1..]).ok()?;
            name.eq_ignore_ascii_case(b"content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
    let length = length.ok_or("an answer has no content-length")?;
    Ok(Some((head + 4, head + 4 + length)))
}
