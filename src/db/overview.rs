//! What a page for operators shows: who is pending for how long, and what became of the uploads of a window.
//!
//! Ids begin with their time, so a window is a range of the primary key, and time is grouped by the beginning of ids: nothing here
//! reads the whole table. Each part looks at [`MOST_ROWS`] rows at most, and says where it had to stop.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamp};

use super::Db;
use super::connection::AnyConnection;
use super::endpoints::{EndpointState, endpoint_states};
use super::row::{StoredDifference, column_time};
use super::schema::{events, uploads};
use super::trouble::{DbTrouble, Failure};
use crate::domain::event::EventType;
use crate::domain::field::FieldName;
use crate::domain::ids::{EventId, UploadId, time_of_digits};
use crate::domain::upload::Status;

/// The most rows that one part of an overview reads.
const MOST_ROWS: i64 = 50_000;
/// The most rejected uploads whose differences are counted.
const MOST_REJECTED: i64 = 1_000;
/// How many characters of an id tell its time to the second: 8 of the 10 that hold the milliseconds.
const SECOND_DIGITS: usize = 8;

/// What to look at.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// From when on.
    pub from: DateTime<Utc>,
    /// Now.
    pub now: DateTime<Utc>,
    /// How many of an id's characters tell its time in the series: 6 are 17 minutes, 7 are 33 seconds, 8 a second.
    pub digits: usize,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Overview {
    /// The pending uploads, by the second in which they were asked for; the oldest ones, if there are too many.
    pub pending: Vec<PendingCell>,
    /// From when on uploads were looked at: the window's beginning, or later if it holds too many.
    pub since: DateTime<Utc>,
    /// What became of the uploads asked for since then: field, status, how many of them were ever confirmed, ever attached, are.
    pub cohort: Vec<Fate>,
    /// When uploads were asked for, and how many.
    pub created: Vec<(DateTime<Utc>, u64)>,
    /// When events of these types happened, and how many.
    pub events: Vec<(EventType, DateTime<Utc>, u64)>,
    /// From when on events were looked at.
    pub events_since: DateTime<Utc>,
    /// The members that the latest rejected uploads contradicted.
    pub rejections: Vec<String>,
    /// Where the endpoints stand that are configured here.
    pub endpoints: Vec<EndpointState>,
    /// Since when the longest overdue upload waits for the sweeper.
    pub due_since: Option<DateTime<Utc>>,
}

/// The uploads of one field and status in a window.
#[derive(Debug, Clone)]
pub struct Fate {
    /// The field.
    pub field: FieldName,
    /// The status that they have now.
    pub status: Status,
    /// How many of them were ever confirmed.
    pub confirmed: u64,
    /// How many of them were ever attached.
    pub attached: u64,
    /// How many.
    pub count: u64,
}

/// Pending uploads that were asked for in the same second.
#[derive(Debug, Clone, Copy)]
pub struct PendingCell {
    /// Which second.
    pub at: DateTime<Utc>,
    /// How many.
    pub count: u64,
    /// Their declared sizes together, in bytes.
    pub bytes: u64,
    /// How many of them are past their deadline.
    pub overdue: u64,
}

impl Db {
    /// Reads an overview. What is found for one part may be a moment older than for the next.
    pub async fn overview(&self, window: Window) -> Result<Overview, DbTrouble> {
        let outbox = self.outbox.clone();
        let query = move |conn: &mut AnyConnection| {
            let from = UploadId::new(window.from, &[0; 10]).to_string();
            let first = first_upload(conn, &from)?;
            let since = first.as_deref().map_or(window.from, upload_time);
            let from = first.unwrap_or(from);
            let first_event = EventId::new(window.from, &[0; 10]).to_string();
            let cut_event = cut_at(conn, &first_event)?;
            Ok(Overview {
                pending: pending(conn, window.now)?,
                since,
                cohort: cohort(conn, &from)?,
                created: created(conn, &from, window.digits)?,
                events_since: cut_event.as_deref().map_or(window.from, event_time),
                events: happened(conn, &cut_event.unwrap_or(first_event), window.digits)?,
                rejections: rejections(conn, &from)?,
                endpoints: endpoint_states(conn, outbox.endpoints())?,
                due_since: due_since(conn)?.filter(|at| *at <= window.now),
            })
        };
        self.readers.read(query).await
    }
}

/// Since when the longest overdue pending upload waits, or when the next one will.
pub(super) fn due_since(conn: &mut AnyConnection) -> QueryResult<Option<DateTime<Utc>>> {
    let due: Option<NaiveDateTime> = uploads::table
        .filter(sql::<diesel::sql_types::Bool>(
            "(status = 'pending') IS TRUE",
        ))
        .select(sql::<Nullable<Timestamp>>(
            "MIN(COALESCE(sweep_after, expires_at))",
        ))
        .first(conn)?;
    Ok(due.map(|at| at.and_utc()))
}

/// The first of the newest [`MOST_ROWS`] uploads, if there are more from `from` on.
fn first_upload(conn: &mut AnyConnection, from: &str) -> QueryResult<Option<String>> {
    uploads::table
        .filter(uploads::id.ge(from))
        .order(uploads::id.desc())
        .offset(MOST_ROWS)
        .limit(1)
        .select(uploads::id)
        .first(conn)
        .optional()
}

