//! The real binary as a child process, which a test can start, freeze, kill and start again.

use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::api::Api;
use super::livez::{answers, last_request};

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_bytepass");
/// The time limit for a start and for a stop.
const LIMIT: Duration = Duration::from_secs(30);

/// The parameters of a start; kept for the next one.
#[derive(Clone)]
enum Start {
    /// `bytepass dev` on free ports.
    Dev { data_dir: PathBuf },
    /// `serve` of this binary with this file, which says to listen here.
    Serve {
        binary: PathBuf,
        file: PathBuf,
        listen: SocketAddr,
    },
}

/// A broker in a child process. Dropping it kills the process and removes its folder.
pub struct BrokerProcess {
    child: Child,
    /// Whether the process may still run, so that the port is its own.
    alive: bool,
    start: Start,
    folder: TempDir,
    env: Vec<(String, String)>,
    /// The line that `dev --json` printed; null for `serve`.
    pub ready: Value,
    /// The broker's address, `http://host:port`.
    pub url: String,
}

impl BrokerProcess {
    /// `bytepass dev` in a folder of its own.
    pub fn dev() -> BrokerProcess {
        BrokerProcess::dev_with(&[])
    }

    /// The same with these environment variables.
    pub fn dev_with(env: &[(&str, &str)]) -> BrokerProcess {
        let folder = tempfile::tempdir().expect("a folder");
        let data_dir = folder.path().join("data");
        BrokerProcess::spawn(Start::Dev { data_dir }, folder, owned(env))
    }

    /// `bytepass serve` with the configuration that `toml` writes for the address it shall listen on.
    pub fn serve(toml: impl FnOnce(SocketAddr) -> String, env: &[(&str, &str)]) -> BrokerProcess {
        BrokerProcess::serve_by(Path::new(BINARY), toml, env)
    }

    /// The same by another binary than the one under test.
    pub fn serve_by(
        binary: &Path,
        toml: impl FnOnce(SocketAddr) -> String,
        env: &[(&str, &str)],
    ) -> BrokerProcess {
        let folder = tempfile::tempdir().expect("a folder");
        let listen = free_address();
        let file = folder.path().join("bytepass.toml");
        std::fs::write(&file, toml(listen)).expect("a file");
        let binary = binary.to_owned();
        let start = Start::Serve {
            binary,
            file,
            listen,
        };
        BrokerProcess::spawn(start, folder, owned(env))
    }

