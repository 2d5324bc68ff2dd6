//! Confirm: check the uploaded object, seal it, record its key. Idempotent, and safe to repeat and to run concurrently.

pub(super) mod bucket_notifications;
mod seal;
pub(super) mod single_flight;

use std::time::{Duration, Instant};

use crate::domain::ids::UploadId;
use crate::domain::principal::Principal;
use crate::domain::upload::{ConfirmedBy, Status, Upload};

use super::access::{self, Action};
use super::{Broker, BrokerError};

/// How long a confirm waits for a permit when the limit of concurrent confirms is reached.
const PERMIT_WAIT: Duration = Duration::from_secs(2);

impl Broker {
    /// Confirms an upload: joins the confirm that is in flight for it, or starts one.
    pub async fn confirm(&self, caller: &Principal, id: UploadId) -> Result<Upload, BrokerError> {
        access::check_scopes(caller, Action::Confirm)?;
        let upload = self.find(id).await?;
        access::check_upload(caller, &upload, Action::Confirm)?;
        if upload.status != Status::Pending && !has_pending_removal(&upload) {
            return result_of(upload);
        }
        let by = access::confirms_as(caller, &upload);
        result_of(self.join_confirm(id, by).await?)
    }

    /// Joins the confirm in flight or starts one; returns the upload as it is afterwards.
    pub(super) async fn join_confirm(
        &self,
        id: UploadId,
        by: ConfirmedBy,
    ) -> Result<Upload, BrokerError> {
        let mut joined_before = false;
        loop {
            let broker = self.clone();
            let work = move || async move { broker.confirm_with_permit(id, by).await };
            let (result, started) = self.0.confirms.join(id, work).await;
            let upload =
                result.unwrap_or_else(|aborted| Err(BrokerError::aborted("confirm", aborted)))?;
            // A confirm that began before this caller's PUT ended may have missed the object, so its result doesn't count for
            // this caller. The next one to join began later; if each caller started its own, many callers
            // would cause one copy after the other.
            if started || joined_before || upload.status != Status::Pending {
                return Ok(upload);
            }
            joined_before = true;
        }
    }

    async fn confirm_with_permit(
        &self,
        id: UploadId,
        by: ConfirmedBy,
    ) -> Result<Upload, BrokerError> {
        let permit = self.0.confirms.permits().acquire_owned();
        let Ok(Ok(_permit)) = tokio::time::timeout(PERMIT_WAIT, permit).await else {
            return Err(BrokerError::bucket("too many confirms at once"));
        };
        // Read again: an earlier confirm may have ended since the caller read the row, and another copy would be wasted.
        let upload = self.find(id).await?;
        if upload.status == Status::Pending {
            let started = Instant::now();
            let result = self.seal(upload, by).await;
            self.0.metrics.confirm_took(started.elapsed());
            return result;
        }
        if has_pending_removal(&upload) {
            self.remove_objects_soon(upload.clone()).await;
        }
        Ok(upload)
    }
}

/// Whether an earlier confirm ended between the rejection and the removal of the objects.
fn has_pending_removal(upload: &Upload) -> bool {
    upload.status == Status::Rejected && upload.object_removed_at.is_none()
}

/// The result of a confirm that left the upload in its current status.
fn result_of(upload: Upload) -> Result<Upload, BrokerError> {
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
