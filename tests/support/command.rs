//! One run of the binary to its end: its output and exit code.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The time limit for a command, in seconds.
const LIMIT_SECS: u64 = 60;

/// Exit code and output of a command.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; -1 where a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// Fails the test unless the exit code is this one; returns `self`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Outcome {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// The one line on standard error of a command that failed with this code and printed nothing else.
    #[track_caller]
    pub fn expect_line(self, code: i32) -> String {
        let this = self.expect(code);
        assert_eq!((this.stdout.as_str(), this.stderr.lines().count()), ("", 1));
        assert!(this.stderr.starts_with("bytepass: "), "{}", this.stderr);
        this.stderr.trim_end().to_owned()
    }
}

/// Runs the binary in this folder with these arguments and variables.
pub fn bytepass(folder: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bytepass"));
    command.args(arguments).envs(env.iter().copied());
    run(command.current_dir(folder))
}

/// Runs any command to its end; fails the test if it takes longer than a minute.
pub fn run(command: &mut Command) -> Outcome {
    run_within(command, LIMIT_SECS)
}

/// The same with a time limit.
pub fn run_within(command: &mut Command, limit_secs: u64) -> Outcome {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let stdout = read_all(child.stdout.take().expect("it is piped"));
    let stderr = read_all(child.stderr.take().expect("it is piped"));
    let end = Instant::now() + Duration::from_secs(limit_secs);
    let status = loop {
        if let Some(status) = child.try_wait().expect("it is ours") {
            break status;
        }
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{command:?} did not end in {limit_secs} s");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let text = |reader: JoinHandle<String>| reader.join().expect("the reader lives");
    Outcome {
        code: status.code().unwrap_or(-1),
        stdout: text(stdout),
        stderr: text(stderr),
    }
}

fn read_all(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
