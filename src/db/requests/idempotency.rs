//! Idempotency keys: a request's key, its caller, a hash of the parsed request, and the id of its result.
//!
//! A key is claimed in the transaction of the request's effect: a request that failed leaves no key, and one that succeeded can't
//! succeed twice. The table holds ids, never a URL or a token.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use diesel::prelude::*;

use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::row::column_time;
use crate::db::engine::schema::idempotency_keys;

/// How long a key is kept, in hours.
const KEPT_HOURS: i64 = 24;

/// A request's claim of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyClaim {
    /// The configured name of the caller's issuer; `grant` for the holder of one.
    pub issuer: String,
    /// The caller's subject; the grant's id for the holder of one.
    pub subject: String,
    /// The method and the path, with the upload's id where there is one. Each route has keys of its own.
    pub route: String,
    /// The key.
    pub key: String,
    /// The hash of the parsed request.
    pub body_hash: String,
    /// The id of what the request creates or changes; a repeated request gets it.
    pub result_id: String,
    /// Now.
    pub at: DateTime<Utc>,
}

impl IdempotencyClaim {
    /// Identifies the row that the claim may wait for.
    pub(in crate::db) fn contends_for(&self) -> String {
        [&*self.issuer, &self.subject, &self.route, &self.key].join("\0")
    }
}

/// The result of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::db) enum Claimed {
    /// The key was free: the effect may be written, and the key is kept if this transaction is committed.
    Fresh,
    /// The same request succeeded before, or this one in a commit whose answer was lost; the id of its result.
    Repeat(String),
    /// Another request succeeded with the same key.
    OtherBody,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = idempotency_keys)]
struct Kept {
    body_hash: String,
    result_id: String,
    expires_at: NaiveDateTime,
}

#[derive(Insertable)]
#[diesel(table_name = idempotency_keys)]
struct NewKey<'a> {
    issuer: &'a str,
    subject: &'a str,
    route: &'a str,
    key: &'a str,
    body_hash: &'a str,
    result_id: &'a str,
    created_at: NaiveDateTime,
    expires_at: NaiveDateTime,
}

/// Reads whether the key is taken, without a lock or a write, so that a client that repeats one key slows no other request.
pub(in crate::db) fn look(
    conn: &mut AnyConnection,
    claim: &IdempotencyClaim,
) -> Result<Claimed, Failure> {
    Ok(match kept(conn, claim)? {
        Some(kept) if kept.expires_at > column_time(claim.at) => kept.answers(claim),
        _ => Claimed::Fresh,
    })
}

/// Claims the key if it is free: by an insert that does nothing where the key exists, or by taking over an expired one. A claim that
/// is written again after a lost answer finds its own `result_id`.
pub(in crate::db) fn claim(
    conn: &mut AnyConnection,
    claim: &IdempotencyClaim,
) -> Result<Claimed, Failure> {
    // Twice: the pruner may delete the expired key between the insert and the takeover.
    for _ in 0..2 {
        if insert(conn, claim)? {
            return Ok(Claimed::Fresh);
        }
        match kept(conn, claim)? {
            Some(kept) if kept.expires_at > column_time(claim.at) => {
                return Ok(kept.answers(claim));
            }
            Some(_) if take_over(conn, claim)? => return Ok(Claimed::Fresh),
            _ => {}
        }
    }
    Err(Failure::Refused(DbError::Busy))
}

impl Kept {
    fn answers(self, claim: &IdempotencyClaim) -> Claimed {
        if self.body_hash == claim.body_hash {
            Claimed::Repeat(self.result_id)
        } else {
            Claimed::OtherBody
        }
    }
}

fn kept(conn: &mut AnyConnection, claim: &IdempotencyClaim) -> QueryResult<Option<Kept>> {
    idempotency_keys::table
        .find((&claim.issuer, &claim.subject, &claim.route, &claim.key))
        .select(Kept::as_select())
        .first(conn)
        .optional()
}

fn expiry(claim: &IdempotencyClaim) -> NaiveDateTime {
    column_time(claim.at + TimeDelta::hours(KEPT_HOURS))
}

fn insert(conn: &mut AnyConnection, claim: &IdempotencyClaim) -> QueryResult<bool> {
    let statement = diesel::insert_into(idempotency_keys::table).values(NewKey {
        issuer: &claim.issuer,
        subject: &claim.subject,
        route: &claim.route,
        key: &claim.key,
        body_hash: &claim.body_hash,
        result_id: &claim.result_id,
        created_at: column_time(claim.at),
        expires_at: expiry(claim),
    });
    // One arm each, because MultiConnection has no `on_conflict`.
    let inserted = match conn {
        AnyConnection::Postgres(conn) => statement.on_conflict_do_nothing().execute(conn)?,
        AnyConnection::Sqlite(conn) => statement.on_conflict_do_nothing().execute(conn)?,
    };
    Ok(inserted == 1)
}

fn take_over(conn: &mut AnyConnection, claim: &IdempotencyClaim) -> QueryResult<bool> {
    let expired = idempotency_keys::table
        .find((&claim.issuer, &claim.subject, &claim.route, &claim.key))
        .filter(idempotency_keys::expires_at.le(column_time(claim.at)));
    let taken = diesel::update(expired)
        .set((
            idempotency_keys::body_hash.eq(&claim.body_hash),
            idempotency_keys::result_id.eq(&claim.result_id),
            idempotency_keys::created_at.eq(column_time(claim.at)),
            idempotency_keys::expires_at.eq(expiry(claim)),
        ))
        .execute(conn)?;
    Ok(taken == 1)
}

/// Takes back a claim of the same transaction.
pub(in crate::db) fn unclaim(
    conn: &mut AnyConnection,
    claim: &IdempotencyClaim,
) -> QueryResult<()> {
    let own = idempotency_keys::table
        .find((&claim.issuer, &claim.subject, &claim.route, &claim.key))
        .filter(idempotency_keys::result_id.eq(&claim.result_id));
    diesel::delete(own).execute(conn).map(drop)
}

/// Deletes at most `limit` expired keys, and returns how many.
pub(in crate::db) fn delete_expired(
    conn: &mut AnyConnection,
    now: DateTime<Utc>,
    limit: u32,
) -> QueryResult<usize> {
    type Key = (String, String, String, String);
    let due: Vec<Key> = idempotency_keys::table
        .filter(idempotency_keys::expires_at.le(column_time(now)))
        // Two brokers that prune at once lock the same rows in the same order.
        .order((
            idempotency_keys::expires_at,
            idempotency_keys::issuer,
            idempotency_keys::subject,
            idempotency_keys::route,
            idempotency_keys::key,
        ))
        .limit(i64::from(limit))
        .select((
            idempotency_keys::issuer,
            idempotency_keys::subject,
            idempotency_keys::route,
            idempotency_keys::key,
        ))
        .load(conn)?;
    let mut deleted = 0;
    for key in due {
        // With its time again: a request may have taken the key over meanwhile.
        let expired = idempotency_keys::table
            .find(key)
            .filter(idempotency_keys::expires_at.le(column_time(now)));
        deleted += diesel::delete(expired).execute(conn)?;
    }
    Ok(deleted)
}
