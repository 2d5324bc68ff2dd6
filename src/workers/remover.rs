//! Removes what was replaced or detached once its grace has ended.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::broker::{Broker, RemovalWalk};

use super::Next;

/// How many uploads one batch removes at most.
const BATCH: u32 = 100;

/// One batch. The next comes at once where it was full, unless the bucket refuses or doesn't answer: then what is still due waits for
/// a pause, and what was refused is the sweeper's.
pub(super) async fn round(broker: Broker, walk: Arc<Mutex<RemovalWalk>>) -> Next {
    let mut walk = walk.lock().await;
    match broker.remove_detached(&mut walk, BATCH).await {
        Ok(true) => Next::AtOnce,
        Ok(false) => Next::AfterThePause,
        Err(error) => {
            tracing::warn!(?error, "what is due can't be removed now");
            Next::AfterThePause
        }
    }
}
