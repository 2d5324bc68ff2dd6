//! What we watch: log lines ([`logging`]), numbers ([`metrics`]) and, where somebody collects them, [`traces`].
//!
//! Every room may write to all; nothing here knows any room. The guarantees: a metric and a span are declared once, in one place;
//! no global registry of metrics, so that two brokers live in one process; and no log level of any other crate's code lets a key or a token through.

mod json_lines;
mod lines;
pub mod logging;
pub mod metrics;
pub mod system;
pub mod traces;

#[cfg(test)]
pub(crate) mod tests;
