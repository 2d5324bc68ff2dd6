//! The stories: what a caller, an attacker or an operator experiences, each told by one file against real servers.

#[path = "../support/mod.rs"]
mod support;

mod postgres_proxy_selftest;
mod s3_proxy_selftest;
mod support_selftest;
