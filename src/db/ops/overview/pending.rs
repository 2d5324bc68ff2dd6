//! The pending uploads. Their number comes from the counters; ages and deadlines are counted by an index, each up to
//! [`Window::most_pending`], so that the page also works during a flood of uploads.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamp};

use super::{EachPart, Window};
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::Failure;
use crate::db::engine::row::{column_count, column_time};
use crate::db::engine::schema::uploads;
use crate::db::uploads::stats::Total;
use crate::domain::ids::{UploadId, time_of_id};
use crate::domain::upload::Status;

/// The pending uploads.
#[derive(Debug, Clone, Default)]
pub struct PendingNow {
    /// How many.
    pub count: u64,
    /// The sum of their declared sizes, in bytes.
    pub bytes: u64,
    /// Counts by the age ranges of the window; the last one has no end.
    pub ages: Vec<AtLeast>,
    /// How many are past their deadline.
    pub overdue: AtLeast,
    /// How many of the counted overdue ones the sweeper could not settle and will retry.
    pub postponed: u64,
    /// When the oldest was created.
    pub oldest_created_at: Option<DateTime<Utc>>,
}

/// A count up to a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AtLeast {
    /// The count, or the limit.
    pub count: u64,
    /// Whether there are more.
    pub more: bool,
}

impl AtLeast {
    /// From a count up to `most + 1`.
    fn of(number: i64, most: i64) -> AtLeast {
        AtLeast {
            count: column_count(number.min(most)),
            more: number > most,
        }
    }
}

/// Counts the pending uploads.
pub(in crate::db) fn pending(
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
    let (overdue, postponed) = overdue(conn, window)?;
    let pending = (counters.iter()).filter(|it| it.status == Status::Pending);
    Ok(PendingNow {
        count: pending.clone().map(|it| it.count).sum(),
        bytes: pending.map(|it| it.bytes).sum(),
        ages: by_age(conn, window)?,
        overdue,
        postponed,
        oldest_created_at: oldest.as_deref().map(time_of_id),
    })
}

fn by_age(conn: &mut AnyConnection, window: Window) -> Result<Vec<AtLeast>, Failure> {
    let created_before = |secs: &u64| {
        let age = TimeDelta::seconds(i64::try_from(*secs).unwrap_or(i64::MAX / 1000));
        UploadId::new(window.now - age, &[0; 10]).to_string()
    };
    // From the youngest to the oldest. The first range includes uploads from the future: another broker's clock may be ahead.
    let mut edges = vec!["upl_~".to_owned()];
    edges.extend(window.ages_secs.iter().map(created_before));
    edges.push(String::new());
    let parts: Vec<Vec<String>> = edges
        .windows(2)
        .map(|edges| vec![edges[1].clone(), edges[0].clone()])
        .collect();
    let most = window.most_pending;
    let rows = format!(
        "(SELECT 1 FROM uploads WHERE status = 'pending' AND id >= parts.column1 AND id < parts.column2 LIMIT {}) AS few",
        most + 1
    );
    let counts = EachPart {
        number: "COUNT(*)",
        rows: &rows,
        parts: &parts,
    };
    let counts = counts.load(conn)?.into_iter();
    Ok(counts.map(|count| AtLeast::of(count, most)).collect())
}

/// The overdue uploads, due now or deferred by the sweeper; and how many of them are deferred.
fn overdue(conn: &mut AnyConnection, window: Window) -> Result<(AtLeast, u64), Failure> {
    let most = window.most_pending;
    // As the partial index has it.
    let due_at = "COALESCE(sweep_after, expires_at)";
    let among = |number: &str, condition: &str| {
        sql::<BigInt>(&format!(
            "(SELECT COUNT({number}) FROM (SELECT sweep_after FROM uploads WHERE status = 'pending' AND {due_at} {condition}"
        ))
    };
    let (now, until) = (column_time(window.now), column_time(window.postponed_until));
    let end = format!(" ORDER BY {due_at} LIMIT {}) AS few)", most + 1);
    let due = among("*", "<= ").bind::<Timestamp, _>(now).sql(&end);
    // Only the sweeper writes `sweep_after`, and only for overdue uploads.
    let later = |number: &str| {
        let after = among(number, "> ").bind::<Timestamp, _>(now);
        let within = after.sql(&format!(" AND {due_at} <= "));
        within.bind::<Timestamp, _>(until).sql(&end)
    };
    let (due, postponed, read): (i64, i64, i64) =
        diesel::select((due, later("sweep_after"), later("*"))).get_result(conn)?;
    let found = AtLeast::of(due + postponed, most);
    // Without a deferred one among them, the uploads that were not read are due soon and not overdue.
    let cut = postponed > 0 && read > most;
    let more = found.more || cut;
    Ok((AtLeast { more, ..found }, column_count(postponed.min(most))))
}
