//! Reads: a pool of read-only connections, a permit for each of them, and a deadline for every caller.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::r2d2::{NopErrorHandler, Pool};
use tokio::sync::Semaphore;
use tracing::Instrument as _;

use super::connection::{AnyConnection, Connector, is_alive};
use crate::db::engine::error::{DbError, Failure};
use crate::telemetry::traces;

/// The pool. It uses at most as many blocking threads as connections.
#[derive(Clone)]
pub(in crate::db) struct Readers {
    pool: Pool<Connector>,
    permits: Arc<Semaphore>,
    wait: Duration,
}

impl Readers {
    /// A pool that connects on demand.
    pub(in crate::db) fn new(connector: Connector, size: u32, wait: Duration) -> Readers {
        let size = size.max(1);
        let pool = Pool::builder()
            .max_size(size)
            .min_idle(Some(1))
            // It also limits r2d2's backoff to half of it: the pool recovers within a second of the database.
            .connection_timeout(Duration::from_secs(1))
            // A read that gets a dead connection takes another one: this saves a round trip for each read.
            .test_on_check_out(false)
            .error_handler(Box::new(NopErrorHandler))
            .build_unchecked(connector);
        let permits = Arc::new(Semaphore::new(size as usize));
        Readers {
            pool,
            permits,
            wait,
        }
    }

    /// Runs a query. It runs again on another connection if the first is dead.
    pub(in crate::db) async fn read<T: Send + 'static>(
        &self,
        query: impl Fn(&mut AnyConnection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, DbError> {
        let answer = self.answer(query);
        answer.instrument(traces::database("read")).await
    }

    async fn answer<T: Send + 'static>(
        &self,
        query: impl Fn(&mut AnyConnection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, DbError> {
        let deadline = Instant::now() + self.wait;
        let permit = tokio::time::timeout(self.wait, self.permits.clone().acquire_owned());
        let Ok(Ok(permit)) = permit.await else {
            return Err(DbError::Busy);
        };
        let pool = self.pool.clone();
        let task = tokio::task::spawn_blocking(move || {
            // Held by the thread, not the caller: a slow query keeps its permit as long as its connection.
            let _permit = permit;
            on_thread(&pool, deadline, &query)
        });
        match tokio::time::timeout_at(deadline.into(), task).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(DbError::Internal("a query panicked".to_owned())),
            Err(_) => Err(DbError::Busy),
        }
    }
}

fn on_thread<T>(
    pool: &Pool<Connector>,
    deadline: Instant,
    query: &dyn Fn(&mut AnyConnection) -> Result<T, Failure>,
) -> Result<T, DbError> {
    // After a restart of the database every pooled connection may be dead; the next one is new.
    for _ in 0..=pool.max_size() {
        // Ends shortly before the deadline of the caller, so that the caller gets the reason.
        let left = deadline.saturating_duration_since(Instant::now() + Duration::from_millis(100));
        let mut link = pool.get_timeout(left).map_err(|error| {
            tracing::warn!(%error, "no connection for a read");
            DbError::Unavailable
        })?;
        let failure = match query(&mut link.conn) {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        if matches!(failure, Failure::Refused(_)) || is_alive(&mut link.conn) {
            return Err(failure.db_error());
        }
        link.broken = true;
    }
    Err(DbError::Unavailable)
}
