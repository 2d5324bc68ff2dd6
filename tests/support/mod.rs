//! What several stories need.

pub mod brokers;
pub mod callers;
pub mod forgeries;
pub mod key_server;
