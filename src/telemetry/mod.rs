//! What we watch: log lines ([`logging`]) and numbers ([`metrics`]).
//!
//! Every room may write to both; nothing here knows any room. The guarantees: a metric is declared once, in one place; no global
//! registry, so that two brokers live in one process; and no log level of any other crate's code lets a key or a token through.

mod json_lines;
mod lines;
pub mod logging;
pub mod metrics;
pub mod system;

#[cfg(test)]
pub(crate) mod tests;
