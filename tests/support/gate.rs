//! A gate in the path of one request: a test waits until the request arrives, does something else, and opens the gate. The fault
//! proxies hold requests in it.

use std::time::Duration;

use tokio::sync::watch;

/// The time limit for the arrival of a request, in seconds.
const ARRIVAL_LIMIT_SECS: u64 = 30;

/// A gate that is closed until [`RequestGate::release`]. Clones are the same gate.
#[derive(Clone)]
pub struct RequestGate {
    arrived: watch::Sender<usize>,
    released: watch::Sender<bool>,
}

impl RequestGate {
    /// A closed gate.
    pub fn new() -> RequestGate {
        RequestGate {
            arrived: watch::Sender::new(0),
            released: watch::Sender::new(false),
        }
    }

    /// Waits until a request is in the gate. Fails the test after 30 s.
    pub async fn arrived(&self) {
        let mut arrived = self.arrived.subscribe();
        let limit = Duration::from_secs(ARRIVAL_LIMIT_SECS);
        tokio::time::timeout(limit, arrived.wait_for(|count| *count > 0))
            .await
            .expect("nothing arrived at the gate")
            .expect("the gate itself holds the sender");
    }

    /// The number of requests that reached the gate so far.
    pub fn arrivals(&self) -> usize {
        *self.arrived.borrow()
    }

    /// Opens the gate for waiting and later requests.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    /// Waits in the gate until it is opened.
    pub async fn pass(&self) {
        self.arrived.send_modify(|count| *count += 1);
        let mut released = self.released.subscribe();
        // The sender lives in `self`, so this ends by the release only.
        let _ = released.wait_for(|open| *open).await;
    }
}
