//! Uploads as they begin, finding one, and noting that an object is gone.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::row::{UploadRow, column_time, whole_micros};
use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::queue::Write;
use crate::db::engine::schema::uploads;
use crate::db::uploads::counter_deltas::CounterDeltas;
use crate::domain::attachment::ObjectId;
use crate::domain::ids::{GrantId, UploadId};
use crate::domain::upload::{Status, Upload};
use crate::policy::evidence::Admitted;

/// What an upload is created from.
#[derive(Debug, Clone)]
pub struct NewUpload {
    /// Its id, new.
    pub id: UploadId,
    /// Whose it is.
    pub owner: String,
    /// The bucket it goes to.
    pub bucket: String,
    /// The record that it is meant for.
    pub object_id: Option<ObjectId>,
    /// Whether a confirm attaches it to that record.
    pub attach_at_confirm: bool,
    /// The grant that it is made under.
    pub grant: Option<GrantId>,
    /// Now.
    pub created_at: DateTime<Utc>,
    /// Its own deadline.
    pub expires_at: DateTime<Utc>,
    /// What its field's policy accepted.
    pub admitted: Admitted,
}

impl NewUpload {
    pub(in crate::db) fn into_upload(self) -> Upload {
        Upload {
            id: self.id,
            status: Status::Pending,
            version: 0,
            field: self.admitted.policy().name.clone(),
            owner: self.owner,
            object_id: self.object_id,
            attach_at_confirm: self.attach_at_confirm,
            grant: self.grant,
            bucket: self.bucket,
            filename: self.admitted.filename().clone(),
            content_type: self.admitted.content_type(),
            size: self.admitted.size(),
            checksum: self.admitted.checksum().cloned(),
            created_at: whole_micros(self.created_at),
            expires_at: whole_micros(self.expires_at),
            url_lifetime_secs: self.admitted.policy().url_lifetime_secs,
            confirmation: None,
            errors: Vec::new(),
            attached_at: None,
            detached_at: None,
            remove_after: None,
            object_removed_at: None,
        }
    }
}

impl Db {
    /// Any upload, whoever owns it: the broker decides whether its caller may see it.
    pub async fn find_upload(&self, id: UploadId) -> Result<Option<Upload>, DbError> {
        self.readers.read(move |conn| find(conn, id)).await
    }

    /// Notes when the upload's recorded object was seen to be removed. The first time stays.
    pub async fn object_removed(&self, upload: UploadId, at: DateTime<Utc>) -> Result<(), DbError> {
        self.queue.submit(ObjectRemoved { upload, at }).await
    }
}

/// Finds an upload by its id.
pub(in crate::db) fn find(
    conn: &mut AnyConnection,
    id: UploadId,
) -> Result<Option<Upload>, Failure> {
    let row = find_row(conn, &id.to_string())?;
    Ok(row.map(UploadRow::into_upload).transpose()?)
}

/// Finds an upload's row.
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

/// The upload of this very row, as an earlier try of the same request left it; `None` where nothing has the id. That another
/// request has it is a fault.
pub(in crate::db) fn find_own(
    conn: &mut AnyConnection,
    asked: &UploadRow,
) -> Result<Option<Upload>, Failure> {
    match find_row(conn, &asked.id)? {
        None => Ok(None),
        Some(row) if row.same_request(asked) => Ok(Some(row.into_upload()?)),
        Some(_) => {
            let why = format!("the id {} is taken by another request", asked.id);
            Err(Failure::Refused(DbError::Internal(why)))
        }
    }
}

struct ObjectRemoved {
    upload: UploadId,
    at: DateTime<Utc>,
}

impl Write for ObjectRemoved {
    type Answer = ();

    fn upload(&self) -> UploadId {
        self.upload
    }

    fn write(&self, conn: &mut AnyConnection, _: &mut CounterDeltas) -> Result<(), Failure> {
        diesel::update(uploads::table)
            .filter(uploads::id.eq(self.upload.to_string()))
            .filter(uploads::object_removed_at.is_null())
            .set(uploads::object_removed_at.eq(column_time(self.at)))
            .execute(conn)?;
        Ok(())
    }
}
