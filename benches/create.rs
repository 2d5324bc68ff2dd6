//! The cost of `POST /v1/uploads`: an ES256 token, a committed row, a signed URL; log lines and metrics on.
//!
//! `cargo bench --bench create` runs the real `bytepass serve` in alternation with three baselines: no work, signing only, and one
//! transaction a request. It needs no bucket. Target: 40 % of signing only, on both databases.

mod support;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;

use support::baselines::{NO_WORK, SIGNING_ONLY};
use support::broker::{BATCH_MAX, BrokerSetup, NO_BUCKET};
use support::client::{Requests, Until, post};
use support::comparison::{MeasuredServer, run_benchmark};
use support::databases::Databases;
use support::options::{Common, Database};
use support::process::Process;
use support::signing::DECLARATION;
use support::tokens::Tokens;
use support::{Outcome, broker, failed, table};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The target share of signing only.
const AIM: f64 = 0.40;

/// Measures POST /v1/uploads against three baselines
#[derive(Parser)]
struct Options {
    /// Seconds of a round
    #[arg(long, env = "BYTEPASS_BENCH_SECONDS", default_value_t = 3.0)]
    seconds: f64,
    /// Connections, each with one request in flight
    #[arg(long, env = "BYTEPASS_BENCH_CONNECTIONS", default_value_t = 64)]
    connections: usize,
    #[command(flatten)]
    common: Common,
    /// The folder of a server
    #[arg(hide = true)]
    folder: Option<std::path::PathBuf>,
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
    let tokens = Tokens::sign(options.common.tokens, "uploads:write")?;
    let request = |token: &String| post("/v1/uploads", token, DECLARATION);
    let requests = Arc::new(tokens.all.iter().map(request).collect());
    for &kind in &options.common.databases {
        match Databases::of(kind, &options.common)? {
            Some(databases) => comparison(options, kind, databases, &tokens, &requests).await?,
            None => println!("\n{}: left out, it is not installed here", kind.title()),
        }
    }
    Ok(())
}

async fn comparison(
    options: &Options,
    kind: Database,
    mut databases: Databases,
    tokens: &Tokens,
    requests: &Requests,
) -> Outcome<()> {
    let folder = tempfile::tempdir_in(&options.common.dir).map_err(failed("a folder"))?;
    let mut broker = |name: &str, batch_max| {
        let folder = folder.path().join(name);
        let ground = BrokerSetup {
            database: &databases.create(&folder)?,
            folder: &folder,
            bucket: NO_BUCKET,
            tokens,
            batch_max,
            owner_requests_per_sec: 0,
        };
        broker::start(&ground)
    };
    let (single, real) = (broker("single", 1)?, broker("create", BATCH_MAX)?);
    let mut all = [
        MeasuredServer::new("no work", Process::of_ours(NO_WORK, &[])?, false),
        MeasuredServer::new("signing only", Process::of_ours(SIGNING_ONLY, &[])?, false),
        MeasuredServer::new("one transaction a request", single, true),
        MeasuredServer::new("create", real, true),
    ];
    for round in 0..=options.common.rounds {
        // The first round warms up: connections, allocators, cached tokens.
        let seconds = if round == 0 { 1.0 } else { options.seconds };
        let until = Until::Elapsed(Duration::from_secs_f64(seconds));
        for contestant in &mut all {
            let requests = requests.clone();
            contestant
                .round(requests, options.connections, until, 201)
                .await?;
            if round == 0 {
                contestant.forget();
            }
        }
    }
    let title = format!(
        "{}: {} connections, {} tokens, medians of {} rounds of {} s",
        kind.title(),
        options.connections,
        tokens.all.len(),
        options.common.rounds,
        options.seconds
    );
    let rows = all.each_ref().map(|it| (it.name, it.median()));
    table::print(&title, &rows);
    let [_, signing, single, create] = rows.map(|(_, sample)| sample.requests_per_sec);
    println!(
        "create reaches {:.1} % of signing only (aim: {:.0} %), and {:.1} times one transaction a request",
        100.0 * create / signing,
        100.0 * AIM,
        create / single
    );
    Ok(())
}
