//! Creating an upload: within its owner's quota, counted against its grant if it has one, and once for each idempotency key.
//!
//! The rows of a batch are inserted in one statement ([`crate::db::writer::insert`]). Grants and keys are checked before, for each
//! upload by itself, and quotas for all together, so that a refused upload doesn't hold up the others.

use chrono::{DateTime, Utc};

use super::issued::{Committed, Issued};
use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::row::{UploadRow, find_own, find_row, whole_micros};
use crate::db::requests::grants::{self, NoUse};
use crate::db::requests::idempotency::{self, Claimed, IdempotencyClaim};
use crate::db::writer::counter_deltas::{CounterDeltas, OverQuota};
use crate::db::writer::insert::insert_new;
use crate::db::writer::queue::{BulkInsert, Write};
use crate::domain::attachment::ObjectId;
use crate::domain::ids::{GrantId, UploadId};
use crate::domain::upload::{Status, Upload};
use crate::policy::evidence::Admitted;

/// An upload to be created.
#[derive(Debug, Clone)]
pub struct NewUpload {
    /// Its new id.
    pub id: UploadId,
    /// Its owner.
    pub owner: String,
    /// Its bucket.
    pub bucket: String,
    /// The record that it is meant for.
    pub object_id: Option<ObjectId>,
    /// Whether a confirm attaches it to that record.
    pub attach_at_confirm: bool,
    /// The grant that it is counted against.
    pub grant: Option<GrantId>,
    /// Now.
    pub created_at: DateTime<Utc>,
    /// Its own deadline.
    pub expires_at: DateTime<Utc>,
    /// The declaration that its field's policy accepted.
    pub admitted: Admitted,
}

impl NewUpload {
    pub(in crate::db) fn into_upload(self) -> Upload {
        Upload {
            id: self.id,
            status: Status::Pending,
            version: 0,
            field: self.admitted.policy().name.clone(),
            owner: self.owner,
            object_id: self.object_id,
            attach_at_confirm: self.attach_at_confirm,
            grant: self.grant,
            bucket: self.bucket,
            filename: self.admitted.filename().clone(),
            content_type: self.admitted.content_type(),
            size: self.admitted.size(),
            checksum: self.admitted.checksum().cloned(),
            created_at: whole_micros(self.created_at),
            expires_at: whole_micros(self.expires_at),
            url_lifetime_secs: self.admitted.policy().url_lifetime_secs,
            confirmation: None,
            errors: Vec::new(),
            attached_at: None,
            detached_at: None,
            remove_after: None,
            object_removed_at: None,
        }
    }
}

/// Why no upload was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotCreated {
    /// The upload would exceed the owner's quota.
    OverQuota(OverQuota),
    /// The same request created this upload before; as it is now.
    Repeated(Box<Committed>),
    /// Another request succeeded with the same idempotency key.
    OtherBody,
    /// All uploads of the grant were created; the grant ends at this time.
    UsedUp(DateTime<Utc>),
    /// The grant has ended, or its row was removed.
    GrantOver,
}

/// What a create comes to.
pub type Created = Result<Issued, NotCreated>;

/// The writer's answer. The caller keeps the upload, so it doesn't travel back.
type Answer = Result<(), Box<NotCreated>>;

