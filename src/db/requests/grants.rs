//! Grants: minting, counting uses, deleting old ones.
//!
//! A use is counted by one update that requires that one is left, in the transaction of its upload. So the maximum holds within a batch
//! and across brokers.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use diesel::prelude::*;

use super::idempotency::{self, Claimed, IdempotencyClaim};
use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::row::column_time;
use crate::db::engine::schema::grants;
use crate::db::writer::counter_deltas::CounterDeltas;
use crate::db::writer::queue::Write;
use crate::domain::attachment::ObjectId;
use crate::domain::field::FieldName;
use crate::domain::grant::Grant;
use crate::domain::ids::{GrantId, UploadId};

/// How long a grant's row is kept after its end, in days: it names the minter, which operators need to trace its uploads.
const KEPT_DAYS: i64 = 30;

/// A grant to be minted.
#[derive(Debug, Clone)]
pub struct NewGrant {
    /// The grant, unused.
    pub grant: Grant,
    /// The configured name of the minter's issuer.
    pub issuer: String,
    /// The minter's subject.
    pub subject: String,
    /// The request's idempotency key, if it has one.
    pub claim: Option<IdempotencyClaim>,
}

/// The result of minting a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Minted {
    /// The new grant, or the one of an earlier identical request.
    Grant(Grant),
    /// Another request succeeded with the same idempotency key.
    OtherBody,
}

/// Why a grant allows no further upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::db) enum NoUse {
    /// All its uploads were created; it ends at this time.
    UsedUp(DateTime<Utc>),
    /// It has ended, or its row was removed to withdraw it.
    Over,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = grants, treat_none_as_default_value = false)]
struct GrantRow {
    id: String,
    field: String,
    owner: String,
    object_id: Option<String>,
    max_uploads: i32,
    max_size: i64,
    used: i32,
    issuer: String,
    subject: String,
    created_at: NaiveDateTime,
    expires_at: NaiveDateTime,
}

impl Db {
    /// Commits a grant. A repeated request returns the same grant.
    pub async fn mint_grant(&self, new: NewGrant) -> Result<Minted, DbError> {
        let row = GrantRow::of(&new)?;
        let claim = new.claim;
        self.queue.submit(Mint { row, claim }).await
    }

    /// A grant by its id, also one that has ended.
    pub async fn find_grant(&self, id: GrantId) -> Result<Option<Grant>, DbError> {
        let id = id.to_string();
        let query = move |conn: &mut AnyConnection| find(conn, &id);
        self.readers.read(query).await
    }

    /// Deletes expired idempotency keys and old grants, at most `limit` of each, and returns how many.
    pub async fn prune(&self, now: DateTime<Utc>, limit: u32) -> Result<usize, DbError> {
        self.queue.submit(Prune { now, limit }).await
    }
}

struct Mint {
    row: GrantRow,
    claim: Option<IdempotencyClaim>,
}

impl Write for Mint {
    type Answer = Minted;

    fn upload(&self) -> UploadId {
        UploadId::NONE
    }

    fn contends_for(&self) -> Option<String> {
        self.claim.as_ref().map(IdempotencyClaim::contends_for)
    }

    fn write(&self, conn: &mut AnyConnection, _: &mut CounterDeltas) -> Result<Minted, Failure> {
        // This request's own row, from a commit whose answer was lost.
        if let Some(grant) = find(conn, &self.row.id)? {
            return Ok(Minted::Grant(grant));
        }
        if let Some(claim) = &self.claim {
            match idempotency::claim(conn, claim)? {
                Claimed::Fresh => {}
                Claimed::OtherBody => return Ok(Minted::OtherBody),
                Claimed::Repeat(id) => {
                    let lost = || DbError::Internal(format!("the repeated grant {id} is gone"));
                    return Ok(Minted::Grant(find(conn, &id)?.ok_or_else(lost)?));
                }
            }
        }
        diesel::insert_into(grants::table)
            .values(self.row.clone())
            .execute(conn)?;
        Ok(Minted::Grant(self.row.clone().into_grant()?))
    }
}

