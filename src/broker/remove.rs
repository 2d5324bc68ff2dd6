//! Cancel a pending upload, or delete a confirmed or detached one.

use crate::db::{StatusStep, Transition};
use crate::domain::ids::UploadId;
use crate::domain::principal::{Principal, Scope};
use crate::domain::upload::{Status, Upload};

use super::access::{self, Act};
use super::{Broker, BrokerError};

/// How often a removal looks again when somebody else moved the upload meanwhile; a status has fewer changes than that.
const ROUNDS: usize = 4;

impl Broker {
    /// Afterwards nothing more will come of the upload. The object goes after the row, and a failure there is the sweeper's.
    pub async fn remove(&self, caller: &Principal, id: UploadId) -> Result<(), BrokerError> {
        access::check_scopes(caller, Act::Remove)?;
        let upload = self.find(id).await?;
        access::check_upload(caller, &upload, Act::Remove)?;
        let (broker, may_delete) = (self.clone(), access::check_delete(caller));
        // What owners and backends do is told by the status.
        if caller.has(Scope::Ops) {
            match upload.status {
                Status::Pending => self.note_operator(caller, id, "cancel").await,
                Status::Confirmed | Status::Detached if may_delete.is_ok() => {
                    self.note_operator(caller, id, "delete").await;
                }
                _ => {}
            }
        }
        // Spawned, so that a caller that hangs up doesn't leave the row moved and the object in place.
        let work = self
            .0
            .runtime
            .spawn(async move { broker.remove_visible(upload, may_delete).await });
        work.await
            .unwrap_or_else(|error| Err(BrokerError::cut("removal", error.into())))
    }

    async fn remove_visible(
        &self,
        mut upload: Upload,
        may_delete: Result<(), BrokerError>,
    ) -> Result<(), BrokerError> {
        for _ in 0..ROUNDS {
            let step = match upload.status {
                Status::Pending => StatusStep::Cancel,
                Status::Confirmed | Status::Detached => {
                    may_delete.clone()?;
                    StatusStep::Delete
                }
                Status::Attached => {
                    let detail = "the upload is attached to a record; detach it first";
                    return Err(BrokerError::WrongStatus {
                        now: upload.status,
                        detail,
                    });
                }
                Status::Deleted | Status::Rejected if upload.object_removed_at.is_none() => {
                    // A crash or a lost answer came between the row and its objects.
                    self.remove_objects_soon(upload).await;
                    return Ok(());
                }
                Status::Deleted | Status::Rejected | Status::Expired | Status::Canceled => {
                    return Ok(());
                }
            };
            match self.move_status(&upload, step).await? {
                Transition::Moved(moved) => {
                    self.remove_objects_soon(moved).await;
                    return Ok(());
                }
                Transition::Stale(current) => upload = current,
                Transition::Missing => return Err(BrokerError::UploadNotFound),
            }
        }
        Err(BrokerError::DatabaseUnavailable {
            retry_after_secs: 1,
            cause: "the upload was moved by others each time it was looked at",
        })
    }
}