    fn spawn(start: Start, folder: TempDir, env: Vec<(String, String)>) -> BrokerProcess {
        let mut child = command(&start, folder.path(), &env)
            .spawn()
            .expect("the binary starts");
        let ready = match &start {
            Start::Dev { .. } => first_line(&mut child, folder.path()),
            Start::Serve { listen, .. } => {
                answers(&mut child, *listen, LIMIT).then_some(Value::Null)
            }
        };
        let Some(ready) = ready else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the broker did not start: {}", log_of(folder.path()));
        };
        let url = match &start {
            Start::Dev { .. } => ready["url"].as_str().expect("a url").to_owned(),
            Start::Serve { listen, .. } => format!("http://{listen}"),
        };
        BrokerProcess {
            child,
            alive: true,
            start,
            folder,
            env,
            ready,
            url,
        }
    }

    /// A caller with the token that `dev --json` printed under this name: `user`, `other_user`, `service`, `ops`.
    pub fn api(&self, caller: &str) -> Api {
        let token = self.ready["tokens"][caller].as_str();
        Api::new(&self.url, token.expect("dev prints this token"))
    }

    /// A caller with this token.
    pub fn as_caller(&self, token: &str) -> Api {
        Api::new(&self.url, token)
    }

    /// The embedded bucket's address.
    pub fn bucket_url(&self) -> &str {
        self.ready["bucket_url"].as_str().expect("dev prints it")
    }

    /// Sends a signal by its name: `TERM`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        send_signal(&self.child, name);
    }

    /// Kills the process at once, as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
        self.alive = false;
    }

    /// Asks it to stop and waits until it has.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Waits until it has stopped.
    pub fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                self.alive = false;
                return status;
            }
            assert!(Instant::now() < end, "still there: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts it again on the same data, after `kill` or `terminate`. `dev` may get other ports.
    pub fn restart(self) -> BrokerProcess {
        let mut this = self;
        // A process that is still alive would hold the port and the database.
        let _ = this.child.kill();
        let _ = this.child.wait();
        let folder = std::mem::replace(&mut this.folder, tempfile::tempdir().expect("a folder"));
        BrokerProcess::spawn(this.start.clone(), folder, this.env.clone())
    }

    /// All that the process, and its predecessors in this folder, wrote to standard error. Lines are gathered for a moment and
    /// written in order, so those of every answered request are there once the line of one more is.
    pub fn log(&self) -> String {
        let address = self.url.strip_prefix("http://").filter(|_| self.alive);
        let last = address.and_then(last_request);
        let end = Instant::now() + LIMIT;
        loop {
            let log = log_of(self.folder.path());
            if last.as_ref().is_none_or(|id| log.contains(id)) {
                return log;
            }
            assert!(Instant::now() < end, "the last line is missing: {log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// All that it wrote to standard output, but for the line that [`BrokerProcess::ready`] is made of.
    pub fn output(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stdout.log")).unwrap_or_default()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder that holds data, configuration and log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the broker's log:\n{}", log_of(self.folder.path()));
        }
    }
}

fn command(start: &Start, folder: &Path, env: &[(String, String)]) -> Command {
    let mut command = match start {
        Start::Dev { .. } => Command::new(BINARY),
        Start::Serve { binary, .. } => Command::new(binary),
    };
    match start {
        Start::Dev { data_dir } => {
            command
                .args(["dev", "--json", "--listen", "127.0.0.1:0"])
                .args(["--bucket-listen", "127.0.0.1:0", "--data-dir"])
                .arg(data_dir)
                .stdout(Stdio::piped());
        }
        Start::Serve { file, .. } => {
            command
                .args(["serve", "--config"])
                .arg(file)
                .stdout(appending(&folder.join("stdout.log")));
        }
    }
    command
        .envs(env.iter().map(|(name, value)| (name, value)))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(appending(&folder.join("stderr.log")));
    command
}

/// The JSON line on standard output; `None` after the time limit.
fn first_line(child: &mut Child, folder: &Path) -> Option<Value> {
    let output = child.stdout.take().expect("it is piped");
    let mut rest = appending(&folder.join("stdout.log"));
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(output).lines();
        let _ = send.send(lines.next());
        // Keeps reading, so that the broker never writes into a closed pipe.
        for line in lines.map_while(Result::ok) {
            let _ = writeln!(rest, "{line}");
        }
    });
    let line = receive.recv_timeout(LIMIT).ok()?;
    serde_json::from_str(&line?.ok()?).ok()
}

fn appending(path: &Path) -> File {
    let file = File::options().create(true).append(true).open(path);
    file.expect("a log file")
}

fn owned(env: &[(&str, &str)]) -> Vec<(String, String)> {
    env.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn log_of(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("stderr.log")).unwrap_or_default()
}

/// A free address of the loopback interface. Its port is below the range of outgoing connections,
/// so that none of those takes it while a test has its owner killed.
pub fn free_address() -> SocketAddr {
    (0..200)
        .map(|_| SocketAddr::from(([127, 0, 0, 1], rand::random_range(20_000..31_000))))
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("a free port between 20000 and 31000")
}

/// Sends a signal to a child by its name: `TERM`, `STOP`, `CONT`. The shell does it, because not every machine has a program `kill`.
pub fn send_signal(child: &Child, name: &str) {
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -{name} {}", child.id())])
        .status()
        .expect("a shell");
    assert!(sent.success(), "SIG{name} could not be sent");
}
