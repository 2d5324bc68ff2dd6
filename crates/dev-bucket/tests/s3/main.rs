//! The development bucket as its clients see it: the AWS SDK, boto3, and requests that no SDK would send.

// An unexpected `None` or error fails the test.
#![allow(clippy::unwrap_used)]

mod boto3;
mod copying;
mod cross_origin;
mod forms;
mod killed;
mod listing;
mod multipart;
mod objects;
mod presigned;
mod running;
mod sign;
mod starting;
mod uploading;
