//! The guarantees of the module, each on SQLite and, where `BYTEPASS_TEST_DATABASE` names a Postgres server's admin URL, on Postgres.

mod attachments;
mod attempts;
mod confirm;
mod counter_check;
mod counters;
mod create;
mod deliveries;
mod faults;
mod grants;
mod idempotency;
mod limits;
mod lists;
mod overview;
mod plans;
mod proxy;
mod setup;
mod stalls;
mod support;
mod sweep;
mod timeline;
mod transitions;
