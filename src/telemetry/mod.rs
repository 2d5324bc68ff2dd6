//! Log lines ([`logging`]), metrics ([`metrics`], [`system`]) and OpenTelemetry traces ([`traces`]).
//!
//! Every module uses it; it imports none of them. Each metric and each span is declared once, here. There is no global registry
//! of metrics, so several brokers can run in one process. No log level shows a key or a token that another crate logs.

pub mod logging;
pub mod metrics;
pub mod traces;

#[cfg(test)]
pub(crate) mod tests;
