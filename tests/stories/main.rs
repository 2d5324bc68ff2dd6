//! The stories: what a caller, an attacker or an operator experiences, each told by one file against real servers.

#[path = "../support/mod.rs"]
mod support;

mod access;
mod another_bucket;
mod bucket_gone;
mod bucket_unclear;
mod callers_forged;
mod callers_jwks;
mod callers_jwt;
mod callers_malformed;
mod callers_published;
mod callers_setup;
mod campaign;
mod checksum_proof;
mod clock_skew;
mod commands;
mod crashes;
mod credentials_end;
mod database_faults;
mod database_locked;
mod deploy;
mod dev_bucket;
mod file_names;
mod http_bombs;
mod http_origins;
mod issuer_gone;
mod kills;
mod lifecycle;
mod lists;
mod main_job;
mod pages;
mod postgres_proxy_selftest;
mod problems;
mod races;
mod s3_proxy_selftest;
mod secrets;
mod starting_stopping;
mod store_lies;
mod support_selftest;
mod tamper_declared;
mod tamper_headers;
mod tamper_overwrite;
mod tamper_signature;
mod tamper_types;
mod views;
