//! Work in flight, one piece an upload: who comes second waits for the same answer, and the work outlives who asked first.

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

/// Why work has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// It panicked.
    Panicked,
    /// The broker stops, and its time for that is over.
    Stopped,
}

impl From<JoinError> for Cut {
    fn from(error: JoinError) -> Cut {
        if error.is_panic() {
            Cut::Panicked
        } else {
            Cut::Stopped
        }
    }
}

type Answer<T> = Shared<BoxFuture<'static, Result<T, Cut>>>;
type Board<T> = Arc<Mutex<HashMap<UploadId, Answer<T>>>>;

/// The pieces of work under way.
pub(super) struct SingleFlight<T> {
    board: Board<T>,
    permits: Arc<Semaphore>,
    runtime: Handle,
}

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    /// At most `at_once` pieces of work hold a permit at the same time.
    pub(super) fn new(runtime: Handle, at_once: usize) -> SingleFlight<T> {
        SingleFlight {
            board: Board::default(),
            permits: Arc::new(Semaphore::new(at_once)),
            runtime,
        }
    }

    /// The permits that the work itself takes, so that joining never waits for one.
    pub(super) fn permits(&self) -> Arc<Semaphore> {
        self.permits.clone()
    }

    /// Waits for the upload's work, starting it where none is under way; tells whether it was this call that started it.
    pub(super) async fn join<F>(
        &self,
        id: UploadId,
        start: impl FnOnce() -> F,
    ) -> (Result<T, Cut>, bool)
    where
        F: Future<Output = T> + Send + 'static,
    {
        let (answer, started) = self.enter(id, start);
        (answer.await, started)
    }

    fn enter<F>(&self, id: UploadId, start: impl FnOnce() -> F) -> (Answer<T>, bool)
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = board.get(&id) {
            return (answer.clone(), false);
        }
        let (work, own_board) = (start(), self.board.clone());
        let flight = async move {
            // Made here and not outside: a runtime that is closed drops what it is given at once, under our own lock.
            let _landing = Landing {
                board: own_board,
                id,
            };
            work.await
        };
        let task = self.runtime.spawn(flight.in_current_span());
        let answer = task.map(|done| done.map_err(Cut::from)).boxed().shared();
        board.insert(id, answer.clone());
        (answer, true)
    }
}

/// Takes the work off the board when it ends, by whatever way.
struct Landing<T> {
    board: Board<T>,
    id: UploadId,
}

impl<T> Drop for Landing<T> {
    fn drop(&mut self) {
        self.board
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
    }
}
