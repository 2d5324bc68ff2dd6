//! Bytepass: a direct-to-S3 upload broker. Bytes pass straight to the bucket; the broker signs, checks, seals and records.
//!
//! The rooms, in reading order: what the words mean (`domain`), what is allowed (`policy`), what an upload lives through
//! (`broker`) on the bucket (`storage`) and the database (`db`), how callers come in (`http`, `auth`), and what happens by itself (`workers`).

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
