//! What every request meets: cross-origin rules and problem documents.

mod origins;
mod problems;
