//! Attachment locks: on a field of cardinality `one`, each change of a record's attachment first locks the record's slot row.
//!
//! An attach, a detach and a confirm that attaches lock it. They guarantee that changes of one record's attachment run one after the
//! other, in all brokers, and that each sees what the one before has committed.

use diesel::prelude::*;

use crate::db::engine::connection::AnyConnection;
use crate::db::engine::row::find_row;
use crate::db::engine::schema::attachment_slots;
use crate::domain::attachment::ObjectId;
use crate::domain::field::FieldName;
use crate::domain::ids::UploadId;
use crate::domain::upload::Status;

/// The slot of a record: it holds the one upload that is attached to the record's field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::db) struct Slot {
    field: String,
    object_id: String,
}

impl Slot {
    /// The slot of this record.
    pub(in crate::db) fn new(field: &FieldName, object_id: &ObjectId) -> Slot {
        Slot {
            field: field.as_str().to_owned(),
            object_id: object_id.as_str().to_owned(),
        }
    }

    /// Locks the slot until the transaction ends. A free slot is then held by the upload; [`Slot::release`] undoes that.
    pub(in crate::db) fn lock(
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

    /// Gives the slot to this upload.
    pub(in crate::db) fn give(
        &self,
        conn: &mut AnyConnection,
        upload: UploadId,
    ) -> QueryResult<()> {
        let slot = attachment_slots::table.find((&self.field, &self.object_id));
        diesel::update(slot)
            .set(attachment_slots::upload_id.eq(upload.to_string()))
            .execute(conn)?;
        Ok(())
    }

    /// Frees the slot if this upload holds it, which locks it.
    pub(in crate::db) fn free(
        &self,
        conn: &mut AnyConnection,
        upload: UploadId,
    ) -> QueryResult<()> {
        let slot = attachment_slots::table
            .find((&self.field, &self.object_id))
            .filter(attachment_slots::upload_id.eq(upload.to_string()));
        diesel::delete(slot).execute(conn)?;
        Ok(())
    }

    /// Frees the slot unless the upload is attached to this record: by an earlier try, or by the same request in another broker.
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
        self.free(conn, upload)
    }
}

/// Locks all slots of a batch, in one order. SQLite has one writer at a time and needs no locks.
pub(in crate::db) fn lock_all(
    conn: &mut AnyConnection,
    mut slots: Vec<(&Slot, UploadId)>,
) -> QueryResult<()> {
    if matches!(conn, AnyConnection::Sqlite(_)) {
        return Ok(());
    }
    slots.sort();
    slots.dedup_by_key(|(slot, _)| *slot);
    slots
        .into_iter()
        .try_for_each(|(slot, upload)| slot.lock(conn, upload))
}
