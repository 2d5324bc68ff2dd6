//! Tests that need a Postgres server.

mod faults;
mod proxy;
mod tls;
