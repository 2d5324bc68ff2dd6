//! Integration tests: a broker with a real database and a real bucket, seen by callers, attackers and operators.
//!
//! Three module names decide where `tests/run` runs a test; they count at any depth.
//! - `once`: neither the database nor the bucket changes the outcome, so one matrix job is enough.
//! - `postgres_only`: only on Postgres.
//! - `seaweedfs_only`: only on SeaweedFS.

// An unexpected `None` or error fails the test.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod attachments;
mod bucket_notifications;
mod commands;
mod faults;
mod grants;
mod http;
mod limits;
mod once;
mod operations;
mod pages;
mod postgres_only;
mod receipts;
mod seaweedfs_only;
mod sweeper;
mod tampering;
mod uploads;
mod webhooks;
