//! The end of a command: one line on standard error and an exit code.

use std::process::ExitCode;

/// Why a command failed. Printed as one line; an invalid configuration prints a line for each error.
#[derive(Debug)]
pub enum Failure {
    /// The command line or the configuration is invalid: exit code 2.
    Usage(String),
    /// Anything else: exit code 1.
    Runtime(String),
    /// `fsck` ran and findings remain: exit code 3.
    Found(String),
    /// The command ran and some uploads did not reach the requested status: exit code 4.
    NotReached(String),
}

/// Prints the failure and returns the exit code.
pub(super) fn exit_code(outcome: Result<(), Failure>) -> ExitCode {
    let (line, code) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Runtime(line)) => (line, 1),
        Err(Failure::Usage(line)) => (line, 2),
        Err(Failure::Found(line)) => (line, 3),
        Err(Failure::NotReached(line)) => (line, 4),
    };
    eprintln!("bytepass: {line}");
    ExitCode::from(code)
}

/// Prints a result. A closed pipe (`bytepass openapi | head`) is not a failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::Runtime(
            format!("can't write to standard output: {error}"),
        )),
        _ => Ok(()),
    }
}

/// Asks for confirmation on the terminal. Without a terminal, `--yes` is required.
pub(super) fn confirm(question: &str) -> Result<bool, Failure> {
    use std::io::{IsTerminal as _, stderr, stdin};
    if !stdin().is_terminal() || !stderr().is_terminal() {
        let line = "confirmation needs a terminal: use --yes without one";
        return Err(Failure::Usage(line.to_owned()));
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    match stdin().read_line(&mut answer) {
        Ok(_) => Ok(matches!(answer.trim(), "y" | "Y" | "yes")),
        Err(error) => Err(Failure::Runtime(format!("can't read the answer: {error}"))),
    }
}
