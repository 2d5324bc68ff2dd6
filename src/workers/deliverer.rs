//! Delivers: one loop an endpoint, with deliveries of its own under way, so that no endpoint waits for another.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use crate::telemetry::traces;
use crate::webhooks::{Endpoint, Webhooks};

/// How long a loop waits for news before it looks for what is due again, or was committed by another broker.
const POLL: Duration = Duration::from_secs(1);
/// How long deliveries that are under way may take when the broker stops. What is cut off is delivered again later.
const GRACE: Duration = Duration::from_secs(5);

/// Delivers to one endpoint until it is told to stop.
pub(super) async fn run(
    webhooks: Webhooks,
    endpoint: Arc<Endpoint>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut news = webhooks.new_deliveries();
    let mut under_way = JoinSet::new();
    while !*stopped.borrow() {
        // Before the look, so that what is committed during it is not missed.
        news.mark_unchanged();
        let free = endpoint.concurrency - under_way.len();
        if free > 0 {
            take(&webhooks, &endpoint, free, &mut under_way).await;
        }
        let is_free = under_way.len() < endpoint.concurrency;
        tokio::select! {
            _ = stopped.changed() => {}
            Some(ended) = under_way.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(endpoint = endpoint.name, %error, "a delivery panicked");
                }
                // Whatever ended at the same time: one look for all of them.
                while under_way.try_join_next().is_some() {}
            }
            _ = news.changed(), if is_free => {}
            () = tokio::time::sleep(POLL), if is_free => {}
        }
    }
    let rest = async { while under_way.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, rest).await.is_err() {
        tracing::info!(
            endpoint = endpoint.name,
            "deliveries are cut off; they are made again later"
        );
    }
}

async fn take(
    webhooks: &Webhooks,
    endpoint: &Arc<Endpoint>,
    free: usize,
    under_way: &mut JoinSet<()>,
) {
    match webhooks.claim(endpoint, free).await {
        Ok(claimed) => {
            for delivery in claimed {
                let (webhooks, endpoint) = (webhooks.clone(), endpoint.clone());
                let span = traces::delivery(&endpoint.name, delivery.event());
                let delivery = async move { webhooks.deliver(&endpoint, delivery).await };
                under_way.spawn(delivery.instrument(span));
            }
        }
        Err(error) => {
            tracing::warn!(endpoint = endpoint.name, %error, "what is due can't be looked for now");
        }
    }
}