/// The same of events.
fn cut_at(conn: &mut AnyConnection, from: &str) -> QueryResult<Option<String>> {
    events::table
        .filter(events::id.ge(from))
        .order(events::id.desc())
        .offset(MOST_ROWS)
        .limit(1)
        .select(events::id)
        .first(conn)
        .optional()
}

/// The characters of an id up to this digit; the prefix has four.
fn cell(digits: usize) -> String {
    format!("SUBSTR(id, 1, {})", 4 + digits)
}

fn pending(conn: &mut AnyConnection, now: DateTime<Utc>) -> Result<Vec<PendingCell>, Failure> {
    let pending = uploads::status.eq(Status::Pending.as_str());
    let last: Option<String> = uploads::table
        .filter(pending)
        .order(uploads::id)
        .offset(MOST_ROWS)
        .limit(1)
        .select(uploads::id)
        .first(conn)
        .optional()?;
    let overdue = sql::<BigInt>("CAST(SUM(CASE WHEN expires_at <= ")
        .bind::<Timestamp, _>(column_time(now))
        .sql(" THEN 1 ELSE 0 END) AS BIGINT)");
    let rows: Vec<(String, i64, i64, i64)> = uploads::table
        .filter(pending)
        .filter(uploads::id.lt(last.unwrap_or_else(|| "upl_~".to_owned())))
        .group_by(sql::<Text>(&cell(SECOND_DIGITS)))
        .select((
            sql::<Text>(&cell(SECOND_DIGITS)),
            count_star(),
            sql::<BigInt>("CAST(SUM(size) AS BIGINT)"),
            overdue,
        ))
        .load(conn)?;
    let cell = |(digits, count, bytes, overdue): (String, i64, i64, i64)| PendingCell {
        at: upload_time(&digits),
        count: counted(count),
        bytes: counted(bytes),
        overdue: counted(overdue),
    };
    Ok(rows.into_iter().map(cell).collect())
}

fn cohort(conn: &mut AnyConnection, from: &str) -> Result<Vec<Fate>, Failure> {
    let ever = |column: &str| {
        sql::<BigInt>(&format!(
            "CAST(SUM(CASE WHEN {column} IS NULL THEN 0 ELSE 1 END) AS BIGINT)"
        ))
    };
    // Not the bare columns: SQLite would walk the index of the fields from end to end to have the groups in order.
    let rows: Vec<(String, String, i64, i64, i64)> = uploads::table
        .filter(uploads::id.ge(from))
        .group_by(sql::<Text>("field || '', status || ''"))
        .select((
            sql::<Text>("field || ''"),
            sql::<Text>("status || ''"),
            ever("confirmed_at"),
            ever("attached_at"),
            count_star(),
        ))
        .load(conn)?;
    let fate = |(field, status, confirmed, attached, count): (String, String, i64, i64, i64)| {
        let bad = || DbTrouble::Internal(format!("{field} {status} can't be read"));
        Ok(Fate {
            field: FieldName::parse(&field).map_err(|_| bad())?,
            status: Status::parse(&status).ok_or_else(bad)?,
            confirmed: counted(confirmed),
            attached: counted(attached),
            count: counted(count),
        })
    };
    let fates: Result<Vec<Fate>, DbTrouble> = rows.into_iter().map(fate).collect();
    Ok(fates?)
}

fn created(
    conn: &mut AnyConnection,
    from: &str,
    digits: usize,
) -> Result<Vec<(DateTime<Utc>, u64)>, Failure> {
    let rows: Vec<(String, i64)> = uploads::table
        .filter(uploads::id.ge(from))
        .group_by(sql::<Text>(&cell(digits)))
        .select((sql::<Text>(&cell(digits)), count_star()))
        .load(conn)?;
    let cell = |(digits, count): (String, i64)| (upload_time(&digits), counted(count));
    Ok(rows.into_iter().map(cell).collect())
}

fn happened(
    conn: &mut AnyConnection,
    from: &str,
    digits: usize,
) -> Result<Vec<(EventType, DateTime<Utc>, u64)>, Failure> {
    let rows: Vec<(String, String, i64)> = events::table
        .filter(events::id.ge(from))
        .group_by(sql::<Text>(&format!("type, {}", cell(digits))))
        .select((
            sql::<Text>("type"),
            sql::<Text>(&cell(digits)),
            count_star(),
        ))
        .load(conn)?;
    let known = |(kind, digits, count): (String, String, i64)| {
        Some((
            EventType::parse(&kind)?,
            event_time(&digits),
            counted(count),
        ))
    };
    Ok(rows.into_iter().filter_map(known).collect())
}

fn rejections(conn: &mut AnyConnection, from: &str) -> Result<Vec<String>, Failure> {
    let texts: Vec<Option<String>> = uploads::table
        .filter(uploads::status.eq(Status::Rejected.as_str()))
        .filter(uploads::id.ge(from))
        .order(uploads::id.desc())
        .limit(MOST_REJECTED)
        .select(uploads::differences)
        .load(conn)?;
    let stored = texts
        .iter()
        .flatten()
        .filter_map(|text| serde_json::from_str::<Vec<StoredDifference>>(text).ok());
    Ok(stored.flatten().map(|it| it.pointer).collect())
}

fn upload_time(id: &str) -> DateTime<Utc> {
    time_of_digits(id.trim_start_matches("upl_"))
}

pub(super) fn event_time(id: &str) -> DateTime<Utc> {
    time_of_digits(id.trim_start_matches("evt_"))
}

/// A count or a sum of sizes is never negative.
pub(super) fn counted(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
