//! The index: a SQLite file with buckets, objects, multipart uploads and their parts.
//!
//! Its calls block. Guarantees: a commit is durable before a call returns (WAL, `synchronous = FULL`), every condition is checked inside
//! the transaction that acts on it, and (bucket, key) is unique.

pub(super) mod listing;
pub(super) mod multipart;
pub(super) mod objects;
pub(super) mod schema;

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use self::schema::{buckets, objects as objects_table, parts};
use crate::logging::internal;

/// The most buckets.
const MAX_BUCKETS: i64 = 1_000;

/// The index: one connection for writes, one for reads.
pub(super) struct Index {
    writer: Mutex<SqliteConnection>,
    reader: Mutex<SqliteConnection>,
}

/// Why a call on the index failed.
pub(super) enum IndexError {
    /// SQLite failed; whether a commit took place is unknown.
    Database(diesel::result::Error),
    /// The request is refused; nothing has changed.
    Refused(S3Error),
}

impl From<diesel::result::Error> for IndexError {
    fn from(error: diesel::result::Error) -> IndexError {
        IndexError::Database(error)
    }
}

impl From<S3Error> for IndexError {
    fn from(error: S3Error) -> IndexError {
        IndexError::Refused(error)
    }
}

impl From<IndexError> for S3Error {
    fn from(error: IndexError) -> S3Error {
        match error {
            IndexError::Refused(error) => error,
            IndexError::Database(error) => internal(error),
        }
    }
}

/// The result of a call on the index.
pub(super) type IndexResult<T> = Result<T, IndexError>;

impl Index {
    /// Opens or creates the index in this file.
    ///
    /// # Errors
    /// SQLite's error, with the path.
    pub(super) fn open(file: &Path) -> Result<Index, String> {
        let path = file
            .to_str()
            .ok_or("the path of the index is not valid UTF-8")?;
        let mut writer = connect(path)?;
        writer
            .batch_execute(schema::CREATE)
            .map_err(|error| format!("the index {path} can't be written: {error}"))?;
        let reader = connect(path)?;
        Ok(Index {
            writer: Mutex::new(writer),
            reader: Mutex::new(reader),
        })
    }

    // A poisoned lock stays usable: SQLite refuses a second transaction by itself if one was left open.
    fn write(&self) -> MutexGuard<'_, SqliteConnection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> MutexGuard<'_, SqliteConnection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates the bucket; `false` if it exists already.
    pub(super) fn create_bucket(&self, name: &str, now_ms: i64) -> IndexResult<bool> {
        self.write().immediate_transaction(|connection| {
            if bucket_exists(connection, name)? {
                return Ok(false);
            }
            let count: i64 = buckets::table.count().get_result(connection)?;
            if count >= MAX_BUCKETS {
                return Err(S3Error::new(S3ErrorCode::TooManyBuckets).into());
            }
            diesel::insert_into(buckets::table)
                .values((buckets::name.eq(name), buckets::created_ms.eq(now_ms)))
                .execute(connection)?;
            Ok(true)
        })
    }

    /// Every bucket with its time of creation (Unix milliseconds), by name.
    pub(super) fn buckets(&self) -> IndexResult<Vec<(String, i64)>> {
        Ok(buckets::table
            .order(buckets::name)
            .select((buckets::name, buckets::created_ms))
            .load(&mut *self.read())?)
    }

    /// `NoSuchBucket` unless the bucket exists.
    pub(super) fn require_bucket(&self, name: &str) -> IndexResult<()> {
        Ok(require_bucket(&mut self.read(), name)?)
    }

    /// The names of all blobs that a row references.
    pub(super) fn referenced_blobs(&self) -> IndexResult<HashSet<String>> {
        let connection = &mut *self.read();
        let mut names: HashSet<String> = objects_table::table
            .select(objects_table::blob)
            .load_iter::<String, diesel::connection::DefaultLoadingMode>(connection)?
            .collect::<QueryResult<_>>()?;
        let of_parts: Vec<String> = parts::table.select(parts::blob).load(connection)?;
        names.extend(of_parts);
        Ok(names)
    }
}

fn connect(path: &str) -> Result<SqliteConnection, String> {
    let mut connection = SqliteConnection::establish(path)
        .map_err(|error| format!("the index {path} can't be opened: {error}"))?;
    connection
        .batch_execute(
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;",
        )
        .map_err(|error| format!("the index {path} can't be used: {error}"))?;
    Ok(connection)
}

fn bucket_exists(connection: &mut SqliteConnection, name: &str) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(
        buckets::table.filter(buckets::name.eq(name)),
    ))
    .get_result(connection)
}

fn require_bucket(connection: &mut SqliteConnection, name: &str) -> S3Result<()> {
    match bucket_exists(connection, name) {
        Ok(true) => Ok(()),
        Ok(false) => Err(s3_error!(NoSuchBucket, "the bucket {name} does not exist")),
        Err(error) => Err(internal(error)),
    }
}
