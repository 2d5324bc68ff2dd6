//! Slots: on a field of cardinality `one`, the row that everybody who attaches to a record has to lock first.
//!
//! An attach, a detach and a confirm that attaches use them. The guarantee: who changes what is attached to a record waits for
//! whoever changes it now, in this broker or another, and then sees what that one has committed.

use diesel::prelude::*;

use crate::db::engine::connection::AnyConnection;
use crate::db::engine::schema::attachment_slots;
use crate::db::uploads::find::find_row;
use crate::domain::attachment::ObjectId;
use crate::domain::field::FieldName;
use crate::domain::ids::UploadId;
use crate::domain::upload::Status;

/// The place for the one upload of a record's field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::db) struct Slot {
    field: String,
    object_id: String,
}

impl Slot {
    /// That of this record.
    pub(in crate::db) fn new(field: &FieldName, object_id: &ObjectId) -> Slot {
        Slot {
            field: field.as_str().to_owned(),
            object_id: object_id.as_str().to_owned(),
        }
    }

    /// Locks it until the transaction ends. A free one is held by the upload from then on: [`Slot::release`] takes that back.
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

    /// Gives it to this upload, whoever held it.
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

    /// Frees it, if this upload holds it; locks it if so.
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

    /// Frees it, unless the upload is attached to this record: an earlier try did that, or the same request by another.
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

/// Locks every slot of a batch, in one order. SQLite has one writer at a time and needs none of it.
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
