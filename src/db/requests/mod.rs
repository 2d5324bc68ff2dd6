//! Grants and idempotency keys: how often a request may take effect.

pub(in crate::db) mod grants;
pub(in crate::db) mod idempotency;
