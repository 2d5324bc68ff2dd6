//! A fault proxy that parses S3 requests. A request can be answered by the proxy, held at a gate, delayed, or carried out without
//! its answer. `Host` and all headers are passed on, so signatures stay valid.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::bucket::TestBucket;
use super::fault_proxy::{FaultProxy, Pace, Relay};
use super::s3_script::{Action, RequestMatch, Rule, Script, Seen};

/// A running proxy in front of an S3 server.
pub struct S3Proxy {
    /// The network below: refuse, black hole, reset, delay.
    pub network: FaultProxy,
    script: Arc<Script>,
}

/// A rule's number, to ask how often it acted.
#[derive(Debug, Clone, Copy)]
pub struct RuleId(usize);

impl S3Proxy {
    /// Starts in front of the server at this address.
    pub fn start(upstream: SocketAddr) -> S3Proxy {
        let script = Arc::new(Script::default());
        let relay = Arc::new(S3Relay(Arc::clone(&script)));
        S3Proxy {
            network: FaultProxy::start(upstream, relay),
            script,
        }
    }

    /// Starts in front of this bucket.
    pub fn before(bucket: &TestBucket) -> S3Proxy {
        let upstream = bucket.server.endpoint.trim_start_matches("http://");
        S3Proxy::start(
            upstream
                .parse()
                .expect("the test servers are at an address"),
        )
    }

    /// The endpoint to give to clients.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.network.address())
    }

    /// Adds a rule; the first that matches and is not spent acts.
    pub fn rule(&self, which: RequestMatch, act: Action) -> RuleId {
        let mut rules = self.script.rules.lock().expect("no panic while held");
        rules.push(Rule::new(which, act));
        RuleId(rules.len() - 1)
    }

    /// The number of requests that the rule has matched.
    pub fn hits(&self, rule: RuleId) -> usize {
        self.script.rules.lock().expect("no panic while held")[rule.0].hits
    }

    /// Spends all rules; their counts stay.
    pub fn clear(&self) {
        for rule in self
            .script
            .rules
            .lock()
            .expect("no panic while held")
            .iter_mut()
        {
            rule.which.times = Some(0);
        }
    }

    /// Every request so far, in order of arrival.
    pub fn seen(&self) -> Vec<Seen> {
        self.script
            .seen
            .lock()
            .expect("no panic while held")
            .clone()
    }
}

struct S3Relay(Arc<Script>);

impl Relay for S3Relay {
    fn relay<'a>(
        &'a self,
        client: &'a mut TcpStream,
        upstream: SocketAddr,
        pace: Pace,
    ) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>> {
        let service = service_fn(move |request: Request<Incoming>| {
            let (script, pace) = (Arc::clone(&self.0), pace.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
                // A task of its own: what the store was asked to do happens even if the client hangs up meanwhile.
                let request = Request::from_parts(head, body);
                tokio::spawn(carry(script, upstream, pace, request)).await?
            }
        });
        Box::pin(async move {
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(client), service)
                .await
                .map_err(io::Error::other)
        })
    }
}

type Answer = Response<Full<Bytes>>;

/// Does to one request what the script says; an error ends the client's connection without an answer.
async fn carry(
    script: Arc<Script>,
    upstream: SocketAddr,
    pace: Pace,
    request: Request<Bytes>,
) -> io::Result<Answer> {
    let index = script.record(&request);
    let act = script.decide(&request);
    pace.wait().await;
    match &act {
        Action::Answer(status, code) => {
            let answer = s3_error(*status, code);
            script.answered(index, answer.status());
            return Ok(answer);
        }
        Action::CutBefore => return Err(io::ErrorKind::ConnectionAborted.into()),
        Action::HoldBefore(hold) => hold.pass().await,
        Action::Late(time) => tokio::time::sleep(*time).await,
        Action::Count
        | Action::HoldAnswer(_)
        | Action::LoseAnswer
        | Action::Alter(_)
        | Action::Rewrite(_) => {}
    }
    let mut answer = forward(upstream, request).await?;
    script.answered(index, answer.status());
    match act {
        Action::LoseAnswer => return Err(io::ErrorKind::ConnectionAborted.into()),
        Action::HoldAnswer(hold) => hold.pass().await,
        Action::Alter(change) => change(answer.headers_mut()),
        Action::Rewrite(change) => answer = rewritten(answer, change).await?,
        _ => {}
    }
    Ok(answer)
}

/// The answer with another body, and its length.
async fn rewritten(answer: Answer, change: fn(&str) -> String) -> io::Result<Answer> {
    let (mut head, body) = answer.into_parts();
    let bytes = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let text = change(&String::from_utf8_lossy(&bytes));
    head.headers.insert(CONTENT_LENGTH, text.len().into());
    Ok(Response::from_parts(head, Full::new(Bytes::from(text))))
}

async fn forward(upstream: SocketAddr, request: Request<Bytes>) -> io::Result<Answer> {
    let stream = TcpStream::connect(upstream).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    // Ends with the exchange; its error is the one that `send_request` reports.
    tokio::spawn(connection);
    let mut request = request.map(Full::new);
    // The body is here already; asking for permission to send it would only wait.
    request.headers_mut().remove(EXPECT);
    let answer = sender
        .send_request(request)
        .await
        .map_err(io::Error::other)?;
    let (mut head, body) = answer.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    for name in [CONNECTION, TRANSFER_ENCODING] {
        head.headers.remove(name);
    }
    Ok(Response::from_parts(head, Full::new(body)))
}

fn s3_error(status: u16, code: &str) -> Answer {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>said the proxy</Message></Error>"
    );
    let mut answer = Response::new(Full::new(Bytes::from(xml)));
    *answer.status_mut() = StatusCode::from_u16(status).expect("a test names a real status");
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, "application/xml".parse().expect("a header"));
    answer
}