fn find(conn: &mut AnyConnection, id: &str) -> Result<Option<Grant>, Failure> {
    let row: Option<GrantRow> = grants::table
        .find(id)
        .select(GrantRow::as_select())
        .first(conn)
        .optional()?;
    Ok(row.map(GrantRow::into_grant).transpose()?)
}

/// Counts one use, if one is left.
pub(in crate::db) fn count_use(
    conn: &mut AnyConnection,
    id: GrantId,
    now: DateTime<Utc>,
) -> Result<Result<(), NoUse>, Failure> {
    let id = id.to_string();
    let left = grants::table
        .find(&id)
        .filter(grants::used.lt(grants::max_uploads))
        .filter(grants::expires_at.gt(column_time(now)));
    let counted = diesel::update(left)
        .set(grants::used.eq(grants::used + 1))
        .execute(conn)?;
    if counted == 1 {
        return Ok(Ok(()));
    }
    Ok(Err(match find(conn, &id)? {
        Some(grant) if grant.expires_at > now => NoUse::UsedUp(grant.expires_at),
        _ => NoUse::Over,
    }))
}

/// Takes back a use that [`count_use`] counted in the same transaction.
pub(in crate::db) fn uncount_use(conn: &mut AnyConnection, id: GrantId) -> QueryResult<()> {
    diesel::update(grants::table.find(id.to_string()))
        .set(grants::used.eq(grants::used - 1))
        .execute(conn)
        .map(drop)
}

struct Prune {
    now: DateTime<Utc>,
    limit: u32,
}

impl Write for Prune {
    type Answer = usize;

    fn upload(&self) -> UploadId {
        UploadId::NONE
    }

    fn write(&self, conn: &mut AnyConnection, _: &mut CounterDeltas) -> Result<usize, Failure> {
        let keys = idempotency::delete_expired(conn, self.now, self.limit)?;
        Ok(keys + delete_old(conn, self.now, self.limit)?)
    }
}

fn delete_old(conn: &mut AnyConnection, now: DateTime<Utc>, limit: u32) -> QueryResult<usize> {
    let before = column_time(now - TimeDelta::days(KEPT_DAYS));
    let due: Vec<String> = grants::table
        .filter(grants::expires_at.le(before))
        .order((grants::expires_at, grants::id))
        .limit(i64::from(limit))
        .select(grants::id)
        .load(conn)?;
    diesel::delete(grants::table.filter(grants::id.eq_any(due))).execute(conn)
}

impl GrantRow {
    fn of(new: &NewGrant) -> Result<GrantRow, DbError> {
        let grant = &new.grant;
        let unfit = |column| DbError::Internal(format!("grants.{column} can't hold its value"));
        Ok(GrantRow {
            id: grant.id.to_string(),
            field: grant.field.as_str().to_owned(),
            owner: grant.owner.clone(),
            object_id: grant.object_id.as_ref().map(|id| id.as_str().to_owned()),
            max_uploads: i32::try_from(grant.max_uploads).map_err(|_| unfit("max_uploads"))?,
            max_size: i64::try_from(grant.max_size).map_err(|_| unfit("max_size"))?,
            used: i32::try_from(grant.used).map_err(|_| unfit("used"))?,
            issuer: new.issuer.clone(),
            subject: new.subject.clone(),
            created_at: column_time(grant.created_at),
            expires_at: column_time(grant.expires_at),
        })
    }

    fn into_grant(self) -> Result<Grant, DbError> {
        let bad = |column| DbError::Internal(format!("grants.{column} can't be read"));
        let object_id = self.object_id.as_deref().map(ObjectId::parse).transpose();
        Ok(Grant {
            id: GrantId::parse(&self.id).map_err(|_| bad("id"))?,
            field: FieldName::parse(&self.field).map_err(|_| bad("field"))?,
            owner: self.owner,
            object_id: object_id.map_err(|_| bad("object_id"))?,
            max_uploads: u32::try_from(self.max_uploads).map_err(|_| bad("max_uploads"))?,
            max_size: u64::try_from(self.max_size).map_err(|_| bad("max_size"))?,
            used: u32::try_from(self.used).map_err(|_| bad("used"))?,
            created_at: self.created_at.and_utc(),
            expires_at: self.expires_at.and_utc(),
        })
    }
}
