//! A TCP proxy that breaks connections on command; the S3 and the Postgres proxy build on it. It runs on a thread of its own, so that
//! a test may block in Diesel while its traffic flows.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc as tasks, watch};
use tokio::task::JoinSet;

/// The fault of every connection, old and new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Relay.
    Pass,
    /// There is no listener: the kernel refuses new connections, open ones are reset.
    Refuse,
    /// Connections are accepted and nothing is ever answered, until the next mode, which resets them.
    BlackHole,
    /// Connections are accepted and reset at once.
    Reset,
    /// Bytes of the client are relayed this much later.
    Delay(Duration),
}

/// How a proxy relays between its two sockets while the network works.
pub trait Relay: Send + Sync + 'static {
    /// Serves one client until either side hangs up; an error ends the connection.
    fn relay<'a>(
        &'a self,
        client: &'a mut TcpStream,
        upstream: SocketAddr,
        pace: Pace,
    ) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>>;
}

/// Waits as long as [`Mode::Delay`] says; a relay asks it before it forwards.
#[derive(Clone)]
pub struct Pace(watch::Receiver<Mode>);

impl Pace {
    /// Returns at once unless the network is slow.
    pub async fn wait(&self) {
        let mode = *self.0.borrow();
        if let Mode::Delay(time) = mode {
            tokio::time::sleep(time).await;
        }
    }
}

/// A new mode, and whom to tell once every connection is in it.
type Order = (Mode, mpsc::Sender<()>);

/// A running proxy; dropping it ends its thread and all its connections.
pub struct FaultProxy {
    address: SocketAddr,
    orders: Option<tasks::UnboundedSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// A proxy that relays bytes as they are, on a free port of the loopback interface.
    pub fn plain(upstream: SocketAddr) -> FaultProxy {
        FaultProxy::start(upstream, Arc::new(Plain))
    }

    /// A proxy with this relay.
    pub fn start(upstream: SocketAddr, relay: Arc<dyn Relay>) -> FaultProxy {
        let (orders, received) = tasks::unbounded_channel();
        let (ready, is_ready) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
                .block_on(async move {
                    let reserved = reuse_port("127.0.0.1:0".parse().expect("an address"));
                    let address = reserved.local_addr().expect("a bound socket");
                    let front = Front::new(address, upstream, relay);
                    ready.send(address).expect("the test waits for it");
                    front.run(received).await;
                    drop(reserved);
                });
        });
        FaultProxy {
            address: is_ready.recv().expect("the proxy starts"),
            orders: Some(orders),
            thread: Some(thread),
        }
    }

    /// The address for clients.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Switches the network's behavior; when this returns, every connection is in the new mode.
    pub fn set(&self, mode: Mode) {
        let (done, is_done) = mpsc::channel();
        self.orders
            .as_ref()
            .expect("only drop takes it")
            .send((mode, done))
            .expect("the proxy runs");
        is_done.recv().expect("the proxy runs");
    }

    /// Back to normal: new connections pass, those that were swallowed are reset.
    pub fn heal(&self) {
        self.set(Mode::Pass);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.orders.take();
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed already; a second one here would abort the test run.
            let _ = thread.join();
        }
    }
}

/// A bound socket that shares its port: one that never listens keeps the port ours while the proxy refuses.
fn reuse_port(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseport(true).expect("Linux and macOS have it");
    socket.bind(address).expect("the port is ours");
    socket
}

fn listen(address: SocketAddr) -> TcpListener {
    reuse_port(address).listen(1024).expect("a listener")
}

/// The accepting side: one listener, and a task for each connection.
struct Front {
    address: SocketAddr,
    upstream: SocketAddr,
    relay: Arc<dyn Relay>,
    listener: Option<TcpListener>,
    mode: watch::Sender<Mode>,
    swallowed: Arc<AtomicUsize>,
    connections: JoinSet<()>,
}

impl Front {
    fn new(address: SocketAddr, upstream: SocketAddr, relay: Arc<dyn Relay>) -> Front {
        Front {
            address,
            upstream,
            relay,
            listener: Some(listen(address)),
            mode: watch::Sender::new(Mode::Pass),
            swallowed: Arc::default(),
            connections: JoinSet::new(),
        }
    }

    /// Accepts and obeys until the proxy is dropped.
    async fn run(mut self, mut orders: tasks::UnboundedReceiver<Order>) {
        loop {
            tokio::select! {
                order = orders.recv() => {
                    let Some((mode, done)) = order else { return };
                    self.switch(mode).await;
                    // The test that gave the order may have failed meanwhile.
                    let _ = done.send(());
                }
                Some(_) = self.connections.join_next() => {}
                Ok(client) = accept(self.listener.as_ref()) => {
                    let (relay, swallowed) = (Arc::clone(&self.relay), Arc::clone(&self.swallowed));
                    let mode = self.mode.subscribe();
                    self.connections.spawn(serve(client, self.upstream, relay, mode, swallowed));
                }
            }
        }
    }

    async fn switch(&mut self, mode: Mode) {
        if mode == Mode::Refuse {
            self.listener = None;
        } else if self.listener.is_none() {
            self.listener = Some(listen(self.address));
        }
        let before = self.mode.send_replace(mode);
        let all_end = matches!(mode, Mode::Refuse | Mode::Reset) || before == Mode::BlackHole;
        if mode == Mode::BlackHole {
            while self.swallowed.load(Ordering::SeqCst) < self.connections.len() {
                while self.connections.try_join_next().is_some() {}
                tokio::task::yield_now().await;
            }
        } else if all_end {
            while self.connections.join_next().await.is_some() {}
        }
    }
}

/// The next client; pending while there is no listener.
async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(client, _)| client),
        None => std::future::pending().await,
    }
}

async fn serve(
    mut client: TcpStream,
    upstream: SocketAddr,
    relay: Arc<dyn Relay>,
    mut mode: watch::Receiver<Mode>,
    swallowed: Arc<AtomicUsize>,
) {
    let pace = Pace(mode.clone());
    let _ = client.set_nodelay(true);
    let broken = tokio::select! {
        biased;
        broken = mode.wait_for(|mode| !matches!(mode, Mode::Pass | Mode::Delay(_))) => {
            broken.map(|mode| *mode).unwrap_or(Mode::Reset)
        }
        _ = relay.relay(&mut client, upstream, pace) => return,
    };
    if broken == Mode::BlackHole {
        swallowed.fetch_add(1, Ordering::SeqCst);
        let _ = mode.wait_for(|mode| *mode != Mode::BlackHole).await;
        swallowed.fetch_sub(1, Ordering::SeqCst);
    }
    let _ = client.set_zero_linger();
}

/// Bytes as they are.
struct Plain;

impl Relay for Plain {
    fn relay<'a>(
        &'a self,
        client: &'a mut TcpStream,
        upstream: SocketAddr,
        pace: Pace,
    ) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>> {
        Box::pin(async move {
            let mut server = TcpStream::connect(upstream).await?;
            let (mut from_client, mut to_client) = client.split();
            let (mut from_server, mut to_server) = server.split();
            let up = async {
                let mut buffer = vec![0; 64 * 1024];
                loop {
                    let count = from_client.read(&mut buffer).await?;
                    pace.wait().await;
                    if count == 0 {
                        to_server.shutdown().await?;
                        // The server may still answer a client that has only finished sending.
                        return std::future::pending::<io::Result<()>>().await;
                    }
                    to_server.write_all(&buffer[..count]).await?;
                }
            };
            tokio::select! {
                ended = up => ended,
                ended = tokio::io::copy(&mut from_server, &mut to_client) => ended.map(drop),
            }
        })
    }
}
