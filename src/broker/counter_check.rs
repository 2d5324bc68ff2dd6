//! The check of the counters, for `bytepass fsck --counters`.

use crate::db::CounterCheck;
use crate::domain::ids::random_text;

use super::{Broker, BrokerError, now};

impl Broker {
    /// Compares the counters with the rows; running brokers are not disturbed. With `fix`, also corrects those that differ; `None`
    /// while another process corrects them.
    pub async fn check_counters(&self, fix: bool) -> Result<Option<CounterCheck>, BrokerError> {
        if !fix {
            return Ok(Some(self.0.db.check_counters().await?));
        }
        let token = random_text(&rand::random());
        Ok(self.0.db.correct_counters(&token, now()).await?)
    }
}
