//! Rows of multipart uploads and their parts.

use diesel::prelude::*;
use s3s::s3_error;

use super::objects::{ObjectRow, put};
use super::schema::{parts, uploads};
use super::{Index, IndexResult, require_bucket};
use crate::conditions::WriteCondition;

/// The most open uploads.
const MAX_OPEN_UPLOADS: i64 = 100_000;

/// One multipart upload that is neither completed nor aborted.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = uploads)]
pub(crate) struct UploadRow {
    /// The upload id.
    pub id: String,
    /// The bucket's name.
    pub bucket: String,
    /// The key of the future object.
    pub key: String,
    /// Unix milliseconds.
    pub started_ms: i64,
    /// The headers of the future object, as JSON.
    pub headers: String,
    /// The checksum algorithm, by S3's name, if one was requested.
    pub algorithm: Option<String>,
    /// Whether the object's checksum is computed from the parts' checksums, or over the whole object.
    pub composite: bool,
}

/// One part.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = parts)]
pub(crate) struct PartRow {
    /// The upload id.
    pub upload: String,
    /// 1 to 10,000.
    pub number: i32,
    /// The blob that holds the bytes.
    pub blob: String,
    /// Bytes.
    pub size: i64,
    /// The ETag without quotes.
    pub etag: String,
    /// Unix milliseconds.
    pub modified_ms: i64,
    /// The part's checksum as JSON.
    pub checksum: Option<String>,
}

impl Index {
    /// Creates an upload.
    pub(crate) fn create_upload(&self, row: &UploadRow) -> IndexResult<()> {
        self.write().immediate_transaction(|connection| {
            require_bucket(connection, &row.bucket)?;
            let open: i64 = uploads::table.count().get_result(connection)?;
            if open >= MAX_OPEN_UPLOADS {
                return Err(s3_error!(SlowDown, "too many open multipart uploads").into());
            }
            diesel::insert_into(uploads::table)
                .values(row)
                .execute(connection)?;
            Ok(())
        })
    }

    /// The upload, or `NoSuchUpload` (also if it belongs to another key).
    pub(crate) fn upload(&self, bucket: &str, key: &str, id: &str) -> IndexResult<UploadRow> {
        let connection = &mut *self.read();
        require_bucket(connection, bucket)?;
        require_upload(connection, bucket, key, id)
    }

    /// Writes a part; returns the blob of the part that it replaces.
    pub(crate) fn put_part(
        &self,
        upload: &UploadRow,
        part: &PartRow,
    ) -> IndexResult<Option<String>> {
        self.write().immediate_transaction(|connection| {
            // The upload may have been completed or aborted while the part was received.
            require_upload(connection, &upload.bucket, &upload.key, &upload.id)?;
            let replaced: Option<String> = parts::table
                .find((&part.upload, part.number))
                .select(parts::blob)
                .first(connection)
                .optional()?;
            diesel::replace_into(parts::table)
                .values(part)
                .execute(connection)?;
            Ok(replaced)
        })
    }

    /// The upload's parts with a number above `after`, at most `limit`, by number.
    pub(crate) fn parts(&self, upload: &str, after: i32, limit: i64) -> IndexResult<Vec<PartRow>> {
        Ok(parts::table
            .filter(parts::upload.eq(upload).and(parts::number.gt(after)))
            .order(parts::number)
            .limit(limit)
            .select(PartRow::as_select())
            .load(&mut *self.read())?)
    }

    /// Ends the upload and writes its object, if `used` are still its parts; returns the blobs to remove.
    pub(crate) fn complete_upload(
        &self,
        upload: &UploadRow,
        used: &[PartRow],
        object: &ObjectRow,
        condition: &WriteCondition,
    ) -> IndexResult<Vec<String>> {
        self.write().immediate_transaction(|connection| {
            require_upload(connection, &upload.bucket, &upload.key, &upload.id)?;
            let blobs = blobs_of(connection, &upload.id)?;
            if used.iter().any(|part| !blobs.contains(&part.blob)) {
                return Err(s3_error!(
                    InvalidPart,
                    "a part was replaced while the upload was completed"
                )
                .into());
            }
            delete_upload(connection, &upload.id)?;
            let mut unreferenced = blobs;
            unreferenced.extend(put(connection, object, condition)?);
            Ok(unreferenced)
        })
    }

    /// Ends the upload without an object; returns the blobs to remove.
    pub(crate) fn abort_upload(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
    ) -> IndexResult<Vec<String>> {
        self.write().immediate_transaction(|connection| {
            require_bucket(connection, bucket)?;
            require_upload(connection, bucket, key, id)?;
            let blobs = blobs_of(connection, id)?;
            delete_upload(connection, id)?;
            Ok(blobs)
        })
    }
}

fn require_upload(
    connection: &mut SqliteConnection,
    bucket: &str,
    key: &str,
    id: &str,
) -> IndexResult<UploadRow> {
    let row = uploads::table
        .find(id)
        .filter(uploads::bucket.eq(bucket).and(uploads::key.eq(key)))
        .select(UploadRow::as_select())
        .first(connection)
        .optional()?;
    row.ok_or_else(|| {
        s3_error!(
            NoSuchUpload,
            "the upload does not exist: it may have been aborted or completed"
        )
        .into()
    })
}

fn blobs_of(connection: &mut SqliteConnection, id: &str) -> QueryResult<Vec<String>> {
    parts::table
        .filter(parts::upload.eq(id))
        .select(parts::blob)
        .load(connection)
}

fn delete_upload(connection: &mut SqliteConnection, id: &str) -> QueryResult<()> {
    diesel::delete(parts::table.filter(parts::upload.eq(id))).execute(connection)?;
    diesel::delete(uploads::table.find(id)).execute(connection)?;
    Ok(())
}
