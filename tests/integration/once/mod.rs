//! Tests that neither the database nor the bucket can change.

mod fault_proxies;
mod malformed_requests;
mod tokens;
