//! The cost of `POST /v1/uploads/{id}/confirm`: an ES256 token, an open seal attempt, copy and HEAD in the embedded bucket, the record.
//!
//! `cargo bench --bench confirm` stages small objects, then confirms each once. The bucket is a process of its own, so the CPU
//! column is the broker's. The baselines are those of `create`; none of them sends requests to the bucket.

mod support;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use support::baselines::{DEV_BUCKET, NO_WORK, SIGNING_ONLY};
use support::broker::{BATCH_MAX, BrokerSetup};
use support::client::{Until, post};
use support::comparison::{MeasuredServer, run_benchmark};
use support::databases::Databases;
use support::options::{Common, Database};
use support::process::Process;
use support::staging::{self, Staged};
use support::tokens::Tokens;
use support::{Outcome, broker, failed, table};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures POST /v1/uploads/{id}/confirm against three baselines
#[derive(Parser)]
struct Options {
    /// Uploads that are staged for a round, and confirmed in it
    #[arg(long, env = "BYTEPASS_BENCH_UPLOADS", default_value_t = 500)]
    uploads: usize,
    /// Confirms at the same time
    #[arg(long, env = "BYTEPASS_BENCH_CONFIRMS", default_value_t = 32)]
    confirms: usize,
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
    for &kind in &options.common.databases {
        match Databases::of(kind, &options.common)? {
            Some(databases) => comparison(options, kind, databases, &tokens).await?,
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
) -> Outcome<()> {
    let folder = tempfile::tempdir_in(&options.common.dir).map_err(failed("a folder"))?;
    let bucket = Process::of_ours(DEV_BUCKET, &[&folder.path().join("bucket")])?;
    let endpoint = format!("http://{}", bucket.address);
    let mut broker = |name: &str, batch_max| {
        let folder = folder.path().join(name);
        let ground = BrokerSetup {
            database: &databases.create(&folder)?,
            folder: &folder,
            bucket: &endpoint,
            tokens,
            batch_max,
            owner_requests_per_sec: 0,
        };
        broker::start(&ground)
    };
    let (single, real) = (broker("single", 1)?, broker("confirm", BATCH_MAX)?);
    let mut all = [
        (
            MeasuredServer::new("no work", Process::of_ours(NO_WORK, &[])?, false),
            201,
        ),
        (
            MeasuredServer::new("signing only", Process::of_ours(SIGNING_ONLY, &[])?, false),
            201,
        ),
        (
            MeasuredServer::new("one transaction a request", single, true),
            200,
        ),
        (MeasuredServer::new("confirm", real, true), 200),
    ];
    for round in 0..=options.common.rounds {
        for (contestant, status) in &mut all {
            let staged = if contestant.logs {
                let address = contestant.process.address;
                staging::stage(address, bucket.address, tokens, options.uploads).await?
            } else {
                staging::pretend(tokens, 20 * options.uploads)
            };
            let confirm = |it: &Staged| post(&it.path, &tokens.all[it.token], "");
            let requests = Arc::new(staged.iter().map(confirm).collect());
            contestant
                .round(requests, options.confirms, Until::AllSent, *status)
                .await?;
            // The first round warms up: connections, allocators, cached tokens.
            if round == 0 {
                contestant.forget();
            }
        }
    }
    let title = format!(
        "{}: {} confirms at a time, {} tokens, medians of {} rounds of {} uploads",
        kind.title(),
        options.confirms,
        tokens.all.len(),
        options.common.rounds,
        options.uploads
    );
    let rows = all.each_ref().map(|(it, _)| (it.name, it.median()));
    table::print(&title, &rows);
    let [_, _, single, confirm] = rows.map(|(_, sample)| sample.requests_per_sec);
    println!(
        "confirm reaches {:.1} times one transaction a request",
        confirm / single
    );
    Ok(())
}
