//! A server in a process of its own, so that its CPU time and memory are its own.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Outcome, failed};

/// The time limit for the start of a server.
const START_LIMIT: Duration = Duration::from_secs(30);
/// The unit in which Linux reports CPU time, whatever the kernel's own tick.
const TICKS_PER_SEC: f64 = 100.0;

/// A running server; killed when dropped.
pub struct Process {
    /// Where it answers.
    pub address: SocketAddr,
    child: Child,
    /// Servers of ours end with it, even when the benchmark is killed.
    _stdin: Option<ChildStdin>,
    log: Option<PathBuf>,
}

impl Process {
    /// This benchmark's own program as the server of this name; it prints its address when it is ready.
    pub fn of_ours(name: &str, args: &[&Path]) -> Outcome<Process> {
        let program = std::env::current_exe().map_err(failed("finding this program"))?;
        let mut child = Command::new(program)
            .args(["--serve", name])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed(name))?;
        let stdin = child.stdin.take();
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            let read = BufReader::new(output).read_line(&mut line);
            read.map_err(failed(name))?;
        }
        let address = line.trim().parse();
        Ok(Process {
            address: address.map_err(failed(&format!("the address of {name} {line:?}")))?,
            child,
            _stdin: stdin,
            log: None,
        })
    }

    /// The real `bytepass serve` with this configuration; its log lines go to a file in `folder`.
    pub fn bytepass(config: &Path, folder: &Path) -> Outcome<Process> {
        let log = folder.join("stderr.log");
        let file = File::options().create(true).append(true).open(&log);
        let mut command = Command::new(env!("CARGO_BIN_EXE_bytepass"));
        command
            .args(["serve", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file.map_err(failed("the log file"))?);
        // The broker would refuse the benchmark's settings as unknown.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BYTEPASS_")) {
            command.env_remove(name);
        }
        let mut child = command.spawn().map_err(failed("bytepass"))?;
        let begun = Instant::now();
        loop {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            if let Some(address) = address_in(&text) {
                return Ok(Process {
                    address,
                    child,
                    _stdin: None,
                    log: Some(log),
                });
            }
            if begun.elapsed() > START_LIMIT || !matches!(child.try_wait(), Ok(None)) {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("the broker did not start: {text}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The CPU time used, in seconds; `None` without `/proc`.
    pub fn cpu_secs(&self) -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // The name in brackets may hold spaces; behind it, user and system time are the 12th and 13th word.
        let words: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = words.get(11)?.parse::<f64>().ok()? + words.get(12)?.parse::<f64>().ok()?;
        Some(ticks / TICKS_PER_SEC)
    }

    /// The resident memory, in MiB; `None` without `/proc`.
    pub fn rss_mib(&self) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"))?;
        let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib / 1024.0)
    }

    /// The number of log lines since the file was emptied.
    pub fn log_lines(&self) -> Outcome<usize> {
        let Some(path) = &self.log else {
            return Ok(0);
        };
        let text = std::fs::read(path).map_err(failed("reading the log"))?;
        Ok(text.iter().filter(|&&byte| byte == b'\n').count())
    }

    /// Empties the file, so that it stays small.
    pub fn empty_log(&self) -> Outcome<()> {
        let Some(path) = &self.log else {
            return Ok(());
        };
        let opened = File::options().write(true).open(path);
        let emptied = opened.and_then(|file| file.set_len(0));
        emptied.map_err(failed("emptying the log"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in the broker's log line of its start.
fn address_in(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains("\"listening\""))?;
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    line["url"].as_str()?.strip_prefix("http://")?.parse().ok()
}
