//! The command line: one file a command. A command prints its result on standard output, everything else on standard
//! error, and fails with one clear line and an exit code that says of which kind it is (`outcome`).

mod check_config;
mod descriptors;
#[cfg_attr(
    not(feature = "dev-bucket"),
    allow(dead_code, reason = "without its bucket, `dev` does nothing")
)]
mod dev;
mod fsck;
mod fsck_counters;
mod health;
mod migrate;
mod offline;
mod openapi;
mod outcome;
mod serve;
mod sweep;
mod table;
mod token;
mod uploads;
mod uploads_settle;
mod uploads_words;
mod webhooks;
mod webhooks_words;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

pub use self::outcome::Failure;

/// Direct-to-S3 uploads: bytes pass straight to the bucket.
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
    /// Run the broker, as configured
    Serve(ConfigArgs),
    /// Bring the database's schema up to date
    Migrate(ConfigArgs),
    /// Print a caller's token, signed with the development secret
    Token(token::TokenArgs),
    /// Print every setting with its value and where it comes from; secrets are masked
    CheckConfig(ConfigArgs),
    /// Look at uploads, and settle them by hand
    Uploads(uploads::UploadsArgs),
    /// Do what the sweeper has to do, now
    Sweep(sweep::SweepArgs),
    /// Hold the bucket against the database, both ways
    Fsck(fsck::FsckArgs),
    /// Look at webhook deliveries, try an endpoint, deliver again
    Webhooks(webhooks::WebhooksArgs),
    /// Print the OpenAPI document
    Openapi,
    /// Ask a running broker whether it is ready, for containers
    Health(health::HealthArgs),
    /// Print a script that completes commands and options on Tab, for your shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The configuration file (TOML)
    #[arg(long, env = "BYTEPASS_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Listen here instead of server.listen
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
}

/// Runs one command to its end.
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
    // Before the last word, which is the outcome's.
    crate::telemetry::logging::flush();
    outcome::exit_code(outcome)
}

fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "bytepass", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
