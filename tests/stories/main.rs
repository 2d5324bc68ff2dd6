//! The stories: what a caller, an attacker or an operator experiences, each told by one file against real servers.

#[path = "../support/mod.rs"]
mod support;

mod callers_forged;
mod callers_jwks;
mod callers_jwt;
mod callers_malformed;
mod callers_published;
mod callers_setup;
mod deploy;
mod dev_bucket;
mod main_job;
mod postgres_proxy_selftest;
mod s3_proxy_selftest;
mod support_selftest;
