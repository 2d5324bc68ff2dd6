//! What operations do to one upload by hand: look at it again, or give it up. Nothing here knows more than the sweeper does; it
//! only need not wait for the deadline.

use crate::db::{Change, StatusStep, Transition};
use crate::domain::ids::UploadId;
use crate::domain::principal::Principal;
use crate::domain::upload::{ConfirmedBy, Status, Upload};

use super::access::{self, Act};
use super::{Broker, BrokerError, now};

impl Broker {
    /// The same confirm as everybody's, on behalf of the sweeper: the upload as it is afterwards, pending still if nothing is there.
    pub async fn recheck(&self, caller: &Principal, id: UploadId) -> Result<Upload, BrokerError> {
        let upload = self.operated(caller, id).await?;
        if upload.status != Status::Pending {
            return Ok(upload);
        }
        self.join_confirm(id, ConfirmedBy::Sweeper).await
    }

    /// Gives a pending upload up before its deadline, unless it has arrived: what is there is confirmed or rejected, and only what
    /// the bucket says is absent expires. In another status it stays as it is.
    pub async fn expire(&self, caller: &Principal, id: UploadId) -> Result<Upload, BrokerError> {
        let upload = self.recheck(caller, id).await?;
        if upload.status != Status::Pending {
            return Ok(upload);
        }
        match self.expire_absent(&upload).await? {
            Transition::Moved(moved) => Ok(moved),
            Transition::Stale(current) => Ok(current),
            Transition::Missing => Err(BrokerError::UploadNotFound),
        }
    }

    /// The row's end, for an upload that the bucket has just said nothing of.
    pub(super) async fn expire_absent(&self, upload: &Upload) -> Result<Transition, BrokerError> {
        let change = Change {
            upload: upload.id,
            step: StatusStep::Expire,
            at: now(),
        };
        let transition = self.0.db.move_status(change).await?;
        if let Transition::Moved(moved) = &transition {
            self.count(moved, Status::Pending, ConfirmedBy::Sweeper.as_str());
        }
        Ok(transition)
    }

    async fn operated(&self, caller: &Principal, id: UploadId) -> Result<Upload, BrokerError> {
        access::check_scopes(caller, Act::Operate)?;
        let upload = self.find(id).await?;
        access::check_upload(caller, &upload, Act::Operate)?;
        Ok(upload)
    }
}
