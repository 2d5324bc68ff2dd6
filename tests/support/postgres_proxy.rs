//! A fault proxy that parses enough of the Postgres protocol to see statements: it drops the answer of a commit that succeeded, or
//! cuts the connection before a commit. Connections must use `sslmode=disable`.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::fault_proxy::{FaultProxy, Pace, Relay};
use super::gate::RequestGate;

/// The protocol's numbers for "do you speak TLS?" and "do you speak GSSAPI?".
const ENCRYPTION_REQUESTS: [u32; 2] = [80_877_103, 80_877_104];

/// Which statement a rule waits for, on any connection.
#[derive(Debug, Clone)]
pub enum Trigger {
    /// A simple query `COMMIT`, as Diesel ends a transaction.
    Commit,
    /// A statement whose text contains this, prepared or not: for statements that are a transaction by themselves.
    Statement(&'static str),
}

/// The fault of a statement.
#[derive(Clone)]
pub enum StatementFault {
    /// The connection is cut and the server never sees the statement.
    CutBefore,
    /// The server does it and answers, and the connection is cut instead of relaying the answer.
    LoseAnswer,
    /// The statement waits in the gate before the server sees it.
    HoldBefore(RequestGate),
    /// The server's answer waits in the gate.
    HoldAnswer(RequestGate),
}

struct Rule {
    on: Trigger,
    nth: usize,
    action: StatementFault,
    seen: usize,
}

#[derive(Default)]
struct Script {
    rules: Mutex<Vec<Rule>>,
    statements: Mutex<Vec<String>>,
}

/// A running proxy in front of Postgres.
pub struct PostgresProxy {
    /// The network below: refuse, black hole, reset, delay.
    pub network: FaultProxy,
    script: Arc<Script>,
}

impl PostgresProxy {
    /// Starts in front of the server at this address.
    pub fn start(upstream: SocketAddr) -> PostgresProxy {
        let script = Arc::new(Script::default());
        let relay = Arc::new(PostgresRelay(Arc::clone(&script)));
        PostgresProxy {
            network: FaultProxy::start(upstream, relay),
            script,
        }
    }

    /// Acts on the `nth` match from now on (the first is 1), once.
    pub fn rule(&self, on: Trigger, nth: usize, action: StatementFault) {
        let rule = Rule {
            on,
            nth,
            action,
            seen: 0,
        };
        self.script
            .rules
            .lock()
            .expect("no panic while held")
            .push(rule);
    }

    /// Forgets all rules; true if each of them has acted.
    pub fn clear(&self) -> bool {
        let mut rules = self.script.rules.lock().expect("no panic while held");
        let acted = rules.iter().all(|rule| rule.seen >= rule.nth);
        rules.clear();
        acted
    }

    /// Every statement that clients sent to be run, in order of arrival.
    pub fn statements(&self) -> Vec<String> {
        self.script
            .statements
            .lock()
            .expect("no panic while held")
            .clone()
    }

    /// The number of commits that clients sent.
    pub fn commits(&self) -> usize {
        self.statements()
            .iter()
            .filter(|sql| is_commit(sql))
            .count()
    }
}

fn is_commit(sql: &str) -> bool {
    sql.trim()
        .trim_end_matches(';')
        .eq_ignore_ascii_case("commit")
}

impl Script {
    fn decide(&self, sql: &str) -> Option<StatementFault> {
        self.statements
            .lock()
            .expect("no panic while held")
            .push(sql.to_owned());
        let mut rules = self.rules.lock().expect("no panic while held");
        for rule in rules.iter_mut() {
            let matches = match rule.on {
                Trigger::Commit => is_commit(sql),
                Trigger::Statement(part) => sql.contains(part),
            };
            if matches {
                rule.seen += 1;
                if rule.seen == rule.nth {
                    return Some(rule.action.clone());
                }
            }
        }
        None
    }
}

struct PostgresRelay(Arc<Script>);

impl Relay for PostgresRelay {
    fn relay<'a>(
        &'a self,
        client: &'a mut TcpStream,
        upstream: SocketAddr,
        pace: Pace,
    ) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>> {
        Box::pin(async move {
            let server = TcpStream::connect(upstream).await?;
            server.set_nodelay(true)?;
            let conversation = Conversation {
                client,
                server,
                script: &self.0,
                pace,
                prepared: HashMap::new(),
                started: false,
                answer: Answer::Relay,
            };
            conversation.run().await
        })
    }
}

