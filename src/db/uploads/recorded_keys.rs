//! The owners of object keys, for the comparison of the database with the bucket.

use diesel::prelude::*;

use super::attempts::AttemptState;
use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::DbError;
use crate::db::engine::row::{UploadRow, uploads_of};
use crate::db::engine::schema::{seal_attempts, uploads};
use crate::domain::ids::UploadId;
use crate::domain::upload::Upload;

/// The owner of a key that is not the key of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOwner {
    /// A seal attempt that is open, or was recorded just now.
    Attempt,
    /// An abandoned seal attempt of this upload: its key is never recorded.
    Abandoned(UploadId),
    /// No row has the key.
    None,
}

impl Db {
    /// Uploads of this bucket that have a key, in byte order of the keys, only those behind `after`, at most `limit`.
    pub async fn recorded_after(
        &self,
        bucket: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Upload>, DbError> {
        let (bucket, after) = (bucket.to_owned(), after.unwrap_or_default().to_owned());
        let query = move |conn: &mut AnyConnection| {
            let rows: Vec<UploadRow> = uploads::table
                .filter(uploads::bucket.eq(&bucket))
                .filter(uploads::object_key.is_not_null())
                .filter(uploads::object_key.gt(&after))
                .order(uploads::object_key)
                .limit(i64::from(limit))
                .select(UploadRow::as_select())
                .load(conn)?;
            uploads_of(rows)
        };
        self.readers.read(query).await
    }

    /// The upload of this bucket with this key.
    pub async fn recorded_at(&self, bucket: &str, key: &str) -> Result<Option<Upload>, DbError> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let query = move |conn: &mut AnyConnection| {
            let row: Option<UploadRow> = uploads::table
                .filter(uploads::bucket.eq(&bucket))
                .filter(uploads::object_key.eq(&key))
                .select(UploadRow::as_select())
                .first(conn)
                .optional()?;
            Ok(row.map(UploadRow::into_upload).transpose()?)
        };
        self.readers.read(query).await
    }

    /// The owner of this key among the seal attempts.
    pub async fn owner_of_key(&self, key: &str) -> Result<KeyOwner, DbError> {
        let key = key.to_owned();
        let query = move |conn: &mut AnyConnection| {
            let attempt: Option<(String, String)> = seal_attempts::table
                .filter(seal_attempts::object_key.eq(&key))
                .select((seal_attempts::upload_id, seal_attempts::state))
                .first(conn)
                .optional()?;
            Ok(match attempt {
                None => KeyOwner::None,
                Some((upload, state)) if state == AttemptState::Abandoned.as_str() => {
                    let bad = |_| DbError::Internal(format!("{upload} is not an upload id"));
                    KeyOwner::Abandoned(UploadId::parse(&upload).map_err(bad)?)
                }
                Some(_) => KeyOwner::Attempt,
            })
        };
        self.readers.read(query).await
    }
}
