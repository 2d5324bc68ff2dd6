//! A gate in the path of one request: a test sees it arrive, does something else, and lets it go on. The fault proxies
//! wait in it; stories that need an exact interleaving own one.

use std::time::Duration;

use tokio::sync::watch;

/// How long a test waits for a request to arrive before it fails, seconds.
const ARRIVAL_LIMIT_SECS: u64 = 30;

/// A gate that is closed until [`Hold::release`]. Clones are the same gate.
#[derive(Clone)]
pub struct Hold {
    arrived: watch::Sender<usize>,
    released: watch::Sender<bool>,
}

impl Hold {
    /// A closed gate.
    pub fn new() -> Hold {
        Hold {
            arrived: watch::Sender::new(0),
            released: watch::Sender::new(false),
        }
    }

    /// Waits until somebody stands in the gate. Fails the test after 30 s.
    pub async fn arrived(&self) {
        let mut arrived = self.arrived.subscribe();
        let limit = Duration::from_secs(ARRIVAL_LIMIT_SECS);
        tokio::time::timeout(limit, arrived.wait_for(|count| *count > 0))
            .await
            .expect("nothing arrived at the gate")
            .expect("the gate itself holds the sender");
    }

    /// How many have come to the gate so far.
    pub fn arrivals(&self) -> usize {
        *self.arrived.borrow()
    }

    /// Opens the gate for those who wait and for all who come later.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    /// Stands in the gate until it is opened.
    pub async fn pass(&self) {
        self.arrived.send_modify(|count| *count += 1);
        let mut released = self.released.subscribe();
        // The sender lives in `self`, so this ends by the release only.
        let _ = released.wait_for(|open| *open).await;
    }
}
