//! Which uploads are due to be removed: those that were detached, after their grace.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::list::ListQuery;
use super::row::{UploadRow, column_time};
use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::DbError;
use crate::db::engine::schema::uploads;
use crate::db::uploads::sweep_queries::uploads_of;
use crate::domain::upload::{Status, Upload};

impl Db {
    /// Detached uploads of this bucket whose grace has ended by `now`, longest due first, at most `limit`.
    pub async fn due_removals(
        &self,
        bucket: &str,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<Upload>, DbError> {
        let bucket = bucket.to_owned();
        let query =
            move |conn: &mut AnyConnection| uploads_of(due_query(&bucket, now, limit).load(conn)?);
        self.readers.read(query).await
    }
}

/// The statement. Its nulls are as those of the index `uploads_removal`. Only a detach sets the time, so whatever is not deleted is
/// detached; asked for that status, SQLite would walk the index of the statuses.
pub(in crate::db) fn due_query(bucket: &str, now: DateTime<Utc>, limit: u32) -> ListQuery<'_> {
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
