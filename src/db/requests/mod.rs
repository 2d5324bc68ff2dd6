//! What makes a request count once or a limited number of times: grants and idempotency keys.

pub(in crate::db) mod grants;
pub(in crate::db) mod idempotency;
