//! Bytepass: a direct-to-S3 upload broker. Clients send the bytes straight to the bucket; the broker signs their requests, checks
//! and seals the objects, and records them.
//!
//! A request enters at [`http`], is decided by [`policy`], carried out by [`broker`] through [`storage`] and [`db`], and has its
//! consequences later through [`workers`]. The modules, in reading order:
//!
//! - [`domain`]: the types, among them the upload and its status machine
//! - [`policy`]: pure decisions: may this be uploaded, is this what was declared
//! - [`broker`]: the use cases: create, confirm, attach, remove, read, sweep, fsck
//! - [`storage`]: the S3 API
//! - [`db`]: SQLite and Postgres
//! - [`auth`]: callers, and the tokens that the broker signs itself
//! - [`http`]: routes, problems, pages
//! - [`webhooks`]: delivery of events
//! - [`workers`]: periodic work
//! - [`outbound`]: the HTTP client for key sets and webhooks
//! - [`config`], [`telemetry`]: configuration; logs, metrics and traces
//! - [`app`], [`cli`]: the composition root and the command line

pub mod app;
pub mod auth;
pub mod broker;
pub mod cli;
pub mod config;
pub mod db;
pub mod domain;
pub mod http;
pub mod outbound;
pub mod policy;
pub mod storage;
pub mod telemetry;
pub mod webhooks;
pub mod workers;
