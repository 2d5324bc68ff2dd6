//! How a command ends: a line for a person and an exit code for a script.

use std::process::ExitCode;

/// Why a command failed; printed as one line (a wrong configuration: a line for each mistake).
#[derive(Debug)]
pub enum Failure {
    /// The command line or the configuration is wrong: exit code 2.
    Usage(String),
    /// Anything else: exit code 1.
    Runtime(String),
    /// It worked, and what it looked for is there: exit code 3.
    Found(String),
    /// It worked, and uploads are not what was asked for: exit code 4.
    NotSo(String),
}

/// Prints what has to be said and gives the exit code.
pub(super) fn exit_code(outcome: Result<(), Failure>) -> ExitCode {
    let (line, code) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Runtime(line)) => (line, 1),
        Err(Failure::Usage(line)) => (line, 2),
        Err(Failure::Found(line)) => (line, 3),
        Err(Failure::NotSo(line)) => (line, 4),
    };
    eprintln!("bytepass: {line}");
    ExitCode::from(code)
}

/// Prints a result. A reader that went away (`bytepass openapi | head`) is no failure.
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

/// Asks a person on the terminal; where there is none, nobody could answer, and `--yes` has to say it.
pub(super) fn ask(question: &str) -> Result<bool, Failure> {
    use std::io::{IsTerminal as _, stderr, stdin};
    if !stdin().is_terminal() || !stderr().is_terminal() {
        let line = "nobody is at a terminal to be asked: say --yes if this is meant";
        return Err(Failure::Usage(line.to_owned()));
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    match stdin().read_line(&mut answer) {
        Ok(_) => Ok(matches!(answer.trim(), "y" | "Y" | "yes")),
        Err(error) => Err(Failure::Runtime(format!(
            "no answer could be read: {error}"
        ))),
    }
}
