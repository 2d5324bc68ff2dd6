//! The overview of `/ops`: pending uploads by age, and the outcomes of the uploads of a window of time.
//!
//! Ids start with their time, so a window and its steps are ranges of the primary key, and an age is a range of the pending uploads:
//! nothing here reads the whole table. At most [`Window::most_rows`] uploads and as many events of a window are read, the latest
//! ones, and the result says since when.

mod pending;
mod window;

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamp};

use crate::db::Db;
use crate::db::engine::connection::{AnyConnection, snapshot};
use crate::db::engine::error::DbError;
use crate::db::engine::schema::{events, uploads};
use crate::db::events::endpoints::{EndpointState, endpoint_states};
use crate::db::uploads::stats::groups;
use crate::domain::ids::{EventId, UploadId, time_of_id};

pub use self::pending::{AtLeast, PendingNow};
pub use self::window::{CohortCount, ConfirmTimes, Outcomes, Rejections};

/// What to read.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// The start of the window and of its first step.
    pub from: DateTime<Utc>,
    /// Now.
    pub now: DateTime<Utc>,
    /// The length of a step of the series, in seconds.
    pub step_secs: u64,
    /// The ends of the age ranges of pending uploads, in seconds, ascending.
    pub ages_secs: &'static [u64],
    /// The latest time for which the sweeper may have deferred an upload.
    pub postponed_until: DateTime<Utc>,
    /// How many uploads, and how many events, are read at most.
    pub most_rows: i64,
    /// Up to where pending uploads of one age range, and overdue ones, are counted.
    pub most_pending: i64,
}

/// The result. A series has one element for each step; the last step is not over yet.
#[derive(Debug, Clone, Default)]
pub struct Overview {
    /// All pending uploads.
    pub pending: PendingNow,
    /// The start of the uploads that were read: the window's, or later if the window holds more than `most_rows`.
    pub since: DateTime<Utc>,
    /// The uploads created since `since`, by field and status.
    pub cohort: Vec<CohortCount>,
    /// Uploads created in each step; `None` where a step starts before `since`.
    pub created: Vec<Option<u64>>,
    /// The start of the events that were read.
    pub events_since: DateTime<Utc>,
    /// Outcomes in each step; `None` where a step starts before `events_since`.
    pub happened: Vec<Option<Outcomes>>,
    /// The create-to-confirm times of the confirms since `events_since`.
    pub confirm_times: ConfirmTimes,
    /// The rejections of uploads created since `since`.
    pub rejections: Rejections,
    /// The state of the configured endpoints.
    pub endpoints: Vec<EndpointState>,
    /// Since when the longest overdue upload has waited for the sweeper.
    pub due_since: Option<DateTime<Utc>>,
}

impl Db {
    /// Reads an overview in one snapshot.
    pub async fn overview(&self, window: Window) -> Result<Overview, DbError> {
        let outbox = self.outbox.clone();
        let query = move |conn: &mut AnyConnection| {
            snapshot(conn, |conn| {
                let from = UploadId::new(window.from, &[0; 10]).to_string();
                let first = first_upload(conn, &from, window.most_rows)?;
                let since = first.as_deref().map_or(window.from, time_of_id);
                let total = match first {
                    Some(_) => window.most_rows + 1,
                    None => uploads_from(conn, &from)?,
                };
                let from = first.unwrap_or(from);
                let counters = groups(conn)?;
                let from_event = EventId::new(window.from, &[0; 10]).to_string();
                let cut = first_event(conn, &from_event, window.most_rows)?;
                let events_since = cut.as_deref().map_or(window.from, time_of_id);
                let from_event = cut.unwrap_or(from_event);
                let (happened, confirm_times) =
                    window::happened(conn, window, events_since, &from_event)?;
                Ok(Overview {
                    pending: pending::pending(conn, window, &counters)?,
                    since,
                    cohort: window::cohort(conn, &from, total, &counters)?,
                    created: window::created(conn, window, since)?,
                    events_since,
                    happened,
                    confirm_times,
                    rejections: window::rejections(conn, &from)?,
                    endpoints: endpoint_states(conn, outbox.endpoints())?,
                    due_since: due_since(conn)?.filter(|at| *at <= window.now),
                })
            })
        };
        self.readers.read(query).await
    }
}

