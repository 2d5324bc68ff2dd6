//! Single flight: at most one run of the work for an upload at a time. Later callers share the result of the run in flight, which
//! continues even if every caller has gone.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinError;
use tracing::Instrument as _;

use crate::domain::ids::UploadId;

/// Why spawned work has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum Aborted {
    /// It panicked.
    Panicked,
    /// The runtime ended before the work.
    Stopped,
}

impl From<JoinError> for Aborted {
    fn from(error: JoinError) -> Aborted {
        if error.is_panic() {
            Aborted::Panicked
        } else {
            Aborted::Stopped
        }
    }
}

type SharedResult<T> = Shared<BoxFuture<'static, Result<T, Aborted>>>;
type InFlight<T> = Arc<Mutex<HashMap<UploadId, SharedResult<T>>>>;

/// The work in flight, by upload.
pub(in crate::broker) struct SingleFlight<T> {
    in_flight: InFlight<T>,
    permits: Arc<Semaphore>,
    runtime: Handle,
}

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    /// At most `max_permits` pieces of work hold a permit at the same time.
    pub(in crate::broker) fn new(runtime: Handle, max_permits: usize) -> SingleFlight<T> {
        SingleFlight {
            in_flight: InFlight::default(),
            permits: Arc::new(Semaphore::new(max_permits)),
            runtime,
        }
    }

    /// The permits. The work itself acquires one, so that joining never waits for a permit.
    pub(in crate::broker) fn permits(&self) -> Arc<Semaphore> {
        self.permits.clone()
    }

    /// Waits for the upload's work in flight, or starts it. Returns the result, and whether this call started the work.
    pub(in crate::broker) async fn join<F>(
        &self,
        id: UploadId,
        start: impl FnOnce() -> F,
    ) -> (Result<T, Aborted>, bool)
    where
        F: Future<Output = T> + Send + 'static,
    {
        let (result, started) = self.join_or_start(id, start);
        (result.await, started)
    }

    fn join_or_start<F>(&self, id: UploadId, start: impl FnOnce() -> F) -> (SharedResult<T>, bool)
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut in_flight = self
            .in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(result) = in_flight.get(&id) {
            return (result.clone(), false);
        }
        let (work, entries) = (start(), self.in_flight.clone());
        let work = async move {
            // Created inside the future: a closed runtime drops the future at once, while this function holds the lock.
            let _entry = Entry {
                in_flight: entries,
                id,
            };
            work.await
        };
        let task = self.runtime.spawn(work.in_current_span());
        let result = task
            .map(|done| done.map_err(Aborted::from))
            .boxed()
            .shared();
        in_flight.insert(id, result.clone());
        (result, true)
    }
}

/// Removes the work from the map when it ends, is dropped or panics.
struct Entry<T> {
    in_flight: InFlight<T>,
    id: UploadId,
}

impl<T> Drop for Entry<T> {
    fn drop(&mut self) {
        self.in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
    }
}
