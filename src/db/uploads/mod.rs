//! Uploads: creation, confirms, status changes, seal attempts, attachments, lists, statistics and the sweeper's queries.

pub(in crate::db) mod attachments;
pub(in crate::db) mod attempts;
pub(in crate::db) mod confirm;
pub(in crate::db) mod create;
pub(in crate::db) mod issued;
pub(in crate::db) mod list;
pub(in crate::db) mod recorded_keys;
pub(in crate::db) mod stats;
pub(in crate::db) mod sweep_changes;
pub(in crate::db) mod sweep_queries;
pub(in crate::db) mod transition;
