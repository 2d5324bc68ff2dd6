//! Pending uploads with their objects, made as by any client, outside of the measured time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::client::{Connection, post};
use super::tokens::Tokens;
use super::{Outcome, failed};

/// The uploaded bytes, declared as a picture.
const PICTURE: &[u8] = &[0x5a; 2_048];
/// The number of clients that stage at the same time.
const CLIENTS: usize = 16;

/// An upload that can be confirmed.
pub struct Staged {
    /// The confirm's path.
    pub path: String,
    /// The index of its owner's token.
    pub token: usize,
}

/// Creates `count` uploads at this broker and puts their objects into this bucket.
pub async fn stage(
    broker: SocketAddr,
    bucket: SocketAddr,
    tokens: &Tokens,
    count: usize,
) -> Outcome<Vec<Staged>> {
    let (next, tokens) = (Arc::new(AtomicUsize::new(0)), Arc::new(tokens.all.clone()));
    let clients = (0..CLIENTS).map(|_| {
        let (next, tokens) = (next.clone(), tokens.clone());
        tokio::spawn(async move {
            let mut broker = Connection::open(broker).await?;
            let mut bucket = Connection::open(bucket).await?;
            let mut staged = Vec::new();
            loop {
                let turn = next.fetch_add(1, Ordering::Relaxed);
                if turn >= count {
                    return Ok::<_, String>(staged);
                }
                let token = turn % tokens.len();
                let path = stage_one(&mut broker, &mut bucket, &tokens[token]).await?;
                staged.push(Staged { path, token });
            }
        })
    });
    let mut staged = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        staged.extend(client.await.map_err(failed("a client's task"))??);
    }
    Ok(staged)
}

/// Paths for servers without uploads.
pub fn pretend(tokens: &Tokens, count: usize) -> Vec<Staged> {
    let path = "/v1/uploads/upl_01jd0000000000000000000000/confirm";
    let one = |turn: usize| Staged {
        path: path.to_owned(),
        token: turn % tokens.all.len(),
    };
    (0..count).map(one).collect()
}

async fn stage_one(
    broker: &mut Connection,
    bucket: &mut Connection,
    token: &str,
) -> Outcome<String> {
    let declaration = json!({
        "field": "Product.image", "filename": "picture.jpg", "content_type": "image/jpeg", "size": PICTURE.len(),
    });
    let ask = post("/v1/uploads", token, &declaration.to_string());
    let created = broker.exchange(&ask, 201).await?;
    let created: Value = serde_json::from_slice(created).map_err(failed("an answer"))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    bucket.exchange(&put(&created["presigned"])?, 200).await?;
    Ok(format!("/v1/uploads/{}/confirm", text(&created["id"])))
}

/// The presigned request, as it goes over the wire.
fn put(presigned: &Value) -> Outcome<Vec<u8>> {
    let url = presigned["url"].as_str().ok_or("there is no URL")?;
    let (host, path) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .ok_or("the URL is not http")?;
    let mut head = format!(
        "PUT /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n",
        PICTURE.len()
    );
    for (name, value) in presigned["headers"]
        .as_object()
        .ok_or("there are no headers")?
    {
        let value = value.as_str().unwrap_or_default();
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    Ok([head.as_bytes(), b"\r\n", PICTURE].concat())
}
