//! Servers measured in alternation, so that a disturbance of the machine affects all of them.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::client::{Load, Requests, Until, load};
use super::options::Common;
use super::process::Process;
use super::table::{Sample, median};
use super::{Outcome, baselines, failed};

/// The time after its last answer in which a server writes the log line.
const LOG_LIMIT: Duration = Duration::from_secs(1);

/// One server and its rounds so far.
pub struct MeasuredServer {
    /// Its name in the table.
    pub name: &'static str,
    /// The server.
    pub process: Process,
    /// It writes one log line a request, which is counted.
    pub logs: bool,
    samples: Vec<Sample>,
}

impl MeasuredServer {
    /// A server without rounds.
    pub fn new(name: &'static str, process: Process, logs: bool) -> MeasuredServer {
        MeasuredServer {
            name,
            process,
            logs,
            samples: Vec::new(),
        }
    }

    /// One round. It counts only if every request had this status and, where the server logs, its line.
    pub async fn round(
        &mut self,
        requests: Requests,
        connections: usize,
        until: Until,
        status: u16,
    ) -> Outcome<()> {
        self.process.empty_log()?;
        let cpu_before = self.process.cpu_secs();
        let done = load(self.process.address, requests, connections, until, status)
            .await
            .map_err(|error| format!("{}: {error}", self.name))?;
        let answers = done.latencies_us.len();
        let lines = self.log_lines(answers)?;
        // Includes the work of the last log lines.
        let cpu_secs = cpu_before.zip(self.process.cpu_secs());
        if self.logs && lines < answers {
            return Err(format!(
                "{}: {lines} log lines of {answers} requests",
                self.name
            ));
        }
        let cpu_us = cpu_secs.map_or(f64::NAN, |(before, after)| (after - before) * 1e6);
        self.samples.push(Sample {
            requests_per_sec: answers as f64 / done.elapsed_secs,
            p50_ms: quantile_ms(&done, 0.50),
            p99_ms: quantile_ms(&done, 0.99),
            cpu_us: cpu_us / answers as f64,
            rss_mib: self.process.rss_mib().unwrap_or(f64::NAN),
        });
        Ok(())
    }

    /// The number of log lines written; the server may buffer them for a moment.
    fn log_lines(&self, expected: usize) -> Outcome<usize> {
        let deadline = Instant::now() + LOG_LIMIT;
        let mut lines = self.process.log_lines()?;
        while self.logs && lines < expected && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
            lines = self.process.log_lines()?;
        }
        Ok(lines)
    }

    /// Drops the rounds so far, which only warmed up.
    pub fn forget(&mut self) {
        self.samples.clear();
    }

    /// The median of its rounds.
    pub fn median(&self) -> Sample {
        median(&self.samples)
    }
}

fn quantile_ms(load: &Load, quantile: f64) -> f64 {
    let last = load.latencies_us.len().saturating_sub(1);
    let place = (last as f64 * quantile).round() as usize;
    let micros = load.latencies_us.get(place).copied();
    micros.map_or(f64::NAN, |micros| f64::from(micros) / 1000.0)
}

/// Runs a benchmark's process: one of the servers if it was started as that, the measuring one otherwise.
pub fn run_benchmark(
    options: &Common,
    folder: Option<&Path>,
    measure: impl Future<Output = Outcome<()>>,
) -> ExitCode {
    if !options.bench && options.serve.is_none() {
        println!("this measures only under `cargo bench`: a debug build says nothing");
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let outcome = runtime.map_err(failed("threads")).and_then(|runtime| {
        runtime.block_on(async {
            match &options.serve {
                Some(name) => baselines::serve(name, folder).await,
                None => measure.await,
            }
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the benchmark failed: {error}");
            ExitCode::FAILURE
        }
    }
}
