//! The row of an upload and its conversion from and to the domain's [`Upload`], in one place. A row that can't be converted is an
//! internal error that names the column.

use chrono::{DateTime, NaiveDateTime, SubsecRound as _, Utc};
use diesel::prelude::*;

use super::connection::AnyConnection;
use super::error::{DbError, Failure};
use super::schema::{seal_attempts, uploads};
use crate::domain::attachment::ObjectId;
use crate::domain::checksum::{Checksum, ChecksumAlgorithm};
use crate::domain::field::FieldName;
use crate::domain::file_name::FileName;
use crate::domain::ids::{GrantId, UploadId};
use crate::domain::media_type::MediaType;
use crate::domain::object_key::FinalKey;
use crate::domain::upload::{Confirmation, ConfirmedBy, FieldError, Status, Upload};

/// A row of `uploads`.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = uploads, treat_none_as_default_value = false)]
pub(in crate::db) struct UploadRow {
    pub(in crate::db) id: String,
    pub(in crate::db) status: String,
    pub(in crate::db) version: i64,
    pub(in crate::db) field: String,
    pub(in crate::db) owner: String,
    pub(in crate::db) bucket: String,
    pub(in crate::db) object_key: Option<String>,
    pub(in crate::db) name: Option<String>,
    pub(in crate::db) filename: String,
    pub(in crate::db) content_type: String,
    pub(in crate::db) size: i64,
    pub(in crate::db) checksum_algorithm: Option<String>,
    pub(in crate::db) checksum_value: Option<String>,
    pub(in crate::db) created_at: NaiveDateTime,
    pub(in crate::db) expires_at: NaiveDateTime,
    pub(in crate::db) url_lifetime_secs: i32,
    pub(in crate::db) confirmed_at: Option<NaiveDateTime>,
    pub(in crate::db) confirmed_by: Option<String>,
    pub(in crate::db) etag: Option<String>,
    pub(in crate::db) differences: Option<String>,
    pub(in crate::db) object_removed_at: Option<NaiveDateTime>,
    pub(in crate::db) object_id: Option<String>,
    pub(in crate::db) attach_at_confirm: bool,
    pub(in crate::db) grant_id: Option<String>,
    pub(in crate::db) attached_at: Option<NaiveDateTime>,
    pub(in crate::db) detached_at: Option<NaiveDateTime>,
    pub(in crate::db) remove_after: Option<NaiveDateTime>,
}

/// A row of `seal_attempts`.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = seal_attempts, treat_none_as_default_value = false)]
pub(in crate::db) struct AttemptRow {
    pub(in crate::db) object_key: String,
    pub(in crate::db) name: String,
    pub(in crate::db) upload_id: String,
    pub(in crate::db) state: String,
    pub(in crate::db) started_at: NaiveDateTime,
    pub(in crate::db) object_removed_at: Option<NaiveDateTime>,
}

/// A time in the precision of both databases: whole microseconds.
pub(in crate::db) fn whole_micros(at: DateTime<Utc>) -> DateTime<Utc> {
    at.trunc_subsecs(6)
}

/// A time for a column.
pub(in crate::db) fn column_time(at: DateTime<Utc>) -> NaiveDateTime {
    whole_micros(at).naive_utc()
}

/// A count or a sum of sizes, which is never below zero.
pub(in crate::db) fn column_count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// The field errors of a rejection, for their column.
pub(in crate::db) fn errors_text(errors: &[FieldError]) -> Result<String, DbError> {
    serde_json::to_string(errors).map_err(|error| DbError::Internal(error.to_string()))
}

fn bad(column: &str, row: &str) -> DbError {
    DbError::Internal(format!("uploads.{column} of {row} can't be read"))
}

/// Finds an upload by its id.
pub(in crate::db) fn find(
    conn: &mut AnyConnection,
    id: UploadId,
) -> Result<Option<Upload>, Failure> {
    let row = find_row(conn, &id.to_string())?;
    Ok(row.map(UploadRow::into_upload).transpose()?)
}

/// Finds an upload's row by its id.
pub(in crate::db) fn find_row(
    conn: &mut AnyConnection,
    id: &str,
) -> QueryResult<Option<UploadRow>> {
    uploads::table
        .filter(uploads::id.eq(id))
        .select(UploadRow::as_select())
        .first(conn)
        .optional()
}

/// Finds the upload that an earlier attempt of the same request created: the row with the id of `new` and the same request. A row of
/// another request with this id is an internal error.
pub(in crate::db) fn find_own(
    conn: &mut AnyConnection,
    new: &UploadRow,
) -> Result<Option<Upload>, Failure> {
    match find_row(conn, &new.id)? {
        None => Ok(None),
        Some(row) if row.same_request(new) => Ok(Some(row.into_upload()?)),
        Some(_) => {
            let why = format!("the id {} is taken by another request", new.id);
            Err(Failure::Refused(DbError::Internal(why)))
        }
    }
}

/// Converts rows; the first that can't be converted is the error.
pub(in crate::db) fn uploads_of(rows: Vec<UploadRow>) -> Result<Vec<Upload>, Failure> {
    let uploads: Result<Vec<Upload>, DbError> =
        rows.into_iter().map(UploadRow::into_upload).collect();
    Ok(uploads?)
}

