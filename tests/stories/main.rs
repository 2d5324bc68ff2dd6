//! The stories: what a caller, an attacker or an operator experiences, each told by one file against real servers.

#[path = "../support/mod.rs"]
mod support;

mod access;
mod callers_forged;
mod callers_jwks;
mod callers_jwt;
mod callers_malformed;
mod callers_published;
mod callers_setup;
mod commands;
mod dev_bucket;
mod file_names;
mod http_bombs;
mod http_origins;
mod lists;
mod main_job;
mod pages;
mod postgres_proxy_selftest;
mod problems;
mod s3_proxy_selftest;
mod secrets;
mod support_selftest;
mod views;