/// How the server's frames are handled until it is ready for the next query.
enum Answer {
    Relay,
    Lose,
    RequestGate(RequestGate, BytesMut),
}

/// One client's connection; ends with an error to cut it.
struct Conversation<'a> {
    client: &'a mut TcpStream,
    server: TcpStream,
    script: &'a Script,
    pace: Pace,
    prepared: HashMap<Vec<u8>, String>,
    started: bool,
    answer: Answer,
}

impl Conversation<'_> {
    async fn run(mut self) -> io::Result<()> {
        let (mut asked, mut answered) = (BytesMut::new(), BytesMut::new());
        loop {
            while let Some(frame) = take_frame(&mut asked, self.started) {
                self.on_client(frame).await?;
            }
            while let Some(frame) = take_frame(&mut answered, true) {
                self.on_server(frame).await?;
            }
            let (is_client, count) = tokio::select! {
                count = self.client.read_buf(&mut asked) => (true, count?),
                count = self.server.read_buf(&mut answered) => (false, count?),
            };
            if count == 0 {
                return Ok(());
            }
            if is_client {
                self.pace.wait().await;
            }
        }
    }

    async fn on_client(&mut self, frame: Bytes) -> io::Result<()> {
        if !self.started {
            let number = frame.get(4..8).map_or(0, |mut bytes| bytes.get_u32());
            if ENCRYPTION_REQUESTS.contains(&number) {
                return self.client.write_all(b"N").await;
            }
            self.started = true;
            return self.server.write_all(&frame).await;
        }
        let action = self
            .statement(&frame)
            .and_then(|sql| self.script.decide(&sql));
        match action {
            None => {}
            Some(StatementFault::CutBefore) => return Err(io::ErrorKind::ConnectionAborted.into()),
            Some(StatementFault::HoldBefore(hold)) => hold.pass().await,
            Some(StatementFault::LoseAnswer) => self.answer = Answer::Lose,
            Some(StatementFault::HoldAnswer(hold)) => {
                self.answer = Answer::RequestGate(hold, BytesMut::new())
            }
        }
        self.server.write_all(&frame).await
    }

    async fn on_server(&mut self, frame: Bytes) -> io::Result<()> {
        let is_ready = frame[0] == b'Z';
        match &mut self.answer {
            Answer::Relay => self.client.write_all(&frame).await,
            Answer::Lose if is_ready => Err(io::ErrorKind::ConnectionAborted.into()),
            Answer::Lose => Ok(()),
            Answer::RequestGate(hold, kept) => {
                kept.extend_from_slice(&frame);
                if is_ready {
                    hold.pass().await;
                    self.client.write_all(kept).await?;
                    self.answer = Answer::Relay;
                }
                Ok(())
            }
        }
    }

    /// The statement that this frame asks to run: of a simple query or of a Bind, by its prepared name.
    fn statement(&mut self, frame: &[u8]) -> Option<String> {
        let mut words = frame.get(5..)?.split(|byte| *byte == 0);
        match frame[0] {
            b'Q' => Some(String::from_utf8_lossy(words.next()?).into_owned()),
            b'P' => {
                let name = words.next()?.to_vec();
                let sql = String::from_utf8_lossy(words.next()?).into_owned();
                self.prepared.insert(name, sql);
                None
            }
            b'B' => self.prepared.get(words.nth(1)?).cloned(),
            _ => None,
        }
    }
}

/// Cuts one whole message off the buffer. The first message of a client has no type byte.
fn take_frame(buffer: &mut BytesMut, typed: bool) -> Option<Bytes> {
    let start = usize::from(typed);
    let length = buffer.get(start..start + 4)?.get_u32() as usize;
    let total = start + length;
    (buffer.len() >= total).then(|| buffer.split_to(total).freeze())
}
