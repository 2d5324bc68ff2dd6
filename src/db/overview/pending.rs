//! What is pending now: exact however much it is, because all but the bytes is counted by an index, and those a counter knows.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Timestamp};

use super::parts::EachPart;
use super::{Window, counted, upload_time};
use crate::db::connection::AnyConnection;
use crate::db::row::column_time;
use crate::db::schema::uploads;
use crate::db::stats::Total;
use crate::db::trouble::Failure;
use crate::domain::ids::UploadId;
use crate::domain::upload::Status;

/// What is pending now.
#[derive(Debug, Clone, Default)]
pub struct PendingNow {
    /// How many are younger than each of the window's ages and not younger than the one before; the last are those that are older.
    pub ages: Vec<u64>,
    /// Their declared sizes together, in bytes.
    pub bytes: u64,
    /// How many of them are past their deadline.
    pub overdue: u64,
    /// When the oldest was asked for.
    pub oldest_created_at: Option<DateTime<Utc>>,
}

/// Counts what is pending.
pub(super) fn pending(
    conn: &mut AnyConnection,
    window: Window,
    counters: &[Total],
) -> Result<PendingNow, Failure> {
    let oldest: Option<String> = uploads::table
        .filter(uploads::status.eq(Status::Pending.as_str()))
        .order(uploads::id)
        .limit(1)
        .select(uploads::id)
        .first(conn)
        .optional()?;
    let pending = (counters.iter()).filter(|it| it.status == Status::Pending);
    Ok(PendingNow {
        ages: by_age(conn, window)?,
        bytes: pending.map(|it| it.bytes).sum(),
        overdue: overdue(conn, window.now)?,
        oldest_created_at: oldest.as_deref().map(upload_time),
    })
}

fn by_age(conn: &mut AnyConnection, window: Window) -> Result<Vec<u64>, Failure> {
    let asked_before = |secs: &u64| {
        let age = TimeDelta::seconds(i64::try_from(*secs).unwrap_or(i64::MAX / 1000));
        UploadId::new(window.now - age, &[0; 10]).to_string()
    };
    // From the youngest to the oldest; one that seems to come from the future is young.
    let mut edges = vec!["upl_~".to_owned()];
    edges.extend(window.ages_secs.iter().map(asked_before));
    edges.push(String::new());
    let parts: Vec<Vec<String>> = edges
        .windows(2)
        .map(|edges| vec![edges[1].clone(), edges[0].clone()])
        .collect();
    let counts = EachPart {
        number: "COUNT(*)",
        rows: "uploads WHERE status = 'pending' AND id >= parts.column1 AND id < parts.column2",
        parts: &parts,
    };
    Ok(counts.load(conn)?.into_iter().map(counted).collect())
}

/// How many are past their deadline: those that the sweeper may try now, and those that it tried in vain and tries again later.
fn overdue(conn: &mut AnyConnection, now: DateTime<Utc>) -> Result<u64, Failure> {
    let next_try = "COALESCE(sweep_after, expires_at)";
    let is_pending = sql::<Bool>("(status = 'pending') IS TRUE");
    let due: i64 = uploads::table
        .filter(is_pending.clone())
        .filter(sql::<Timestamp>(next_try).le(column_time(now)))
        .count()
        .get_result(conn)?;
    let postponed: i64 = uploads::table
        .filter(is_pending)
        .filter(sql::<Timestamp>(next_try).gt(column_time(now)))
        // Only the sweeper writes it, of what is past its deadline.
        .filter(uploads::sweep_after.is_not_null())
        .count()
        .get_result(conn)?;
    Ok(counted(due) + counted(postponed))
}
