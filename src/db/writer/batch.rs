//! The transaction of a batch: in which order its changes lock rows that other brokers lock too.

use super::attachment_locks;
use super::counter_deltas::{CounterDeltas, PendingQuota};
use super::insert::insert_new;
use super::queue::Item;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};

/// Writes a batch: the attachment locks in one order, the changes one after the other, the new rows, and last the counters. Every broker
/// locks in this order.
pub(in crate::db) fn write_all(
    conn: &mut AnyConnection,
    batch: &mut [Box<dyn Item>],
    quota: PendingQuota,
) -> Result<(), Failure> {
    let mut deltas = CounterDeltas::new(quota);
    let locks = batch
        .iter()
        .filter_map(|item| Some((item.attachment_lock()?, item.upload())));
    attachment_locks::lock_all(conn, locks.collect())?;
    let creates = |item: &dyn Item| item.new_row().is_some();
    for item in batch.iter_mut().filter(|item| !creates(&***item)) {
        item.write(conn, &mut deltas)?;
    }
    let mut new = Vec::new();
    for item in batch.iter_mut().filter(|item| creates(&***item)) {
        if item.before(conn)? {
            new.push(item);
        }
    }
    insert_all(conn, &mut new, &mut deltas)?;
    deltas.settle(conn)
}

/// Reserves the quotas of all new rows, inserts those that are within them in one statement, and refuses the others. If one of the
/// rows exists already, which is rare, the batch fails, and each change is then written by itself and compared with that row.
fn insert_all(
    conn: &mut AnyConnection,
    new: &mut [&mut Box<dyn Item>],
    deltas: &mut CounterDeltas,
) -> Result<(), Failure> {
    let rows: Vec<_> = new.iter().filter_map(|item| item.new_row()).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let verdicts = deltas.reserve(conn, &rows)?;
    let within = rows
        .iter()
        .zip(&verdicts)
        .filter(|(_, over)| over.is_none());
    let within: Vec<_> = within.map(|(row, _)| *row).collect();
    if insert_new(conn, &within)? < within.len() {
        return Err(DbError::Unknown.into());
    }
    within.into_iter().for_each(|row| deltas.created(row));
    for (item, over) in new.iter_mut().zip(verdicts) {
        match over {
            None => item.inserted(),
            Some(over) => item.refuse(conn, over)?,
        }
    }
    Ok(())
}

/// Writes one change in a transaction of its own.
pub(in crate::db) fn write_one(
    conn: &mut AnyConnection,
    item: &mut dyn Item,
    quota: PendingQuota,
) -> Result<(), Failure> {
    let mut deltas = CounterDeltas::new(quota);
    item.write(conn, &mut deltas)?;
    deltas.settle(conn)
}
