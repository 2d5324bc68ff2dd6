//! Attachment locks: on a field of cardinality `one`, the row of a record that each change of its attachment locks first.
//!
//! An attach, a detach, and a confirm that attaches take it. Two changes of one record's attachment run one after the other, in this
//! broker or another, and the second sees the commit of the first.

use diesel::prelude::*;

use crate::db::engine::connection::AnyConnection;
use crate::db::engine::row::find_row;
use crate::db::engine::schema::attachment_slots;
use crate::domain::attachment::ObjectId;
use crate::domain::field::FieldName;
use crate::domain::ids::UploadId;
use crate::domain::upload::Status;

/// The lock of one record's field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::db) struct AttachmentLock {
    field: String,
    object_id: String,
}

impl AttachmentLock {
    /// The lock of this record.
    pub(in crate::db) fn new(field: &FieldName, object_id: &ObjectId) -> AttachmentLock {
        AttachmentLock {
            field: field.as_str().to_owned(),
            object_id: object_id.as_str().to_owned(),
        }
    }

    /// Locks the row until the transaction ends. A missing row is inserted for this upload; [`AttachmentLock::release`]
    /// deletes it again.
    pub(in crate::db) fn acquire(
        &self,
        conn: &mut AnyConnection,
        upload: UploadId,
    ) -> QueryResult<()> {
        let insert = diesel::insert_into(attachment_slots::table).values((
            attachment_slots::field.eq(&self.field),
            attachment_slots::object_id.eq(&self.object_id),
            attachment_slots::upload_id.eq(upload.to_string()),
        ));
        // An update that changes nothing, because only an update locks. One arm each: MultiConnection has no `on_conflict`.
        macro_rules! locked {
            ($conn:expr) => {
                insert
                    .on_conflict((attachment_slots::field, attachment_slots::object_id))
                    .do_update()
                    .set(attachment_slots::upload_id.eq(attachment_slots::upload_id))
                    .execute($conn)?
            };
        }
        match conn {
            AnyConnection::Sqlite(conn) => locked!(conn),
            AnyConnection::Postgres(conn) => locked!(conn),
        };
        Ok(())
    }

    /// Writes this upload into the row, in place of any other.
    pub(in crate::db) fn assign(
        &self,
        conn: &mut AnyConnection,
        upload: UploadId,
    ) -> QueryResult<()> {
        let row = attachment_slots::table.find((&self.field, &self.object_id));
        diesel::update(row)
            .set(attachment_slots::upload_id.eq(upload.to_string()))
            .execute(conn)?;
        Ok(())
    }

    /// Deletes the row if it is this upload's, unless the upload is attached to the record: an earlier try or a concurrent
    /// request with the same key did that.
    pub(in crate::db) fn release(
        &self,
        conn: &mut AnyConnection,
        upload: UploadId,
    ) -> QueryResult<()> {
        let row = find_row(conn, &upload.to_string())?;
        let attached = row.is_some_and(|row| {
            row.status == Status::Attached.as_str()
                && row.field == self.field
                && row.object_id.as_deref() == Some(&self.object_id)
        });
        if attached {
            return Ok(());
        }
        let own = attachment_slots::table
            .find((&self.field, &self.object_id))
            .filter(attachment_slots::upload_id.eq(upload.to_string()));
        diesel::delete(own).execute(conn)?;
        Ok(())
    }
}

/// Takes all locks of a batch, in one order. SQLite has one writer at a time and needs no locks.
pub(in crate::db) fn lock_all(
    conn: &mut AnyConnection,
    mut locks: Vec<(&AttachmentLock, UploadId)>,
) -> QueryResult<()> {
    if matches!(conn, AnyConnection::Sqlite(_)) {
        return Ok(());
    }
    locks.sort();
    locks.dedup_by_key(|(lock, _)| *lock);
    locks
        .into_iter()
        .try_for_each(|(lock, upload)| lock.acquire(conn, upload))
}
