//! What operators wait for when there are a million uploads: lists, statistics, the overview, the sweeper's search.
//!
//! `cargo bench --bench rows` fills a fresh database with `--rows` uploads of ninety days, then asks the real `bytepass serve` over one
//! connection, and the database room for what the sweeper looks for. Aim: 50 ms for the first page, a filtered page and the statistics;
//! and the sweeper's search takes as long as in a database with a hundredth of the rows.

mod support;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytepass::config::Database as DatabaseSettings;
use bytepass::db::{Db, PendingQuota};
use bytepass::telemetry::metrics::Metrics;
use chrono::Utc;
use clap::Parser;
use secrecy::SecretString;

use support::broker::{BATCH_MAX, BrokerSetup, NO_BUCKET};
use support::client::{Connection, get};
use support::comparison::run_benchmark;
use support::databases::Databases;
use support::options::{Common, Database};
use support::seeding::{Seeded, seed};
use support::tokens::Tokens;
use support::{Outcome, broker, failed};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The time that is aimed at, in milliseconds.
const AIM_MS: f64 = 50.0;
/// How often each question is asked.
const ASKED: usize = 21;
/// What part of the rows the smaller database has.
const PART: usize = 100;

/// Measures lists, statistics and the sweeper's search over many rows
#[derive(Parser)]
struct Options {
    /// How many uploads there are
    #[arg(long, env = "BYTEPASS_BENCH_ROWS", default_value_t = 1_000_000)]
    rows: usize,
    /// What part of them is pending, the newest
    #[arg(long, env = "BYTEPASS_BENCH_PENDING", default_value_t = 0.01)]
    pending: f64,
    #[command(flatten)]
    common: Common,
    /// The folder of a server; this benchmark starts none of its own
    #[arg(hide = true)]
    folder: Option<std::path::PathBuf>,
}

/// With what a database is filled.
#[derive(Clone, Copy)]
struct Filling {
    rows: usize,
    pending: f64,
}

impl Options {
    /// That of a database with a part of the rows.
    fn of(&self, part: usize) -> Filling {
        Filling {
            rows: self.rows / part,
            pending: self.pending,
        }
    }
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
    let tokens = Tokens::sign(1, "ops")?;
    for &kind in &options.common.databases {
        let Some(mut databases) = Databases::of(kind, &options.common)? else {
            println!("\n{}: left out, it is not installed here", kind.title());
            continue;
        };
        let folder = tempfile::tempdir_in(&options.common.dir).map_err(failed("a folder"))?;
        let small = folder.path().join("small");
        let few = sweeps_of(kind, &mut databases, &small, &tokens, options.of(PART)).await?;
        let large = folder.path().join("large");
        let many = asked_of(kind, &mut databases, &large, &tokens, options.of(1)).await?;
        println!(
            "  sweeper's search    {many:8.2} ms, with {} rows {few:.2} ms",
            options.of(PART).rows
        );
    }
    Ok(())
}

async fn sweeps_of(
    kind: Database,
    databases: &mut Databases,
    folder: &Path,
    tokens: &Tokens,
    filling: Filling,
) -> Outcome<f64> {
    let (url, _server, _) = filled(kind, databases, folder, tokens, filling)?;
    search_ms(&url).await
}

/// Fills a database, asks everything, and gives the time of the sweeper's search.
async fn asked_of(
    kind: Database,
    databases: &mut Databases,
    folder: &Path,
    tokens: &Tokens,
    filling: Filling,
) -> Outcome<f64> {
    let begun = Instant::now();
    let (url, server, seeded) = filled(kind, databases, folder, tokens, filling)?;
    println!(
        "\n{}: {} uploads, filled in {:.0} s; medians of {ASKED} answers over one connection",
        kind.title(),
        filling.rows,
        begun.elapsed().as_secs_f64()
    );
    let questions = [
        ("first page", "/v1/uploads".to_owned()),
        ("by status", "/v1/uploads?status=rejected".to_owned()),
        ("by field", "/v1/uploads?field=Order.txid_proof".to_owned()),
        ("by owner", "/v1/uploads?owner=user:7".to_owned()),
        (
            "an owner's pending",
            "/v1/uploads?owner=user:7&status=pending".to_owned(),
        ),
        (
            "pending, older",
            "/v1/uploads?status=pending&older_than=15m".to_owned(),
        ),
        (
            "older than a month",
            "/v1/uploads?older_than=30d".to_owned(),
        ),
        (
            "an owner's, by all",
            "/v1/uploads?owner=user:7&field=Product.image&status=confirmed".to_owned(),
        ),
        (
            "a page far behind",
            format!("/v1/uploads?cursor={}", seeded.cursor),
        ),
        ("statistics", "/v1/stats".to_owned()),
        ("overview, a day", "/v1/ops/overview".to_owned()),
        (
            "overview, 30 days",
            "/v1/ops/overview?window=30d".to_owned(),
        ),
    ];
    let mut connection = Connection::open(server.address).await?;
    for (name, path) in questions {
        let request = get(&path, &tokens.all[0]);
        let mut times = Vec::new();
        for _ in 0..ASKED {
            let asked = Instant::now();
            connection.exchange(&request, 200).await?;
            times.push(asked.elapsed());
        }
        let ms = median_ms(times);
        let word = if ms <= AIM_MS { "" } else { "  above the aim" };
        println!("  {name:<18} {ms:8.2} ms{word}");
    }
    search_ms(&url).await
}

fn filled(
    kind: Database,
    databases: &mut Databases,
    folder: &Path,
    tokens: &Tokens,
    filling: Filling,
) -> Outcome<(String, support::process::Process, Seeded)> {
    std::fs::create_dir_all(folder).map_err(failed("a folder"))?;
    let url = databases.create(folder)?;
    let ground = BrokerSetup {
        folder,
        database: &url,
        bucket: NO_BUCKET,
        tokens,
        batch_max: BATCH_MAX,
        owner_requests_per_sec: 0,
    };
    // It makes the schema.
    let server = broker::start(&ground)?;
    let seeded = seed(kind, &url, filling.rows, filling.pending)?;
    Ok((url, server, seeded))
}

/// What the sweeper asks for a batch of overdue uploads.
async fn search_ms(url: &str) -> Outcome<f64> {
    let settings = DatabaseSettings::with_url(SecretString::from(url));
    let db = Db::open(
        &settings,
        Vec::new(),
        PendingQuota::default(),
        Metrics::new(),
    )
    .map_err(failed("the database"))?;
    let mut times = Vec::new();
    for _ in 0..ASKED {
        let asked = Instant::now();
        let due = db.due_uploads(Utc::now(), 100).await;
        let due = due.map_err(failed("the sweeper's search"))?;
        times.push(asked.elapsed());
        if due.is_empty() {
            return Err("nothing is due, so nothing was measured".to_owned());
        }
    }
    Ok(median_ms(times))
}

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1000.0
}
