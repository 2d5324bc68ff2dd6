//! Confirm: check what arrived, seal it, record its key. Idempotent, safe to repeat, safe to race.

use std::time::{Duration, Instant};

use crate::domain::ids::UploadId;
use crate::domain::principal::Principal;
use crate::domain::upload::{ConfirmedBy, Status, Upload};

use super::access::{self, Act};
use super::{Broker, BrokerError};

/// How long a confirm waits for its turn when too many are at work.
const TURN_WAIT: Duration = Duration::from_secs(2);

impl Broker {
    /// Authorizes the caller, then joins the work in flight for this upload or starts it.
    pub async fn confirm(&self, caller: &Principal, id: UploadId) -> Result<Upload, BrokerError> {
        access::check_scopes(caller, Act::Confirm)?;
        let upload = self.find(id).await?;
        access::check_upload(caller, &upload, Act::Confirm)?;
        if upload.status != Status::Pending {
            return settled(upload);
        }
        let by = access::confirms_as(caller, &upload);
        settled(self.confirm_pending(id, by).await?)
    }

    /// Joins or starts the seal of a pending upload; gives back the upload as it is afterwards.
    async fn confirm_pending(&self, id: UploadId, by: ConfirmedBy) -> Result<Upload, BrokerError> {
        let (broker, permits) = (self.clone(), self.0.flights.permits());
        let work = move || async move {
            let begun = Instant::now();
            let Ok(Ok(_turn)) = tokio::time::timeout(TURN_WAIT, permits.acquire_owned()).await
            else {
                return Err(BrokerError::StoreUnavailable {
                    retry_after_secs: 2,
                });
            };
            // Earlier work may have landed since the caller's look at the row: doing it again would be a copy for nothing.
            let upload = broker.find(id).await?;
            if upload.status != Status::Pending {
                return Ok(upload);
            }
            let answer = broker.seal(upload, by).await;
            broker.0.metrics.confirm_took(begun.elapsed());
            answer
        };
        let answer = self.0.flights.join(id, work).await;
        answer.unwrap_or_else(|cut| Err(BrokerError::cut("confirm", cut)))
    }
}

/// What a confirm answers for an upload that is no longer pending.
fn settled(upload: Upload) -> Result<Upload, BrokerError> {
    let wrong = |detail| {
        Err(BrokerError::WrongStatus {
            now: upload.status,
            detail,
        })
    };
    match upload.status {
        Status::Confirmed | Status::Attached => Ok(upload),
        Status::Rejected => Err(BrokerError::ObjectMismatch(upload.differences)),
        Status::Expired => Err(BrokerError::UploadExpired),
        Status::Pending => Err(BrokerError::ObjectMissing),
        Status::Canceled => wrong("the upload was canceled; create a new one"),
        Status::Detached => wrong("the upload was detached from its record; create a new one"),
        Status::Deleted => wrong("the upload was deleted; create a new one"),
    }
}
