//! Which objects are due to be removed: those of uploads that were detached, after their grace.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::Db;
use super::connection::{AnyConnection, MultiBackend};
use super::row::{UploadRow, column_time};
use super::schema::uploads;
use super::trouble::DbTrouble;
use crate::domain::ids::UploadId;
use crate::domain::upload::Upload;

impl Db {
    /// Uploads of this bucket whose grace has ended by `now` and whose object was not seen to be removed, longest due first, those
    /// behind `after` (its time and its id) only, at most `limit`: detached ones, and deleted ones of which a removal failed.
    pub async fn due_removals(
        &self,
        bucket: &str,
        now: DateTime<Utc>,
        after: Option<(DateTime<Utc>, UploadId)>,
        limit: u32,
    ) -> Result<Vec<Upload>, DbTrouble> {
        let bucket = bucket.to_owned();
        let query = move |conn: &mut AnyConnection| {
            let rows: Vec<UploadRow> = due_query(&bucket, now, after, limit).load(conn)?;
            let uploads: Result<Vec<Upload>, DbTrouble> =
                rows.into_iter().map(UploadRow::into_upload).collect();
            Ok(uploads?)
        };
        self.readers.read(query).await
    }
}

/// The statement. Its nulls are as those of the index `uploads_removal`; a status is not asked for, because only a detach sets
/// the time, and SQLite would walk the index of the statuses.
pub(super) fn due_query(
    bucket: &str,
    now: DateTime<Utc>,
    after: Option<(DateTime<Utc>, UploadId)>,
    limit: u32,
) -> diesel::helper_types::IntoBoxed<
    '_,
    diesel::helper_types::Select<
        uploads::table,
        diesel::helper_types::AsSelect<UploadRow, MultiBackend>,
    >,
    MultiBackend,
> {
    let (time, id) = after.unwrap_or((DateTime::UNIX_EPOCH, UploadId::NONE));
    let behind = uploads::remove_after
        .gt(column_time(time))
        .or(uploads::id.gt(id.to_string()));
    uploads::table
        .select(UploadRow::as_select())
        .into_boxed()
        .filter(uploads::remove_after.is_not_null())
        .filter(uploads::object_removed_at.is_null())
        .filter(uploads::remove_after.ge(column_time(time)))
        .filter(behind)
        .filter(uploads::remove_after.le(column_time(now)))
        .filter(uploads::bucket.eq(bucket))
        .order((uploads::remove_after, uploads::id))
        .limit(i64::from(limit))
}
