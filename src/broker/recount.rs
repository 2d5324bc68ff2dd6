//! The counters' upkeep: they are compared with the rows, and corrected where something changed rows and not them.

use std::sync::{MutexGuard, PoisonError};

use chrono::TimeDelta;

use crate::db::{RECOUNT, Recounted};
use crate::domain::ids::random_text;

use super::{Broker, BrokerError, now};

impl Broker {
    /// Recounts what owners have pending and how many uploads there are, unless a broker did within the interval; says whether
    /// another round should follow. Reads every upload once, beside what else goes on.
    pub async fn recount(&self, interval_secs: u32) -> Result<bool, BrokerError> {
        let (token, at) = (random_text(&rand::random()), now());
        let until = at + TimeDelta::seconds(i64::from(interval_secs));
        *self.recounting() = Some(token.clone());
        let Some(Recounted { corrected, more }) = self.0.db.recount(&token, at, until).await?
        else {
            return Ok(false);
        };
        if corrected > 0 {
            tracing::info!(
                corrected,
                "counters that differed from their rows are corrected"
            );
        }
        Ok(more)
    }

    /// Leaves a recount that was not finished to the other brokers: for the end of this one. One that was keeps its interval.
    pub async fn release_recount(&self) -> Result<(), BrokerError> {
        let token = self.recounting().take();
        if let Some(token) = token {
            self.0.db.release_lease(RECOUNT, &token).await?;
        }
        Ok(())
    }

    fn recounting(&self) -> MutexGuard<'_, Option<String>> {
        let token = self.0.recounting.lock();
        token.unwrap_or_else(PoisonError::into_inner)
    }
}
