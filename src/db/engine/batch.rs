//! What the writer does inside one transaction: the order in which a batch's changes lock what others may want too.

use super::connection::AnyConnection;
use super::queue::Item;
use crate::db::engine::error::{DbError, Failure};
use crate::db::uploads::attachment_locks;
use crate::db::uploads::counter_deltas::{CounterDeltas, PendingQuota};
use crate::db::uploads::insert::insert_new;

/// The slots in one order, then the changes one after the other, then what the new rows contend for, and last the counters with the
/// rows in between: what others may hold is locked in this order by everybody.
pub(in crate::db) fn write_all(
    conn: &mut AnyConnection,
    batch: &mut [Box<dyn Item>],
    quota: PendingQuota,
) -> Result<(), Failure> {
    let mut books = CounterDeltas::new(quota);
    let slots = batch
        .iter()
        .filter_map(|item| Some((item.slot()?, item.upload())));
    attachment_locks::lock_all(conn, slots.collect())?;
    let makes = |item: &dyn Item| item.new_row().is_some();
    for item in batch.iter_mut().filter(|item| !makes(&***item)) {
        item.write(conn, &mut books)?;
    }
    let mut making = Vec::new();
    for item in batch.iter_mut().filter(|item| makes(&***item)) {
        if item.before(conn)? {
            making.push(item);
        }
    }
    insert_all(conn, &mut making, &mut books)?;
    books.settle(conn)
}

/// Reserves for all new rows, inserts those that have room in one statement, and refuses the others. Where one of the rows is there
/// already, which is rare, the batch fails: written by itself, each finds its own row, or another's, and compares.
fn insert_all(
    conn: &mut AnyConnection,
    making: &mut [&mut Box<dyn Item>],
    books: &mut CounterDeltas,
) -> Result<(), Failure> {
    let rows: Vec<_> = making.iter().filter_map(|item| item.new_row()).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let verdicts = books.reserve(conn, &rows)?;
    let with_room = rows
        .iter()
        .zip(&verdicts)
        .filter(|(_, over)| over.is_none());
    let with_room: Vec<_> = with_room.map(|(row, _)| *row).collect();
    if insert_new(conn, &with_room)? < with_room.len() {
        return Err(DbError::Unknown.into());
    }
    with_room.into_iter().for_each(|row| books.created(row));
    for (item, over) in making.iter_mut().zip(verdicts) {
        match over {
            None => item.inserted(),
            Some(over) => item.refuse(conn, over)?,
        }
    }
    Ok(())
}

/// One change by itself.
pub(in crate::db) fn write_one(
    conn: &mut AnyConnection,
    item: &mut dyn Item,
    quota: PendingQuota,
) -> Result<(), Failure> {
    let mut books = CounterDeltas::new(quota);
    item.write(conn, &mut books)?;
    books.settle(conn)
}
