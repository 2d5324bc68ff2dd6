//! What integration tests share: real servers, clients that use only HTTP, and proxies that break the network.

// An unexpected `None` or error fails the test.
#![allow(clippy::unwrap_used)]
// No test binary uses every helper.
#![allow(dead_code)]

pub mod api;
pub mod broker_process;
pub mod browser;
pub mod bucket;
pub mod bucket_notifications;
pub mod command;
pub mod database;
pub mod executable_files;
pub mod fault_proxy;
pub mod gate;
pub mod jwks_broker;
pub mod key_server;
pub mod livez;
pub mod outage;
pub mod outage_figures;
pub mod outage_load;
pub mod postgres;
pub mod postgres_proxy;
pub mod raw_http;
pub mod receipts;
pub mod rows;
pub mod s3_proxy;
pub mod s3_script;
pub mod sns;
pub mod statuses;
pub mod sweeps;
pub mod temporary_credentials;
pub mod test_env;
pub mod token_cases;
pub mod token_signers;
pub mod tokens;
pub mod trace_collector;
pub mod upload_rows;
pub mod upload_steps;
pub mod webhook_receiver;

use std::io::Write as _;

/// The value of a variable that `tests/run` sets. `None` skips the rest of the calling test, and a printed line says so.
pub fn needs(name: &str) -> Option<String> {
    let value = setting(name);
    if value.is_none() {
        skipped(&format!("{name}, which tests/run sets"));
    }
    value
}

/// Whether this program can be started. `false` skips the rest of the calling test, and a printed line says so.
pub fn needs_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    if !found {
        skipped(name);
    }
    found
}

/// Prints what a test lacks, with the test's name, which `tests/run` reads. The harness would keep the output of a passed test to
/// itself, so that the line goes past it.
fn skipped(needed: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("unknown");
    let line = format!("skipped: needs {needed} ({test})\n");
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("standard error is open");
}

/// The value of an environment variable of `tests/run`; `None` when it is unset or empty.
pub fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A name that no other test of this or another run has: `prefix` and 64 random bits in hex.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}{:016x}", rand::random::<u64>())
}
