//! Removes what was replaced or detached once its grace has ended.

use crate::broker::Broker;

use super::Next;

/// How many uploads one round removes at most.
const BATCH: u32 = 100;

/// One batch. The next comes at once only if all of a full one could be removed, so that a bucket that is gone is asked once a
/// pause.
pub(super) async fn round(broker: Broker) -> Next {
    match broker.remove_detached(BATCH).await {
        Ok(gone) if gone == BATCH as usize => Next::AtOnce,
        Ok(_) => Next::AfterThePause,
        Err(error) => {
            tracing::warn!(?error, "what is due can't be removed now");
            Next::AfterThePause
        }
    }
}