impl UploadRow {
    /// The row of an upload that was never confirmed. A number that its column can't hold is an error.
    pub(in crate::db) fn of_pending(upload: &Upload) -> Result<UploadRow, DbError> {
        let id = upload.id.to_string();
        let size = i64::try_from(upload.size).map_err(|_| bad("size", &id))?;
        let url_lifetime_secs =
            i32::try_from(upload.url_lifetime_secs).map_err(|_| bad("url_lifetime_secs", &id))?;
        Ok(UploadRow {
            id,
            status: upload.status.as_str().to_owned(),
            version: upload.version,
            field: upload.field.as_str().to_owned(),
            owner: upload.owner.clone(),
            bucket: upload.bucket.clone(),
            object_key: None,
            name: None,
            filename: upload.filename.as_str().to_owned(),
            content_type: upload.content_type.as_str().to_owned(),
            size,
            checksum_algorithm: upload
                .checksum
                .as_ref()
                .map(|sum| sum.algorithm().as_str().to_owned()),
            checksum_value: upload.checksum.as_ref().map(|sum| sum.value().to_owned()),
            created_at: column_time(upload.created_at),
            expires_at: column_time(upload.expires_at),
            url_lifetime_secs,
            confirmed_at: None,
            confirmed_by: None,
            etag: None,
            differences: None,
            object_removed_at: None,
            object_id: upload.object_id.as_ref().map(|id| id.as_str().to_owned()),
            attach_at_confirm: upload.attach_at_confirm,
            grant_id: upload.grant.map(|grant| grant.to_string()),
            attached_at: None,
            detached_at: None,
            remove_after: None,
        })
    }

    /// Whether two rows are of the same request: whether all columns that are fixed at creation are equal.
    pub(in crate::db) fn same_request(&self, other: &UploadRow) -> bool {
        let fixed = |row: &UploadRow| UploadRow {
            status: String::new(),
            version: 0,
            object_key: None,
            name: None,
            confirmed_at: None,
            confirmed_by: None,
            etag: None,
            differences: None,
            object_removed_at: None,
            attached_at: None,
            detached_at: None,
            remove_after: None,
            ..row.clone()
        };
        fixed(self) == fixed(other)
    }

    /// The upload that this row describes.
    pub(in crate::db) fn into_upload(self) -> Result<Upload, DbError> {
        let bad = |column: &str| bad(column, &self.id);
        let confirmation = self.confirmation()?;
        let checksum = self.checksum()?;
        let errors = self.errors()?;
        let object_id = self.object_id.as_deref().map(ObjectId::parse).transpose();
        let grant = self.grant_id.as_deref().map(GrantId::parse).transpose();
        Ok(Upload {
            id: UploadId::parse(&self.id).map_err(|_| bad("id"))?,
            status: Status::parse(&self.status).ok_or_else(|| bad("status"))?,
            version: self.version,
            field: FieldName::parse(&self.field).map_err(|_| bad("field"))?,
            filename: FileName::parse(&self.filename).map_err(|_| bad("filename"))?,
            content_type: MediaType::parse(&self.content_type)
                .ok_or_else(|| bad("content_type"))?,
            size: u64::try_from(self.size).map_err(|_| bad("size"))?,
            checksum,
            created_at: self.created_at.and_utc(),
            expires_at: self.expires_at.and_utc(),
            url_lifetime_secs: u32::try_from(self.url_lifetime_secs)
                .map_err(|_| bad("url_lifetime_secs"))?,
            confirmation,
            errors,
            object_id: object_id.map_err(|_| bad("object_id"))?,
            attach_at_confirm: self.attach_at_confirm,
            grant: grant.map_err(|_| bad("grant_id"))?,
            attached_at: self.attached_at.map(|at| at.and_utc()),
            detached_at: self.detached_at.map(|at| at.and_utc()),
            remove_after: self.remove_after.map(|at| at.and_utc()),
            object_removed_at: self.object_removed_at.map(|at| at.and_utc()),
            owner: self.owner,
            bucket: self.bucket,
        })
    }

    fn checksum(&self) -> Result<Option<Checksum>, DbError> {
        match (&self.checksum_algorithm, &self.checksum_value) {
            (None, None) => Ok(None),
            (Some(algorithm), Some(value)) => ChecksumAlgorithm::parse(algorithm)
                .and_then(|algorithm| Checksum::new(algorithm, value).ok())
                .map(Some)
                .ok_or_else(|| bad("checksum_value", &self.id)),
            _ => Err(bad("checksum_algorithm", &self.id)),
        }
    }

    fn confirmation(&self) -> Result<Option<Confirmation>, DbError> {
        let Some(key) = &self.object_key else {
            return Ok(None);
        };
        let missing = |column| bad(column, &self.id);
        let name = self.name.clone().ok_or_else(|| missing("name"))?;
        let by = self.confirmed_by.as_deref().and_then(ConfirmedBy::parse);
        Ok(Some(Confirmation {
            key: FinalKey::recorded(key.clone(), name),
            etag: self.etag.clone().ok_or_else(|| missing("etag"))?,
            at: self
                .confirmed_at
                .ok_or_else(|| missing("confirmed_at"))?
                .and_utc(),
            by: by.ok_or_else(|| missing("confirmed_by"))?,
        }))
    }

    fn errors(&self) -> Result<Vec<FieldError>, DbError> {
        let Some(text) = &self.differences else {
            return Ok(Vec::new());
        };
        serde_json::from_str(text).map_err(|_| bad("differences", &self.id))
    }
}
