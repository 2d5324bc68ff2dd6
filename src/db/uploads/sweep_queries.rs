//! The queries of the sweeper and the removal. Each kind of work has a partial index of its own, so that a batch costs the same however
//! large the tables are. The conditions are literals, as in the indexes: a partial index does not serve a bound value.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Timestamp};

use super::list::ListQuery;
use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::row::{UploadRow, column_time, uploads_of};
use crate::db::engine::schema::{seal_attempts, uploads};
use crate::domain::field::FieldName;
use crate::domain::ids::UploadId;
use crate::domain::object_key::FinalKey;
use crate::domain::upload::{Status, Upload};

/// A pending upload that is past its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueUpload {
    /// The upload's id.
    pub id: UploadId,
    /// Its deadline.
    pub expires_at: DateTime<Utc>,
}

/// A seal attempt whose copy may have to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The upload of the attempt.
    pub upload: UploadId,
    /// The key of its copy; the object may not exist.
    pub key: FinalKey,
    /// When the attempt began.
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
            // As in the index, which says why it is not a plain comparison.
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
    /// The time of the database server, which all brokers share; on SQLite the time of this machine.
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

    /// Pending uploads that are due: their deadline, or the time of their postponed try, is not after `now`. The longest due come
    /// first; at most `limit`.
    pub async fn due_uploads(
        &self,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<DueUpload>, DbError> {
        let query = move |conn: &mut AnyConnection| {
            let rows: Vec<UploadRow> = due_uploads_query(now, limit).load(conn)?;
            let due = |row: UploadRow| {
                // Only two columns are converted, so that a damaged row does not stop the batch.
                let bad = |_| DbError::Internal(format!("{} is not an upload id", row.id));
                Ok(DueUpload {
                    id: UploadId::parse(&row.id).map_err(bad)?,
                    expires_at: row.expires_at.and_utc(),
                })
            };
            rows.into_iter().map(due).collect()
        };
        self.readers.read(query).await
    }

    /// Open attempts that began before `before`, whose brokers are dead or too slow; oldest first, at most `limit`.
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

    /// Abandoned attempts of this bucket whose copies are to be removed: they began before `before`, and are not recorded as removed.
    /// Oldest first, only those behind `after`, at most `limit`. An attempt whose key is its upload's key is never among them.
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

    /// Rejected and deleted uploads of this bucket whose objects are not recorded as removed, in the order of their ids, only those
    /// behind `after`, at most `limit`.
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

    /// Uploads of this bucket and field that were confirmed before `before` and never attached; oldest first, at most `limit`.
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

    /// Detached uploads of this bucket whose grace has ended by `now`; the longest due come first, at most `limit`.
    pub async fn due_removals(
        &self,
        bucket: &str,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<Upload>, DbError> {
        let bucket = bucket.to_owned();
        let query = move |conn: &mut AnyConnection| {
            uploads_of(due_removals_query(&bucket, now, limit).load(conn)?)
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
        .filter(sql::<Bool>("uploads.status = 'pending'"))
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
            "(uploads.status = 'rejected' OR uploads.status = 'deleted')",
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
        .filter(sql::<Bool>("uploads.status = 'confirmed'"))
        .filter(uploads::field.eq(field.as_str()))
        .filter(uploads::confirmed_at.le(column_time(before)))
        .filter(uploads::bucket.eq(bucket))
        .order((uploads::confirmed_at, uploads::id))
        .limit(i64::from(limit))
}

/// The statement of [`Db::due_removals`]. Only a detach sets `remove_after`, so an upload that has it is detached or deleted.
pub(in crate::db) fn due_removals_query(
    bucket: &str,
    now: DateTime<Utc>,
    limit: u32,
) -> ListQuery<'_> {
    uploads::table
        .select(UploadRow::as_select())
        .into_boxed()
        .filter(uploads::remove_after.is_not_null())
        .filter(uploads::object_removed_at.is_null())
        .filter(uploads::status.ne(Status::Deleted.as_str()))
        .filter(uploads::remove_after.le(column_time(now)))
        .filter(uploads::bucket.eq(bucket))
        .order((uploads::remove_after, uploads::id))
        .limit(i64::from(limit))
}

fn copied(rows: Vec<CopiedRow>) -> Result<Vec<Copied>, Failure> {
    let one = |(upload, key, name, started_at): CopiedRow| {
        let parsed = UploadId::parse(&upload);
        let bad = |_| DbError::Internal(format!("the upload id of attempt {key} can't be read"));
        Ok(Copied {
            upload: parsed.map_err(bad)?,
            key: FinalKey::recorded(key.clone(), name),
            started_at: started_at.and_utc(),
        })
    };
    rows.into_iter().map(one).collect()
}
