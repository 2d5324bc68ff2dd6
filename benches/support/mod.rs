//! Shared by the benchmarks: servers in processes of their own, a load generator, a table.

// Each benchmark uses a part of it.
#![allow(dead_code)]

pub mod baselines;
pub mod broker;
pub mod client;
pub mod comparison;
pub mod databases;
pub mod options;
pub mod process;
pub mod seeding;
pub mod signing;
pub mod staging;
pub mod table;
pub mod tokens;

/// An error as text. One failed request makes a benchmark fail.
pub type Outcome<T> = Result<T, String>;

/// Turns an error into an [`Outcome`] that names the failed step.
pub fn failed<E: std::fmt::Display>(what: &str) -> impl FnOnce(E) -> String + '_ {
    move |error| format!("{what}: {error}")
}
