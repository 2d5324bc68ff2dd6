//! Delivers webhooks: one loop an endpoint with its own concurrent deliveries, so that no endpoint waits for another.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use crate::telemetry::traces;
use crate::webhooks::{Endpoint, Webhooks};

/// How long a loop waits for new deliveries of this process before it looks for retries and deliveries of other brokers.
const POLL: Duration = Duration::from_secs(1);
/// How long deliveries in progress may take when the broker stops. Unfinished ones are delivered again later.
const GRACE: Duration = Duration::from_secs(5);

/// Delivers to one endpoint until the workers stop.
pub(super) async fn run(
    webhooks: Webhooks,
    endpoint: Arc<Endpoint>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut new_deliveries = webhooks.new_deliveries();
    let mut in_progress = JoinSet::new();
    while !*stopped.borrow() {
        // Before the claim, so that deliveries committed during it are not missed.
        new_deliveries.mark_unchanged();
        let free = endpoint.concurrency - in_progress.len();
        if free > 0 {
            claim(&webhooks, &endpoint, free, &mut in_progress).await;
        }
        let is_free = in_progress.len() < endpoint.concurrency;
        tokio::select! {
            _ = stopped.changed() => {}
            Some(ended) = in_progress.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(endpoint = endpoint.name, %error, "delivery panicked");
                }
                // One claim for all deliveries that ended at the same time.
                while in_progress.try_join_next().is_some() {}
            }
            _ = new_deliveries.changed(), if is_free => {}
            () = tokio::time::sleep(POLL), if is_free => {}
        }
    }
    let rest = async { while in_progress.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, rest).await.is_err() {
        tracing::info!(
            endpoint = endpoint.name,
            "deliveries interrupted by the stop; they are repeated later"
        );
    }
}

async fn claim(
    webhooks: &Webhooks,
    endpoint: &Arc<Endpoint>,
    free: usize,
    in_progress: &mut JoinSet<()>,
) {
    match webhooks.claim(endpoint, free).await {
        Ok(claimed) => {
            for delivery in claimed {
                let (webhooks, endpoint) = (webhooks.clone(), endpoint.clone());
                let span = traces::delivery(&endpoint.name, delivery.event());
                let delivery = async move { webhooks.deliver(&endpoint, delivery).await };
                in_progress.spawn(delivery.instrument(span));
            }
        }
        Err(error) => {
            tracing::warn!(endpoint = endpoint.name, %error, "due deliveries not read");
        }
    }
}
