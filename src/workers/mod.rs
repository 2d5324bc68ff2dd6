//! What the broker does by itself: loops that call a verb, and know no more than how often.
//!
//! `app` starts them with the server and stops them before its end. A loop may be stopped, or its process killed, at any line: each
//! verb leaves rows from which the next round, here or in another broker, goes on.

mod deliverer;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::webhooks::Webhooks;

/// The running loops. Dropped, they end where they are.
#[derive(Debug)]
pub struct Workers {
    stop: watch::Sender<bool>,
    loops: JoinSet<()>,
}

impl Workers {
    /// Starts every loop on the current runtime.
    pub fn start(webhooks: &Webhooks) -> Workers {
        let (stop, _) = watch::channel(false);
        let mut loops = JoinSet::new();
        for endpoint in webhooks.endpoints() {
            let (webhooks, endpoint) = (webhooks.clone(), endpoint.clone());
            loops.spawn(deliverer::run(webhooks, endpoint, stop.subscribe()));
        }
        Workers { stop, loops }
    }

    /// Ends every loop, and waits until they have ended.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.loops.join_next().await.is_some() {}
    }
}
