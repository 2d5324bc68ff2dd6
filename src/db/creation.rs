//! Creating an upload that has to be counted against a grant, or that a key may have made before.
//!
//! Beside [`super::uploads`], whose rows go into the database by the hundred in one statement: this kind is written one by one,
//! because each may turn out to be refused.

use chrono::{DateTime, Utc};

use super::Db;
use super::connection::AnyConnection;
use super::grants::{self, NoUse};
use super::idempotency::{self, Claimed, IdempotencyClaim};
use super::insert::insert_new;
use super::queue::Write;
use super::row::UploadRow;
use super::trouble::{DbTrouble, Failure};
use super::uploads::{NewUpload, find_row};
use crate::domain::ids::{GrantId, UploadId};
use crate::domain::upload::Upload;

/// What became of an upload to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Creation {
    /// It is there, pending.
    Created(Upload),
    /// The same request made this one before; as it is now.
    Repeated(Upload),
    /// Another request succeeded with the same idempotency key.
    OtherBody,
    /// The grant's uploads were all made; it ends then.
    UsedUp(DateTime<Utc>),
    /// The grant has ended, or was withdrawn.
    GrantOver,
}

impl Db {
    /// Commits a pending upload if its grant, where it has one, has a use left, and if no request with the same key has
    /// succeeded before. All of it, or nothing, in one transaction.
    pub async fn create_once(
        &self,
        new: NewUpload,
        claim: Option<IdempotencyClaim>,
    ) -> Result<Creation, DbTrouble> {
        let upload = new.into_upload();
        let create = CreateOnce {
            id: upload.id,
            row: UploadRow::of_pending(&upload)?,
            grant: upload.grant,
            at: upload.created_at,
            claim,
        };
        self.queue.submit(create).await
    }
}

struct CreateOnce {
    id: UploadId,
    row: UploadRow,
    grant: Option<GrantId>,
    at: DateTime<Utc>,
    claim: Option<IdempotencyClaim>,
}

impl Write for CreateOnce {
    type Answer = Creation;

    fn upload(&self) -> UploadId {
        self.id
    }

    fn contends_for(&self) -> Option<String> {
        let grant = self.grant.map(|grant| format!("grant\0{grant}"));
        grant.or_else(|| self.claim.as_ref().map(IdempotencyClaim::contends_for))
    }

    /// The grant before the key, and both before the upload: two brokers come to the same locks in the same order.
    fn write(&self, conn: &mut AnyConnection) -> Result<Creation, Failure> {
        if let Some(row) = find_row(conn, &self.row.id)? {
            return self.own(row);
        }
        if let Some(claim) = &self.claim {
            let seen = idempotency::look(conn, claim)?;
            if let Some(known) = known(conn, seen)? {
                return Ok(known);
            }
        }
        if let Some(grant) = self.grant {
            match grants::count_use(conn, grant, self.at)? {
                Ok(()) => {}
                Err(NoUse::UsedUp(until)) => return Ok(Creation::UsedUp(until)),
                Err(NoUse::Over) => return Ok(Creation::GrantOver),
            }
        }
        if let Some(claim) = &self.claim {
            let claimed = idempotency::claim(conn, claim)?;
            if let Some(known) = known(conn, claimed)? {
                // Another broker was faster by a moment.
                if let Some(grant) = self.grant {
                    grants::uncount_use(conn, grant)?;
                }
                return Ok(known);
            }
        }
        insert_new(conn, &[&self.row])?;
        Ok(Creation::Created(self.row.clone().into_upload()?))
    }
}

impl CreateOnce {
    /// The id is there: by this very request, when the answer to its commit was lost, or by another.
    fn own(&self, row: UploadRow) -> Result<Creation, Failure> {
        if row.same_request(&self.row) {
            return Ok(Creation::Created(row.into_upload()?));
        }
        let why = format!("the id {} is taken by another request", self.row.id);
        Err(Failure::Refused(DbTrouble::Internal(why)))
    }
}

/// What a request with the same key came to; `None` where there was none.
fn known(conn: &mut AnyConnection, claimed: Claimed) -> Result<Option<Creation>, Failure> {
    Ok(match claimed {
        Claimed::Fresh => None,
        Claimed::OtherBody => Some(Creation::OtherBody),
        Claimed::Repeat(id) => {
            let lost = || DbTrouble::Internal(format!("the repeated upload {id} is gone"));
            let row = find_row(conn, &id)?.ok_or_else(lost)?;
            Some(Creation::Repeated(row.into_upload()?))
        }
    })
}
