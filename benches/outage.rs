//! Answers during an outage of the bucket or the database, and the time to recovery after its return.
//!
//! `cargo bench --bench outage` cuts them off for 20 s each, in every way, under load, with the default limits. It measures the same
//! as the integration tests `faults::outages`: a wrong answer ends it.

#[path = "support/mod.rs"]
mod bench;
#[path = "../tests/support/mod.rs"]
mod support;

use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Parser;

use bench::comparison::run_benchmark;
use bench::databases::Databases;
use bench::options::{Common, Database};
use bench::{Outcome, failed};
use support::outage::{Failure, Scene, Victim};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures outages of the bucket (over SQLite) and of Postgres
#[derive(Parser)]
struct Options {
    /// How long each lasts, in seconds
    #[arg(long, env = "BYTEPASS_BENCH_OUTAGE_SECS", default_value_t = 20)]
    outage_secs: u64,
    #[command(flatten)]
    common: Common,
    /// The folder of a server; this benchmark starts none
    #[arg(hide = true)]
    folder: Option<std::path::PathBuf>,
    /// Measure this part, on the database that the environment names (used by the benchmark itself)
    #[arg(long, hide = true)]
    part: Option<Database>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    run_benchmark(
        &options.common,
        options.folder.as_deref(),
        measure(&options),
    )
}

async fn measure(options: &Options) -> Outcome<()> {
    let length = Duration::from_secs(options.outage_secs);
    match options.part {
        Some(Database::Sqlite) => {
            for how in [Failure::Refused, Failure::Silent, Failure::Errors] {
                print(Victim::Bucket, how, length).await;
            }
            Ok(())
        }
        Some(Database::Postgres) => {
            for how in [Failure::Refused, Failure::Silent] {
                print(Victim::Database, how, length).await;
            }
            Ok(())
        }
        None => parts(options),
    }
}

/// Each database in a process of its own, because test support reads the database from the environment.
fn parts(options: &Options) -> Outcome<()> {
    for &kind in &options.common.databases {
        let Some(mut databases) = Databases::of(kind, &options.common)? else {
            println!("\n{}: left out, it is not installed here", kind.title());
            continue;
        };
        let part = match kind {
            Database::Sqlite => "sqlite",
            Database::Postgres => "postgres",
        };
        let mut command = Command::new(std::env::current_exe().map_err(failed("this program"))?);
        command
            .args(["--bench", "--part", part, "--outage-secs"])
            .arg(options.outage_secs.to_string())
            .env("RUST_LOG", "off");
        if kind == Database::Postgres {
            let url = databases.create(&options.common.dir)?;
            command.env("BYTEPASS_TEST_DATABASE", url);
        }
        let status = command.status().map_err(failed("this program"))?;
        if !status.success() {
            return Err(format!("{}: {status}", kind.title()));
        }
    }
    Ok(())
}

async fn print(victim: Victim, how: Failure, length: Duration) {
    let Some(scene) = Scene::new(victim).await else {
        return println!("\n{victim:?}: left out");
    };
    let figures = scene.outage(how, length).await;
    println!(
        "\n{victim:?}, {how:?}, for {} s\n{figures}",
        length.as_secs()
    );
}
