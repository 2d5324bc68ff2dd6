//! What the stories stand on: real servers, clients that are not ours, and proxies that break the network.

// Every helper is here for some story, but not each test binary tells all of them.
#![allow(dead_code)]

pub mod api;
pub mod broker_process;
pub mod brokers;
pub mod browser;
pub mod bucket;
pub mod callers;
pub mod collector;
pub mod command;
pub mod database;
pub mod executables;
pub mod fault_proxy;
pub mod forgeries;
pub mod hold;
pub mod key_server;
pub mod livez;
pub mod outage;
pub mod outage_figures;
pub mod outage_load;
pub mod postgres;
pub mod postgres_proxy;
pub mod raw_http;
pub mod receipts;
pub mod receiver;
pub mod records;
pub mod rows;
pub mod s3_events;
pub mod s3_proxy;
pub mod s3_script;
pub mod sns;
pub mod statuses;
pub mod sweeping;
pub mod tamper;
pub mod temporary_keys;
pub mod test_env;
pub mod tokens;

/// The value of an environment variable of `tests/run`; `None` when it is unset or empty.
pub fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A name that no other test of this or another run has: `prefix` and 64 random bits in hex.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}{:016x}", rand::random::<u64>())
}
