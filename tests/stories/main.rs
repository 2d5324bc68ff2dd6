//! The stories: what a caller, an attacker or an operator experiences, each told by one file against real servers.

#[path = "../support/mod.rs"]
mod support;

mod callers_forged;
mod callers_jwks;
mod callers_jwt;
mod callers_malformed;
mod callers_published;
mod callers_setup;
mod campaign;
mod checksum_proof;
mod deploy;
mod dev_bucket;
mod lifecycle;
mod main_job;
mod postgres_proxy_selftest;
mod races;
mod s3_proxy_selftest;
mod store_lies;
mod support_selftest;
mod tamper_declared;
mod tamper_headers;
mod tamper_overwrite;
mod tamper_signature;
