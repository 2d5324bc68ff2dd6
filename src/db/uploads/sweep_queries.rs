//! What the sweeper looks for: each kind of work by an index that holds nothing else, so that a batch costs the same however large
//! the tables are. The conditions are written as their indexes have them, because a partial index serves no parameter.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Timestamp};

use super::list::ListQuery;
use super::row::{UploadRow, column_time};
use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::schema::{seal_attempts, uploads};
use crate::domain::field::FieldName;
use crate::domain::ids::UploadId;
use crate::domain::object_key::FinalKey;
use crate::domain::upload::Upload;

/// A pending upload whose time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueUpload {
    /// Which.
    pub id: UploadId,
    /// Its deadline.
    pub expires_at: DateTime<Utc>,
}

/// A seal attempt, by what the sweeper needs of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The upload that it sealed.
    pub upload: UploadId,
    /// The key that its copy has, if there is one.
    pub key: FinalKey,
    /// When it began.
    pub started_at: DateTime<Utc>,
}

type CopiedRow = (String, String, String, chrono::NaiveDateTime);

/// The statement of [`Db::stale_attempts`].
macro_rules! stale_attempts_query {
    ($before:expr, $limit:expr) => {
        seal_attempts::table
            .filter(seal_attempts::state.eq("open"))
            .filter(seal_attempts::started_at.le(column_time($before)))
            .order(seal_attempts::started_at)
            .limit(i64::from($limit))
            .select((
                seal_attempts::upload_id,
                seal_attempts::object_key,
                seal_attempts::name,
                seal_attempts::started_at,
            ))
    };
}
#[cfg(test)]
pub(in crate::db) use stale_attempts_query;

/// The statement of [`Db::copies_pending_deletion`].
macro_rules! copies_pending_deletion_query {
    ($bucket:expr, $before:expr, $after:expr, $limit:expr) => {{
        let after: Option<&Copied> = $after;
        let (time, key) = after.map_or((DateTime::UNIX_EPOCH, ""), |it| {
            (it.started_at, it.key.as_str())
        });
        let behind = seal_attempts::started_at
            .gt(column_time(time))
            .or(seal_attempts::object_key.gt(key));
        seal_attempts::table
            .inner_join(uploads::table.on(uploads::id.eq(seal_attempts::upload_id)))
            .filter(sql::<Bool>("(seal_attempts.state = 'abandoned') IS TRUE"))
            .filter(seal_attempts::object_removed_at.is_null())
            .filter(seal_attempts::started_at.ge(column_time(time)))
            .filter(behind)
            .filter(seal_attempts::started_at.le(column_time($before)))
            .filter(uploads::bucket.eq($bucket))
            .filter(
                uploads::object_key.is_null().or(uploads::object_key
                    .assume_not_null()
                    .ne(seal_attempts::object_key)),
            )
            .order((seal_attempts::started_at, seal_attempts::object_key))
            .limit(i64::from($limit))
            .select((
                seal_attempts::upload_id,
                seal_attempts::object_key,
                seal_attempts::name,
                seal_attempts::started_at,
            ))
    }};
}
#[cfg(test)]
pub(in crate::db) use copies_pending_deletion_query;

impl Db {
    /// The database's clock on Postgres, which all brokers share; on SQLite that of this machine, which is the same.
    pub async fn clock(&self) -> Result<DateTime<Utc>, DbError> {
        let query = |conn: &mut AnyConnection| match conn {
            AnyConnection::Sqlite(_) => Ok(Utc::now()),
            AnyConnection::Postgres(conn) => {
                let now: chrono::NaiveDateTime =
                    diesel::select(diesel::dsl::now).get_result(conn)?;
                Ok(now.and_utc())
            }
        };
        self.readers.read(query).await
    }

