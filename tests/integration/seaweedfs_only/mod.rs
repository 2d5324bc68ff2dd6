//! Tests that need an external S3 server.

mod django;
mod proxy;
