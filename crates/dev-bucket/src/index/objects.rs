//! Rows of objects: read, write under a condition, copy, remove.
//!
//! Several rows may reference one blob (a copy shares it). A call that removes the last reference returns the blob's name, and its file can
//! be removed: no later transaction can reference that name again.

use diesel::prelude::*;
use s3s::{S3Result, s3_error};

use super::schema::objects;
use super::{Index, IndexResult, require_bucket};
use crate::conditions::WriteCondition;

/// One object.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = objects)]
pub(crate) struct ObjectRow {
    /// The bucket's name.
    pub bucket: String,
    /// The key, any UTF-8 without NUL.
    pub key: String,
    /// The blob that holds the bytes.
    pub blob: String,
    /// Bytes.
    pub size: i64,
    /// The ETag without quotes.
    pub etag: String,
    /// Unix milliseconds.
    pub modified_ms: i64,
    /// The stored headers as JSON.
    pub headers: String,
    /// The stored checksum as JSON.
    pub checksum: Option<String>,
}

impl Index {
    /// Returns the object; errors are `NoSuchBucket` and `NoSuchKey`.
    pub(crate) fn object(&self, bucket: &str, key: &str) -> IndexResult<ObjectRow> {
        let connection = &mut *self.read();
        match find(connection, bucket, key)? {
            Some(row) => Ok(row),
            None => {
                require_bucket(connection, bucket)?;
                Err(no_such_key(key).into())
            }
        }
    }

    /// Writes the row if the condition holds; returns the blob that is no longer referenced.
    pub(crate) fn put_object(
        &self,
        row: &ObjectRow,
        condition: &WriteCondition,
    ) -> IndexResult<Option<String>> {
        self.write()
            .immediate_transaction(|connection| put(connection, row, condition))
    }

    /// Reads the source and writes the row that `make` returns, in one transaction.
    pub(crate) fn copy_object(
        &self,
        source: (&str, &str),
        condition: &WriteCondition,
        make: impl FnOnce(ObjectRow) -> S3Result<ObjectRow>,
    ) -> IndexResult<(ObjectRow, Option<String>)> {
        self.write().immediate_transaction(|connection| {
            let (bucket, key) = source;
            let Some(found) = find(connection, bucket, key)? else {
                require_bucket(connection, bucket)?;
                return Err(no_such_key(key).into());
            };
            let row = make(found)?;
            let unreferenced = put(connection, &row, condition)?;
            Ok((row, unreferenced))
        })
    }

    /// Removes the keys that exist, in one transaction; returns the blobs that are no longer referenced.
    pub(crate) fn remove_objects(
        &self,
        bucket: &str,
        keys: &[(String, WriteCondition)],
    ) -> IndexResult<Vec<String>> {
        self.write().immediate_transaction(|connection| {
            require_bucket(connection, bucket)?;
            let mut unreferenced = Vec::new();
            for (key, condition) in keys {
                let existing = find(connection, bucket, key)?;
                condition.check_removal(existing.as_ref().map(|row| row.etag.as_str()))?;
                let Some(row) = existing else { continue };
                diesel::delete(objects::table.find((bucket, key))).execute(connection)?;
                unreferenced.extend(if_unreferenced(connection, row.blob)?);
            }
            Ok(unreferenced)
        })
    }
}

/// Writes the row inside a transaction that the caller holds.
pub(super) fn put(
    connection: &mut SqliteConnection,
    row: &ObjectRow,
    condition: &WriteCondition,
) -> IndexResult<Option<String>> {
    require_bucket(connection, &row.bucket)?;
    let existing = find(connection, &row.bucket, &row.key)?;
    condition.check(existing.as_ref().map(|row| row.etag.as_str()))?;
    diesel::replace_into(objects::table)
        .values(row)
        .execute(connection)?;
    match existing {
        Some(old) if old.blob != row.blob => Ok(if_unreferenced(connection, old.blob)?),
        _ => Ok(None),
    }
}

fn find(
    connection: &mut SqliteConnection,
    bucket: &str,
    key: &str,
) -> QueryResult<Option<ObjectRow>> {
    objects::table
        .find((bucket, key))
        .select(ObjectRow::as_select())
        .first(connection)
        .optional()
}

fn if_unreferenced(connection: &mut SqliteConnection, blob: String) -> QueryResult<Option<String>> {
    let referenced: bool = diesel::select(diesel::dsl::exists(
        objects::table.filter(objects::blob.eq(&blob)),
    ))
    .get_result(connection)?;
    Ok((!referenced).then_some(blob))
}

fn no_such_key(key: &str) -> s3s::S3Error {
    s3_error!(NoSuchKey, "the key {key:?} does not exist")
}