/// When the pending upload that is due first was or will be due.
pub(in crate::db) fn due_since(conn: &mut AnyConnection) -> QueryResult<Option<DateTime<Utc>>> {
    let due: Option<NaiveDateTime> = uploads::table
        // As the partial index has it. SQLite uses that index only with a comparison of its time.
        .filter(sql::<Bool>("uploads.status = 'pending'"))
        .filter(
            sql::<Timestamp>("COALESCE(sweep_after, expires_at)")
                .ge(DateTime::UNIX_EPOCH.naive_utc()),
        )
        .select(sql::<Nullable<Timestamp>>(
            "MIN(COALESCE(sweep_after, expires_at))",
        ))
        .first(conn)?;
    Ok(due.map(|at| at.and_utc()))
}

fn uploads_from(conn: &mut AnyConnection, from: &str) -> QueryResult<i64> {
    let found = uploads::table.filter(uploads::id.ge(from));
    found.count().get_result(conn)
}

/// The first of the newest `most_rows + 1` uploads, if there are more since `from`.
fn first_upload(
    conn: &mut AnyConnection,
    from: &str,
    most_rows: i64,
) -> QueryResult<Option<String>> {
    uploads::table
        .filter(uploads::id.ge(from))
        .order(uploads::id.desc())
        .offset(most_rows)
        .limit(1)
        .select(uploads::id)
        .first(conn)
        .optional()
}

/// The first of the newest `most_rows + 1` events, if there are more since `from`.
fn first_event(
    conn: &mut AnyConnection,
    from: &str,
    most_rows: i64,
) -> QueryResult<Option<String>> {
    events::table
        .filter(events::id.ge(from))
        .order(events::id.desc())
        .offset(most_rows)
        .limit(1)
        .select(events::id)
        .first(conn)
        .optional()
}

/// `SELECT {number} FROM {rows}` for each of several parts in one statement: one round trip, each part by an index, and no sort.
///
/// `rows` names the texts of a part as `parts.column1` and so on. The first text identifies the part.
struct EachPart<'a> {
    /// An aggregate that is a bigint: `COUNT(*)` or a sum.
    number: &'a str,
    /// A table and its condition: literal SQL, without input of a caller.
    rows: &'a str,
    /// The texts of each part, the same number for all.
    parts: &'a [Vec<String>],
}

impl EachPart<'_> {
    /// The numbers, in the order of the parts.
    fn load(&self, conn: &mut AnyConnection) -> QueryResult<Vec<i64>> {
        if self.parts.is_empty() {
            return Ok(Vec::new());
        }
        let numbers: Vec<(String, i64)> = RunQueryDsl::load(self, conn)?;
        let numbers: BTreeMap<String, i64> = numbers.into_iter().collect();
        let number = |part: &Vec<String>| part.first().and_then(|key| numbers.get(key)).copied();
        let numbers = self.parts.iter().map(|part| number(part).unwrap_or(0));
        Ok(numbers.collect())
    }
}

impl QueryId for EachPart<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for &EachPart<'_> {
    type SqlType = (Text, BigInt);
}

impl RunQueryDsl<AnyConnection> for &EachPart<'_> {}

impl QueryFragment<<AnyConnection as Connection>::Backend> for EachPart<'_> {
    fn walk_ast<'b>(
        &'b self,
        mut out: AstPass<'_, 'b, <AnyConnection as Connection>::Backend>,
    ) -> QueryResult<()> {
        for text in [
            "SELECT parts.column1, (SELECT ",
            self.number,
            " FROM ",
            self.rows,
        ] {
            out.push_sql(text);
        }
        // Both databases name the columns of VALUES column1, column2 and so on.
        out.push_sql(") FROM (VALUES ");
        for (n, part) in self.parts.iter().enumerate() {
            out.push_sql(if n == 0 { "(" } else { ", (" });
            for (n, text) in part.iter().enumerate() {
                out.push_sql(if n == 0 { "" } else { ", " });
                out.push_bind_param::<Text, _>(text)?;
            }
            out.push_sql(")");
        }
        out.push_sql(") AS parts");
        Ok(())
    }
}
