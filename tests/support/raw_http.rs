//! HTTP over a plain socket, for requests that no client library sends.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// The time limit for one read.
const READ_LIMIT: Duration = Duration::from_secs(20);
/// The most that is kept of an answer, bytes.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// A connection.
pub struct RawHttp(TcpStream);

impl RawHttp {
    /// Connects to the server at this URL, `http://host:port`.
    pub fn to(url: &str) -> RawHttp {
        let address: SocketAddr = url
            .trim_start_matches("http://")
            .parse()
            .expect("an address");
        RawHttp::over(TcpStream::connect(address).expect("the server accepts"))
    }

    /// A connection that is made already.
    pub fn over(stream: TcpStream) -> RawHttp {
        stream.set_read_timeout(Some(READ_LIMIT)).expect("a limit");
        stream.set_write_timeout(Some(READ_LIMIT)).expect("a limit");
        RawHttp(stream)
    }

    /// Sends bytes. A server that has already answered and closed does not fail the test.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.write_all(bytes.as_ref());
    }

    /// The same connection, to be read elsewhere.
    pub fn try_clone(&self) -> RawHttp {
        RawHttp(self.0.try_clone().expect("a handle"))
    }

    /// Closes the sending half.
    pub fn end(&mut self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }

    /// Everything received until the server closes, or until 20 s without a byte.
    pub fn hear_all(&mut self) -> String {
        let mut heard = Vec::new();
        let _ = Read::by_ref(&mut self.0)
            .take(MAX_ANSWER_BYTES)
            .read_to_end(&mut heard);
        String::from_utf8_lossy(&heard).into_owned()
    }

    /// One answer: its head, and its body by its Content-Length.
    pub fn hear(&mut self) -> String {
        let (mut heard, mut byte) = (Vec::new(), [0u8; 1]);
        while !heard.ends_with(b"\r\n\r\n") {
            match self.0.read(&mut byte) {
                Ok(1) => heard.push(byte[0]),
                _ => return String::from_utf8_lossy(&heard).into_owned(),
            }
        }
        let head = String::from_utf8_lossy(&heard).to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        if self.0.read_exact(&mut body).is_ok() {
            heard.extend(body);
        }
        String::from_utf8_lossy(&heard).into_owned()
    }
}

/// The status of an answer; 0 where the server closed without one.
pub fn status_of(answer: &str) -> u16 {
    answer
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5)?.parse().ok())
        .unwrap_or(0)
}
