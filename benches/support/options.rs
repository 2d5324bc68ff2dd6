//! The command line. Every option has a variable too, because `cargo bench` passes all benchmarks the same arguments.

use clap::{Args, ValueEnum};

/// Which database the broker writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Database {
    /// A file, WAL, `synchronous = FULL`.
    Sqlite,
    /// A server, commits durable.
    Postgres,
}

impl Database {
    /// Its name in the table.
    pub fn title(self) -> &'static str {
        match self {
            Database::Sqlite => "SQLite",
            Database::Postgres => "Postgres",
        }
    }
}

/// The options of every benchmark.
#[derive(Debug, Args)]
pub struct Common {
    /// Rounds of each server; the table shows medians
    #[arg(long, env = "BYTEPASS_BENCH_ROUNDS", default_value_t = 5)]
    pub rounds: usize,
    /// Different ES256 tokens, used in turn
    #[arg(long, env = "BYTEPASS_BENCH_TOKENS", default_value_t = 1000)]
    pub tokens: usize,
    /// A Postgres role's URL that may create databases; not given: a throwaway server, if Postgres is installed
    #[arg(long, env = "BYTEPASS_BENCH_POSTGRES", value_name = "URL")]
    pub postgres: Option<String>,
    /// The databases to measure
    #[arg(long, env = "BYTEPASS_BENCH_DATABASES", value_enum, value_delimiter = ',', default_values = ["sqlite", "postgres"])]
    pub databases: Vec<Database>,
    /// Where databases and logs are kept meanwhile: a real disk, or commits cost nothing
    #[arg(long, env = "BYTEPASS_BENCH_DIR", default_value = "/var/tmp")]
    pub dir: std::path::PathBuf,
    /// Be one of the servers that are measured (used by the benchmark itself)
    #[arg(long, hide = true)]
    pub serve: Option<String>,
    /// Passed by cargo
    #[arg(long, hide = true)]
    pub bench: bool,
}
