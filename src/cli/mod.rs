//! The command line, one file a command. A command prints its result on standard output and everything else on standard error.
//! It fails with one line and an exit code for the kind of failure (`outcome`).

mod check_config;
#[cfg_attr(
    not(feature = "dev-bucket"),
    allow(dead_code, reason = "`bytepass dev` needs the development bucket")
)]
mod dev;
mod fsck;
mod fsck_counters;
mod health;
mod migrate;
mod offline;
mod open_files_limit;
mod openapi;
mod outcome;
mod serve;
mod sweep;
mod table;
mod token;
mod uploads;
mod webhooks;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

pub use self::outcome::Failure;

/// Broker for uploads that go from the client straight to an S3 bucket.
#[derive(Debug, Parser)]
#[command(name = "bytepass", version, about, max_term_width = 100)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a broker with its own database file and bucket, for development (the default command)
    #[cfg_attr(not(feature = "dev-bucket"), command(hide = true))]
    Dev(dev::DevArgs),
    /// Run the configured broker
    Serve(ConfigArgs),
    /// Apply the missing migrations to the database
    Migrate(ConfigArgs),
    /// Print a token for a caller of `bytepass dev`, signed with its development secret
    Token(token::TokenArgs),
    /// Print every setting with its value and its source; secrets are masked
    CheckConfig(ConfigArgs),
    /// List and show uploads; confirm, expire or delete them
    Uploads(uploads::UploadsArgs),
    /// Run the sweeper once: expire uploads and remove objects that are due
    Sweep(sweep::SweepArgs),
    /// Compare the bucket with the database, and report differences
    Fsck(fsck::FsckArgs),
    /// List webhook deliveries, test an endpoint, replay dead deliveries
    Webhooks(webhooks::WebhooksArgs),
    /// Print the OpenAPI document
    Openapi,
    /// Check that a running broker is ready; a container's health check
    Health(health::HealthArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// The options of commands that read the configuration.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The configuration file (TOML)
    #[arg(long, env = "BYTEPASS_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Listen here instead of server.listen
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
}

/// Runs one command.
pub fn run(line: CommandLine) -> ExitCode {
    let command = line
        .command
        .unwrap_or_else(|| Command::Dev(dev::DevArgs::default()));
    let outcome = match command {
        Command::Dev(args) => dev::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Migrate(args) => migrate::run(args),
        Command::Token(args) => token::run(args),
        Command::CheckConfig(args) => check_config::run(args),
        Command::Uploads(args) => uploads::run(args),
        Command::Sweep(args) => sweep::run(args),
        Command::Fsck(args) => fsck::run(args),
        Command::Webhooks(args) => webhooks::run(args),
        Command::Openapi => openapi::run(),
        Command::Health(args) => health::run(args),
        Command::Completions { shell } => outcome::print(&completions(shell)),
    };
    // The outcome is the last line of output.
    crate::telemetry::logging::flush();
    outcome::exit_code(outcome)
}

fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "bytepass", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
