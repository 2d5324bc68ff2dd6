//! `bytepass health`: checks that a running broker is ready. For health checks in containers, which have no curl.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use clap::Args;

use super::outcome::{self, Failure};

/// The most bytes of the response that are read.
const MAX_ANSWER_BYTES: u64 = 4096;

#[derive(Debug, Args)]
pub struct HealthArgs {
    /// The broker's address
    #[arg(long, default_value = "127.0.0.1:8000", value_name = "ADDRESS")]
    listen: String,
    /// How long to wait, in seconds
    #[arg(long, default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout_secs: u64,
}

pub(super) fn run(args: HealthArgs) -> Result<(), Failure> {
    let status = ask(&args).map_err(|error| {
        Failure::Runtime(format!("no broker answers on {}: {error}", args.listen))
    })?;
    match status {
        200 => outcome::print("ready\n"),
        other => Err(Failure::Runtime(format!(
            "the broker on {} is not ready (status {other})",
            args.listen
        ))),
    }
}

/// One GET of `/readyz` over a socket; returns the status. The broker's HTTP client refuses private addresses.
fn ask(args: &HealthArgs) -> std::io::Result<u16> {
    let timeout = Duration::from_secs(args.timeout_secs);
    let no_address = || std::io::Error::other("the address is invalid");
    let addr = args
        .listen
        .to_socket_addrs()?
        .next()
        .ok_or_else(no_address)?;
    let mut stream = TcpStream::connect_timeout(&addr, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    write!(
        stream,
        "GET /readyz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        args.listen
    )?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
    let line = String::from_utf8_lossy(&answer);
    line.split_whitespace()
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| std::io::Error::other("the response is not HTTP"))
}
