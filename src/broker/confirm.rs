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
        if upload.status != Status::Pending && !has_pending_removal(&upload) {
            return settled(upload);
        }
        let by = access::confirms_as(caller, &upload);
        settled(self.join_confirm(id, by).await?)
    }

    /// Joins or starts the work of a confirm; gives back the upload as it is afterwards.
    pub(super) async fn join_confirm(
        &self,
        id: UploadId,
        by: ConfirmedBy,
    ) -> Result<Upload, BrokerError> {
        let mut joined_before = false;
        loop {
            let broker = self.clone();
            let work = move || async move { broker.confirm_in_turn(id, by).await };
            let (answer, started) = self.0.confirms.join(id, work).await;
            let upload = answer.unwrap_or_else(|cut| Err(BrokerError::cut("confirm", cut)))?;
            // Work that began before this caller's PUT was done may have missed it: that is no answer to this caller. What it joins
            // after that began later, whoever started it; if each started its own, many of them would be one copy after the other.
            if started || joined_before || upload.status != Status::Pending {
                return Ok(upload);
            }
            joined_before = true;
        }
    }

    /// The work itself, when it is its turn.
    async fn confirm_in_turn(&self, id: UploadId, by: ConfirmedBy) -> Result<Upload, BrokerError> {
        let turn = self.0.confirms.permits().acquire_owned();
        let Ok(Ok(_turn)) = tokio::time::timeout(TURN_WAIT, turn).await else {
            return Err(BrokerError::bucket("too many confirms at once"));
        };
        // Earlier work may have landed since the caller's look at the row: doing it again would be a copy for nothing.
        let upload = self.find(id).await?;
        if upload.status == Status::Pending {
            let begun = Instant::now();
            let answer = self.seal(upload, by).await;
            self.0.metrics.confirm_took(begun.elapsed());
            return answer;
        }
        if has_pending_removal(&upload) {
            self.remove_objects_soon(upload.clone()).await;
        }
        Ok(upload)
    }
}

/// Whether a crash or a lost answer came between a rejection and the removal of its objects.
fn has_pending_removal(upload: &Upload) -> bool {
    upload.status == Status::Rejected && upload.object_removed_at.is_none()
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
        Status::Rejected => Err(BrokerError::ObjectMismatch(upload.errors)),
        Status::Expired => Err(BrokerError::UploadExpired),
        Status::Pending => Err(BrokerError::ObjectMissing),
        Status::Canceled => wrong("the upload was canceled; create a new one"),
        Status::Detached => wrong("the upload was detached from its record; create a new one"),
        Status::Deleted => wrong("the upload was deleted; create a new one"),
    }
}
