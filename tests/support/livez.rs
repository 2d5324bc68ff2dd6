//! Waits until a broker process answers `/livez`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Child;
use std::time::{Duration, Instant};

/// Whether the process answers a request in time: it listens long before, while it opens its database.
pub fn answers(child: &mut Child, address: SocketAddr, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    while Instant::now() < end && matches!(child.try_wait(), Ok(None)) {
        if is_alive(address).unwrap_or(false) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn is_alive(address: SocketAddr) -> std::io::Result<bool> {
    Ok(livez(address)?.starts_with("HTTP/1.1 200"))
}

/// Sends one more request; returns its id, or `None` without an answer.
pub fn last_request(address: &str) -> Option<String> {
    let answer = livez(address.parse().ok()?).ok()?;
    let mut lines = answer.lines();
    let id = lines.find_map(|line| line.strip_prefix("x-request-id: "))?;
    Some(id.to_owned())
}

fn livez(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: broker\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