impl Db {
    /// Commits a pending upload if its owner's quota allows it, its grant (if any) has a use left, and no request with the same
    /// key has succeeded before: all of it in one transaction, or nothing. Creating the same upload again returns the same
    /// upload; an id that another request has taken is [`DbError::Internal`].
    pub fn create(
        &self,
        new: NewUpload,
        claim: Option<IdempotencyClaim>,
    ) -> impl Future<Output = Result<Created, DbError>> {
        // Not an async function, and boxed: an async function's future would hold the upload inline, in every pending request.
        let upload = Box::new(new.into_upload());
        let answer = UploadRow::of_pending(&upload).map(|row| {
            self.queue.submit(CreateOnce {
                id: upload.id,
                row,
                grant: upload.grant,
                at: upload.created_at,
                claim,
            })
        });
        async move {
            Ok(match answer?.await? {
                Ok(()) => Ok(Issued::committed(*upload)),
                Err(reason) => Err(*reason),
            })
        }
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
    type Answer = Answer;

    fn upload(&self) -> UploadId {
        self.id
    }

    fn contends_for(&self) -> Option<String> {
        let grant = self.grant.map(|grant| format!("grant\0{grant}"));
        grant.or_else(|| self.claim.as_ref().map(IdempotencyClaim::contends_for))
    }

    fn bulk_insert(&self) -> Option<&dyn BulkInsert<Answer = Answer>> {
        Some(self)
    }

    /// On its own, after a batch that failed.
    fn write(
        &self,
        conn: &mut AnyConnection,
        deltas: &mut CounterDeltas,
    ) -> Result<Answer, Failure> {
        // This request's own row, from a commit whose answer was lost.
        if let Some(own) = find_own(conn, &self.row)? {
            return Ok(match own.status {
                Status::Pending => Ok(()),
                _ => Err(Box::new(NotCreated::Repeated(Box::new(Committed::new(
                    own,
                ))))),
            });
        }
        if let Some(refused) = self.before(conn)? {
            return Ok(refused);
        }
        let verdicts = deltas.reserve(conn, &[&self.row])?;
        if let Some(over) = verdicts.into_iter().flatten().next() {
            return self.refuse(conn, over);
        }
        insert_new(conn, &[&self.row])?;
        deltas.created(&self.row);
        Ok(BulkInsert::inserted(self))
    }
}

impl BulkInsert for CreateOnce {
    type Answer = Answer;

    fn row(&self) -> &UploadRow {
        &self.row
    }

    /// The grant before the key, and both before the upload, so that two brokers take the same locks in the same order.
    fn before(&self, conn: &mut AnyConnection) -> Result<Option<Answer>, Failure> {
        if let Some(claim) = &self.claim {
            let seen = idempotency::look(conn, claim)?;
            if let Some(known) = known(conn, seen)? {
                return Ok(Some(Err(Box::new(known))));
            }
        }
        if let Some(grant) = self.grant {
            match grants::count_use(conn, grant, self.at)? {
                Ok(()) => {}
                Err(NoUse::UsedUp(until)) => {
                    return Ok(Some(Err(Box::new(NotCreated::UsedUp(until)))));
                }
                Err(NoUse::Over) => {
                    return Ok(Some(Err(Box::new(NotCreated::GrantOver))));
                }
            }
        }
        if let Some(claim) = &self.claim {
            let claimed = idempotency::claim(conn, claim)?;
            if let Some(known) = known(conn, claimed)? {
                // Another broker claimed the key in between.
                if let Some(grant) = self.grant {
                    grants::uncount_use(conn, grant)?;
                }
                return Ok(Some(Err(Box::new(known))));
            }
        }
        Ok(None)
    }

    fn inserted(&self) -> Answer {
        Ok(())
    }

    /// Takes back the use of the grant and the claim of the key: only a success keeps them.
    fn refuse(&self, conn: &mut AnyConnection, over: OverQuota) -> Result<Answer, Failure> {
        if let Some(grant) = self.grant {
            grants::uncount_use(conn, grant)?;
        }
        if let Some(claim) = &self.claim {
            idempotency::unclaim(conn, claim)?;
        }
        Ok(Err(Box::new(NotCreated::OverQuota(over))))
    }
}

/// The result of an earlier request with the same key; `None` where there was none.
fn known(conn: &mut AnyConnection, claimed: Claimed) -> Result<Option<NotCreated>, Failure> {
    Ok(match claimed {
        Claimed::Fresh => None,
        Claimed::OtherBody => Some(NotCreated::OtherBody),
        Claimed::Repeat(id) => {
            let lost = || DbError::Internal(format!("the repeated upload {id} is gone"));
            let row = find_row(conn, &id)?.ok_or_else(lost)?;
            Some(NotCreated::Repeated(Box::new(Committed::new(
                row.into_upload()?,
            ))))
        }
    })
}
