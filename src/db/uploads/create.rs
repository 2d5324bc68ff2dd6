//! Creating an upload: within its owner's quota, counted against its grant where it has one, and once for each idempotency key.
//!
//! The rows of all that may be made go into the database by the hundred in one statement ([`super::insert`]); what may keep one from
//! being made is asked before, for each by itself but for the quotas, so that a refused one is in nobody's way.

use chrono::{DateTime, Utc};

use super::insert::insert_new;
use super::row::UploadRow;
use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::queue::{BulkInsert, Write};
use crate::db::requests::grants::{self, NoUse};
use crate::db::requests::idempotency::{self, Claimed, IdempotencyClaim};
use crate::db::uploads::counter_deltas::{CounterDeltas, OverQuota};
use crate::db::uploads::find::{NewUpload, find_own, find_row};
use crate::domain::ids::{GrantId, UploadId};
use crate::domain::upload::Upload;

/// What became of an upload to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Creation {
    /// It is there, pending.
    Created(Upload),
    /// Its owner has too much pending.
    OverQuota(OverQuota),
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
    /// Commits a pending upload if its owner has room for it, if its grant, where it has one, has a use left, and if no request
    /// with the same key has succeeded before. All of it, or nothing, in one transaction. The same upload again is the same
    /// upload; an id that another request has taken is [`DbError::Internal`].
    pub fn create(
        &self,
        new: NewUpload,
        claim: Option<IdempotencyClaim>,
    ) -> impl Future<Output = Result<Creation, DbError>> {
        // Not an async function, and in a box: what its future held would be a part of every request under way.
        let upload = Box::new(new.into_upload());
        let made = UploadRow::of_pending(&upload).map(|row| {
            self.queue.submit(CreateOnce {
                id: upload.id,
                row,
                grant: upload.grant,
                at: upload.created_at,
                claim,
            })
        });
        async move {
            Ok(match made?.await? {
                Made::AsAsked => Creation::Created(*upload),
                Made::Otherwise(creation) => *creation,
            })
        }
    }
}

/// What the writer answers; the caller has the upload that it asked for.
enum Made {
    AsAsked,
    Otherwise(Box<Creation>),
}

struct CreateOnce {
    id: UploadId,
    row: UploadRow,
    grant: Option<GrantId>,
    at: DateTime<Utc>,
    claim: Option<IdempotencyClaim>,
}

impl Write for CreateOnce {
    type Answer = Made;

    fn upload(&self) -> UploadId {
        self.id
    }

    fn contends_for(&self) -> Option<String> {
        let grant = self.grant.map(|grant| format!("grant\0{grant}"));
        grant.or_else(|| self.claim.as_ref().map(IdempotencyClaim::contends_for))
    }

    fn making(&self) -> Option<&dyn BulkInsert<Answer = Made>> {
        Some(self)
    }

    /// By itself, after a batch that failed.
    fn write(&self, conn: &mut AnyConnection, books: &mut CounterDeltas) -> Result<Made, Failure> {
        // The id is there: by this very request, when the answer to its commit was lost.
        if let Some(own) = find_own(conn, &self.row)? {
            return Ok(Made::Otherwise(Box::new(Creation::Created(own))));
        }
        if let Some(known) = self.before(conn)? {
            return Ok(known);
        }
        let verdicts = books.reserve(conn, &[&self.row])?;
        if let Some(over) = verdicts.into_iter().flatten().next() {
            return self.refuse(conn, over);
        }
        insert_new(conn, &[&self.row])?;
        books.created(&self.row);
        Ok(self.made())
    }
}

impl BulkInsert for CreateOnce {
    type Answer = Made;

    fn row(&self) -> &UploadRow {
        &self.row
    }

    /// The grant before the key, and both before the upload: two brokers come to the same locks in the same order.
    fn before(&self, conn: &mut AnyConnection) -> Result<Option<Made>, Failure> {
        if let Some(claim) = &self.claim {
            let seen = idempotency::look(conn, claim)?;
            if let Some(known) = known(conn, seen)? {
                return Ok(Some(Made::Otherwise(Box::new(known))));
            }
        }
        if let Some(grant) = self.grant {
            match grants::count_use(conn, grant, self.at)? {
                Ok(()) => {}
                Err(NoUse::UsedUp(until)) => {
                    return Ok(Some(Made::Otherwise(Box::new(Creation::UsedUp(until)))));
                }
                Err(NoUse::Over) => {
                    return Ok(Some(Made::Otherwise(Box::new(Creation::GrantOver))));
                }
            }
        }
        if let Some(claim) = &self.claim {
            let claimed = idempotency::claim(conn, claim)?;
            if let Some(known) = known(conn, claimed)? {
                // Another broker was faster by a moment.
                if let Some(grant) = self.grant {
                    grants::uncount_use(conn, grant)?;
                }
                return Ok(Some(Made::Otherwise(Box::new(known))));
            }
        }
        Ok(None)
    }

    fn made(&self) -> Made {
        Made::AsAsked
    }

    /// Only successes are kept: neither the grant nor the key remembers it.
    fn refuse(&self, conn: &mut AnyConnection, over: OverQuota) -> Result<Made, Failure> {
        if let Some(grant) = self.grant {
            grants::uncount_use(conn, grant)?;
        }
        if let Some(claim) = &self.claim {
            idempotency::unclaim(conn, claim)?;
        }
        Ok(Made::Otherwise(Box::new(Creation::OverQuota(over))))
    }
}

/// What a request with the same key came to; `None` where there was none.
fn known(conn: &mut AnyConnection, claimed: Claimed) -> Result<Option<Creation>, Failure> {
    Ok(match claimed {
        Claimed::Fresh => None,
        Claimed::OtherBody => Some(Creation::OtherBody),
        Claimed::Repeat(id) => {
            let lost = || DbError::Internal(format!("the repeated upload {id} is gone"));
            let row = find_row(conn, &id)?.ok_or_else(lost)?;
            Some(Creation::Repeated(row.into_upload()?))
        }
    })
}
