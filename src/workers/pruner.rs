//! Forgets idempotency keys after their day, and grants a month after their end.

use crate::broker::Broker;

use super::Next;

/// How many keys, and how many grants, one round forgets at most: other changes wait for no longer than that takes.
const BATCH: u32 = 200;

/// One batch; the next comes at once if there may be more.
pub(super) async fn round(broker: Broker) -> Next {
    match broker.prune(BATCH).await {
        Ok(forgotten) if forgotten >= BATCH as usize => Next::AtOnce,
        Ok(_) => Next::AfterThePause,
        Err(error) => {
            tracing::warn!(?error, "what is out of date can't be forgotten now");
            Next::AfterThePause
        }
    }
}
