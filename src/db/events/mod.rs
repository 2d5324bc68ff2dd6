//! Events and their deliveries: the outbox, claims, results and replays; and the log of each upload.

pub(in crate::db) mod deliveries;
pub(in crate::db) mod delivery_claims;
pub(in crate::db) mod delivery_list;
pub(in crate::db) mod endpoints;
pub(in crate::db) mod outbox;
pub(in crate::db) mod replay;
pub(in crate::db) mod upload_log;
