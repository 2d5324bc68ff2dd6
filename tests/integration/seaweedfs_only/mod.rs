//! Tests that need an S3 server which is not ours.

mod django;
mod proxy;
