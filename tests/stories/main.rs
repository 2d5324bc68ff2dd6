//! The stories: each file tells one, each test is a sentence of it.

#[path = "../support/mod.rs"]
mod support;

mod callers_forged;
mod callers_jwks;
mod callers_jwt;
mod callers_malformed;
mod callers_published;
mod callers_setup;
