//! A proxy in front of Postgres that can lose the answer to a commit after it has happened, and play an outage.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::support::Rig;

#[derive(Default)]
struct Faults {
    lose_commit: AtomicBool,
    swallow: AtomicBool,
    down: AtomicBool,
    deaf: AtomicBool,
    silent: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

pub struct Proxy {
    faults: Arc<Faults>,
    pub url: String,
}

impl Proxy {
    pub fn before(rig: &Rig) -> Proxy {
        let mut url = url::Url::parse(&rig.url).unwrap();
        let upstream = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port()))
            .unwrap();
        url.set_query(Some("sslmode=disable"));
        let faults = Arc::new(Faults::default());
        let shared = faults.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if shared.down.load(Ordering::SeqCst) {
                    continue;
                }
                if shared.deaf.load(Ordering::SeqCst) {
                    shared.open.lock().unwrap().push(client.unwrap());
                    continue;
                }
                let (client, server) = (client.unwrap(), TcpStream::connect(&upstream).unwrap());
                for (from, to, is_client) in [(&client, &server, true), (&server, &client, false)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let faults = shared.clone();
                    std::thread::spawn(move || pump(from, to, is_client, &faults));
                }
                shared.open.lock().unwrap().extend([client, server]);
            }
        });
        Proxy {
            faults,
            url: url.to_string(),
        }
    }

    /// The next commit happens, and its answer never arrives.
    pub fn lose_next_commit(&self) {
        self.faults.lose_commit.store(true, Ordering::SeqCst);
    }

    pub fn lost_one(&self) -> bool {
        !self.faults.lose_commit.load(Ordering::SeqCst)
    }

    /// New connections are accepted and never answered; the others go on.
    pub fn set_deaf(&self, deaf: bool) {
        self.faults.deaf.store(deaf, Ordering::SeqCst);
    }

    /// Every connection stays open, and nothing that is sent on it arrives.
    pub fn set_silent(&self, silent: bool) {
        self.faults.silent.store(silent, Ordering::SeqCst);
    }

    pub fn set_down(&self, down: bool) {
        self.faults.down.store(down, Ordering::SeqCst);
        for stream in self.faults.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, is_client: bool, faults: &Faults) {
    let mut buffer = [0; 65_536];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let bytes = &buffer[..read];
        if faults.silent.load(Ordering::SeqCst) {
            continue;
        }
        // With its zero byte, because BEGIN contains READ COMMITTED.
        if is_client
            && bytes.windows(7).any(|part| part == b"COMMIT\0")
            && faults.lose_commit.swap(false, Ordering::SeqCst)
        {
            faults.swallow.store(true, Ordering::SeqCst);
        } else if !is_client && faults.swallow.swap(false, Ordering::SeqCst) {
            break;
        }
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
