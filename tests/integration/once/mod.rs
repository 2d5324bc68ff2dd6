//! Tests that neither the database nor the bucket can change.

mod dev_bucket;
mod fault_proxies;
mod malformed_requests;
mod tokens;
