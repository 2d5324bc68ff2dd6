//! Recounts, so that counters which a broker of an older version has left behind are right again.

use crate::broker::Broker;

use super::Next;

/// One recount; the next comes at once if there was more to correct than one of them may.
pub(super) async fn round(broker: Broker, interval_secs: u32) -> Next {
    match broker.recount(interval_secs).await {
        Ok(true) => Next::AtOnce,
        Ok(false) => Next::AfterPause,
        Err(error) => {
            tracing::warn!(?error, "the counters can't be compared with their rows now");
            Next::AfterPause
        }
    }
}
