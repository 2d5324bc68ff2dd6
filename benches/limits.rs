//! The cost of a flood by one owner for the others: the p99 of their `POST /v1/uploads`, without and with it, in alternation.
//!
//! `cargo bench --bench limits` runs the real `bytepass serve` with a limit for each owner and, to compare, without one. The others
//! send at a fixed rate; the flood sends as fast as it is answered. Target: at most twice the p99.

mod support;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;

use support::broker::{BATCH_MAX, BrokerSetup, NO_BUCKET};
use support::client::{Connection, post};
use support::comparison::run_benchmark;
use support::databases::Databases;
use support::options::{Common, Database};
use support::process::Process;
use support::signing::DECLARATION;
use support::tokens::Tokens;
use support::{Outcome, broker, failed};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The default limit of requests a second for each owner.
const PER_SEC: u32 = 200;

/// Measures the cost of a flood by one owner for the others
#[derive(Parser)]
struct Options {
    /// Seconds of a round
    #[arg(long, env = "BYTEPASS_BENCH_SECONDS", default_value_t = 3.0)]
    seconds: f64,
    /// Connections of the others, each with 50 requests a second
    #[arg(long, env = "BYTEPASS_BENCH_OTHERS", default_value_t = 16)]
    others: usize,
    /// Connections of the flood
    #[arg(long, env = "BYTEPASS_BENCH_FLOOD", default_value_t = 32)]
    flood: usize,
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
    let tokens = Tokens::sign(
        options.common.tokens.max(options.others + 1),
        "uploads:write",
    )?;
    let request = |token: &String| post("/v1/uploads", token, DECLARATION);
    let requests: Arc<Vec<Vec<u8>>> = Arc::new(tokens.all.iter().map(request).collect());
    for &kind in &options.common.databases {
        match Databases::of(kind, &options.common)? {
            Some(databases) => compare(options, kind, databases, &tokens, &requests).await?,
            None => println!("\n{}: left out, it is not installed here", kind.title()),
        }
    }
    Ok(())
}

async fn compare(
    options: &Options,
    kind: Database,
    mut databases: Databases,
    tokens: &Tokens,
    requests: &Arc<Vec<Vec<u8>>>,
) -> Outcome<()> {
    let folder = tempfile::tempdir_in(&options.common.dir).map_err(failed("a folder"))?;
    let mut start = |name: &str, owner_requests_per_sec| {
        let folder = folder.path().join(name);
        let ground = BrokerSetup {
            database: &databases.create(&folder)?,
            folder: &folder,
            bucket: NO_BUCKET,
            tokens,
            batch_max: BATCH_MAX,
            owner_requests_per_sec,
        };
        broker::start(&ground)
    };
    let brokers = [
        ("without a limit", start("free", 0)?),
        ("with a limit", start("limited", PER_SEC)?),
    ];
    println!(
        "\n{}: {} others, 50 requests a second each; a flood of {} connections; medians of {} rounds of {} s",
        kind.title(),
        options.others,
        options.flood,
        options.common.rounds,
        options.seconds
    );
    println!(
        "{:<20}{:>14}{:>14}{:>10}{:>16}",
        "", "p99 alone ms", "p99 flood ms", "times", "flood req/s"
    );
    let mut found = [const { Vec::new() }; 2];
    for round in 0..=options.common.rounds {
        for ((_, broker), found) in brokers.iter().zip(&mut found) {
            broker.empty_log()?;
            let alone = p99_ms(options, broker, requests, 0).await?.0;
            let (flooded, flood) = p99_ms(options, broker, requests, options.flood).await?;
            if round > 0 {
                found.push([alone, flooded, flood]);
            }
        }
    }
    for ((name, _), mut found) in brokers.iter().zip(found) {
        let [alone, flooded, flood] = [0, 1, 2].map(|column: usize| {
            found.sort_by(|a, b| a[column].total_cmp(&b[column]));
            found.get(found.len() / 2).map_or(f64::NAN, |it| it[column])
        });
        println!(
            "{name:<20}{alone:>14.2}{flooded:>14.2}{:>10.2}{flood:>16.0}",
            flooded / alone
        );
    }
    Ok(())
}

/// The others' p99 in milliseconds, and the flood's requests a second.
async fn p99_ms(
    options: &Options,
    broker: &Process,
    requests: &Arc<Vec<Vec<u8>>>,
    flood: usize,
) -> Outcome<(f64, f64)> {
    let (over, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let flooding: Vec<_> = (0..flood)
        .map(|_| {
            let (requests, over, answered) = (requests.clone(), over.clone(), answered.clone());
            tokio::spawn(send_all(broker.address, requests, over, answered))
        })
        .collect();
    let time = Duration::from_secs_f64(options.seconds);
    let others: Vec<_> = (0..options.others)
        .map(|place| tokio::spawn(ask_at_a_pace(broker.address, requests.clone(), place, time)))
        .collect();
    let mut latencies_us = Vec::new();
    for other in others {
        latencies_us.extend(other.await.map_err(failed("another's task"))??);
    }
    over.store(true, Ordering::Relaxed);
    for task in flooding {
        task.await.map_err(failed("the flood's task"))??;
    }
    latencies_us.sort_unstable();
    let place = latencies_us.len() * 99 / 100;
    let p99_us = latencies_us.get(place).copied().unwrap_or_default();
    Ok((
        p99_us as f64 / 1000.0,
        answered.load(Ordering::Relaxed) as f64 / options.seconds,
    ))
}

/// The flood: the first token, with any answer.
async fn send_all(
    address: SocketAddr,
    requests: Arc<Vec<Vec<u8>>>,
    over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
) -> Outcome<()> {
    let mut connection = Connection::open(address).await?;
    while !over.load(Ordering::Relaxed) {
        match connection.status(&requests[0]).await {
            Ok(201 | 429) => {
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok(status) => return Err(format!("the flood was answered {status}")),
            // Refused before its body was read, after which the broker hangs up.
            Err(_) => connection = Connection::open(address).await?,
        }
    }
    Ok(())
}

/// One of the others, whose requests are all allowed.
async fn ask_at_a_pace(
    address: SocketAddr,
    requests: Arc<Vec<Vec<u8>>>,
    place: usize,
    time: Duration,
) -> Outcome<Vec<u64>> {
    let mut connection = Connection::open(address).await?;
    let (begun, own) = (Instant::now(), 1 + place % (requests.len() - 1));
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    let mut latencies_us = Vec::new();
    while begun.elapsed() < time {
        pace.tick().await;
        let sent = Instant::now();
        connection.exchange(&requests[own], 201).await?;
        latencies_us.push(sent.elapsed().as_micros() as u64);
    }
    Ok(latencies_us)
}