    /// Pending uploads whose deadline, or the time of whose next try, has come; longest due first, at most `limit`.
    pub async fn due_uploads(
        &self,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<DueUpload>, DbError> {
        let query = move |conn: &mut AnyConnection| {
            let rows: Vec<UploadRow> = due_uploads_query(now, limit).load(conn)?;
            let due = |row: UploadRow| {
                // No more of the row, so that one that can't be read is not in the way of the others.
                let bad = |_| DbError::Internal(format!("{} is no upload's id", row.id));
                Ok(DueUpload {
                    id: UploadId::parse(&row.id).map_err(bad)?,
                    expires_at: row.expires_at.and_utc(),
                })
            };
            rows.into_iter().map(due).collect()
        };
        self.readers.read(query).await
    }

    /// Open attempts that began before `before`, oldest first, at most `limit`: their brokers are dead, or too slow.
    pub async fn stale_attempts(
        &self,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<Copied>, DbError> {
        let query = move |conn: &mut AnyConnection| {
            let rows = stale_attempts_query!(before, limit).load(conn)?;
            copied(rows)
        };
        self.readers.read(query).await
    }

    /// Abandoned attempts of this bucket that began before `before` and whose copies were not seen to be removed, oldest first,
    /// those behind `after` only, at most `limit`. Never one whose key its upload has.
    pub async fn copies_pending_deletion(
        &self,
        bucket: &str,
        before: DateTime<Utc>,
        after: Option<Copied>,
        limit: u32,
    ) -> Result<Vec<Copied>, DbError> {
        let bucket = bucket.to_owned();
        let query = move |conn: &mut AnyConnection| {
            let rows = copies_pending_deletion_query!(&bucket, before, after.as_ref(), limit)
                .load(conn)?;
            copied(rows)
        };
        self.readers.read(query).await
    }

    /// Rejected and deleted uploads of this bucket whose objects were not seen to be removed, by id, those behind `after` only, at
    /// most `limit`.
    pub async fn uploads_pending_deletion(
        &self,
        bucket: &str,
        after: UploadId,
        limit: u32,
    ) -> Result<Vec<Upload>, DbError> {
        let bucket = bucket.to_owned();
        let query = move |conn: &mut AnyConnection| {
            uploads_of(uploads_pending_deletion_query(&bucket, after, limit).load(conn)?)
        };
        self.readers.read(query).await
    }

    /// Uploads of this bucket and field that were confirmed before `before` and that no record has claimed, oldest first, at most
    /// `limit`.
    pub async fn unattached_uploads(
        &self,
        bucket: &str,
        field: FieldName,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<Upload>, DbError> {
        let bucket = bucket.to_owned();
        let query = move |conn: &mut AnyConnection| {
            uploads_of(unattached_query(&bucket, &field, before, limit).load(conn)?)
        };
        self.readers.read(query).await
    }
}

/// The statement of [`Db::due_uploads`].
pub(in crate::db) fn due_uploads_query<'a>(now: DateTime<Utc>, limit: u32) -> ListQuery<'a> {
    let next_try = "COALESCE(sweep_after, expires_at)";
    uploads::table
        .select(UploadRow::as_select())
        .into_boxed()
        .filter(sql::<Bool>("(status = 'pending') IS TRUE"))
        .filter(sql::<Timestamp>(next_try).le(column_time(now)))
        .order((sql::<Timestamp>(next_try), uploads::id))
        .limit(i64::from(limit))
}

/// The statement of [`Db::uploads_pending_deletion`].
pub(in crate::db) fn uploads_pending_deletion_query(
    bucket: &str,
    after: UploadId,
    limit: u32,
) -> ListQuery<'_> {
    uploads::table
        .select(UploadRow::as_select())
        .into_boxed()
        .filter(uploads::object_removed_at.is_null())
        .filter(sql::<Bool>(
            "(status = 'rejected' OR status = 'deleted') IS TRUE",
        ))
        .filter(uploads::id.gt(after.to_string()))
        .filter(uploads::bucket.eq(bucket))
        .order(uploads::id)
        .limit(i64::from(limit))
}

/// The statement of [`Db::unattached_uploads`].
pub(in crate::db) fn unattached_query<'a>(
    bucket: &'a str,
    field: &'a FieldName,
    before: DateTime<Utc>,
    limit: u32,
) -> ListQuery<'a> {
    uploads::table
        .select(UploadRow::as_select())
        .into_boxed()
        .filter(sql::<Bool>("(status = 'confirmed') IS TRUE"))
        .filter(uploads::field.eq(field.as_str()))
        .filter(uploads::confirmed_at.le(column_time(before)))
        .filter(uploads::bucket.eq(bucket))
        .order((uploads::confirmed_at, uploads::id))
        .limit(i64::from(limit))
}

pub(in crate::db) fn uploads_of(rows: Vec<UploadRow>) -> Result<Vec<Upload>, Failure> {
    let uploads: Result<Vec<Upload>, DbError> =
        rows.into_iter().map(UploadRow::into_upload).collect();
    Ok(uploads?)
}

fn copied(rows: Vec<CopiedRow>) -> Result<Vec<Copied>, Failure> {
    let one = |(upload, key, name, started_at): CopiedRow| {
        let parsed = UploadId::parse(&upload);
        let bad = |_| DbError::Internal(format!("the attempt {key} has no upload's id"));
        Ok(Copied {
            upload: parsed.map_err(bad)?,
            key: FinalKey::recorded(key.clone(), name),
            started_at: started_at.and_utc(),
        })
    };
    rows.into_iter().map(one).collect()
}
