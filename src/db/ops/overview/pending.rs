//! What is pending now. How much it is the counters know, whatever it is; ages and deadlines are counted by an index, each up to
//! [`Window::most_pending`], so that a flood of uploads doesn't keep the page from those who must see it.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamp};

use super::parts::EachPart;
use super::{Window, counted, upload_time};
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::Failure;
use crate::db::engine::schema::uploads;
use crate::db::uploads::row::column_time;
use crate::db::uploads::stats::Total;
use crate::domain::ids::UploadId;
use crate::domain::upload::Status;

/// What is pending now.
#[derive(Debug, Clone, Default)]
pub struct PendingNow {
    /// How many.
    pub count: u64,
    /// Their declared sizes together, in bytes.
    pub bytes: u64,
    /// How many are younger than each of the window's ages and not younger than the one before; the last are those that are older.
    pub ages: Vec<AtLeast>,
    /// How many are past their deadline.
    pub overdue: AtLeast,
    /// How many of those that were counted the sweeper tried in vain, and tries again later.
    pub postponed: u64,
    /// When the oldest was asked for.
    pub oldest_created_at: Option<DateTime<Utc>>,
}

/// A number that was counted up to a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AtLeast {
    /// So many.
    pub count: u64,
    /// Whether there are more.
    pub more: bool,
}

impl AtLeast {
    /// Of one that was counted to one beyond its limit.
    fn of(number: i64, most: i64) -> AtLeast {
        AtLeast {
            count: counted(number.min(most)),
            more: number > most,
        }
    }
}

/// Counts what is pending.
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
        oldest_created_at: oldest.as_deref().map(upload_time),
    })
}

fn by_age(conn: &mut AnyConnection, window: Window) -> Result<Vec<AtLeast>, Failure> {
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

/// How many are past their deadline: those that the sweeper may try now, and those that it tried in vain and tries again later. And
/// how many of them are of the second kind.
fn overdue(conn: &mut AnyConnection, window: Window) -> Result<(AtLeast, u64), Failure> {
    let most = window.most_pending;
    let next_try = "COALESCE(sweep_after, expires_at)";
    let among = |number: &str, condition: &str| {
        sql::<BigInt>(&format!(
            "(SELECT COUNT({number}) FROM (SELECT sweep_after FROM uploads WHERE (status = 'pending') IS TRUE AND {next_try} {condition}"
        ))
    };
    let (now, until) = (column_time(window.now), column_time(window.postponed_until));
    let end = format!(" ORDER BY {next_try} LIMIT {}) AS few)", most + 1);
    let due = among("*", "<= ").bind::<Timestamp, _>(now).sql(&end);
    // Only the sweeper writes `sweep_after`, of what is past its deadline.
    let later = |number: &str| {
        let after = among(number, "> ").bind::<Timestamp, _>(now);
        let within = after.sql(&format!(" AND {next_try} <= "));
        within.bind::<Timestamp, _>(until).sql(&end)
    };
    let (due, postponed, looked_at): (i64, i64, i64) =
        diesel::select((due, later("sweep_after"), later("*"))).get_result(conn)?;
    let found = AtLeast::of(due + postponed, most);
    // Where none was postponed, what was not looked at are uploads that fall due soon, and a flood of those is no trouble.
    let cut = postponed > 0 && looked_at > most;
    let more = found.more || cut;
    Ok((AtLeast { more, ..found }, counted(postponed.min(most))))
}
