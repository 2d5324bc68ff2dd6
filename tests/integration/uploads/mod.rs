//! The life of one upload, and lists of many.

mod another_bucket;
mod checksum_proof;
mod confirm_races;
mod create_put_confirm;
mod downloads;
mod file_names;
mod idempotency;
mod idempotency_crashes;
mod lifecycle;
mod lists;
mod views;
