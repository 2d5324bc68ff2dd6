//! The stories: what a caller, an attacker or an operator experiences, each told by one file against real servers.

#[path = "../support/mod.rs"]
mod support;

mod bucket_gone;
mod bucket_unclear;
mod callers_forged;
mod callers_jwks;
mod callers_jwt;
mod callers_malformed;
mod callers_published;
mod callers_setup;
mod crashes;
mod credentials_end;
mod database_faults;
mod database_locked;
mod dev_bucket;
mod issuer_gone;
mod kills;
mod main_job;
mod postgres_proxy_selftest;
mod s3_proxy_selftest;
mod starting_stopping;
mod support_selftest;
