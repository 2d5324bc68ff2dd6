//! Commands that no external database or bucket can change.

pub mod dev;
mod stopping;
mod token;
