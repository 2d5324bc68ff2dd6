//! Events and their deliveries: the outbox, claims, attempts, lists and replays; and the entries of each upload's timeline.

pub(in crate::db) mod deliveries;
pub(in crate::db) mod delivery_claims;
pub(in crate::db) mod endpoints;
pub(in crate::db) mod outbox;
pub(in crate::db) mod replay;
pub(in crate::db) mod upload_log;
