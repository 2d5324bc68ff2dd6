//! Uploads: rows, creation, confirms, status changes, seal attempts, attachments, lists and counters.

pub(in crate::db) mod attachment_locks;
pub(in crate::db) mod attachments;
pub(in crate::db) mod attempts;
pub(in crate::db) mod confirm;
pub(in crate::db) mod counter_deltas;
pub(in crate::db) mod counters;
pub(in crate::db) mod create;
pub(in crate::db) mod detachments;
pub(in crate::db) mod find;
pub(in crate::db) mod insert;
pub(in crate::db) mod issued;
pub(in crate::db) mod list;
pub(in crate::db) mod owners;
pub(in crate::db) mod recorded_keys;
pub(in crate::db) mod recount;
pub(in crate::db) mod removals;
pub(in crate::db) mod row;
pub(in crate::db) mod stats;
pub(in crate::db) mod sweep;
pub(in crate::db) mod sweep_queries;
pub(in crate::db) mod transition;
