//! What a page for operators shows: who is pending for how long, and what became of the uploads of a window.
//!
//! Ids begin with their time, so a window and its steps are ranges of the primary key, and an age is a range of what is pending: nothing
//! here reads the whole table. Of a window's uploads and events at most [`Window::most_rows`] are looked
//! at, the latest ones, and the answer says from when on.

mod parts;
mod pending;
mod window;

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Timestamp};

use crate::db::Db;
use crate::db::engine::connection::{AnyConnection, snapshot};
use crate::db::engine::error::DbError;
use crate::db::engine::schema::{events, uploads};
use crate::db::events::endpoints::{EndpointState, endpoint_states};
use crate::db::uploads::stats::groups;
use crate::domain::ids::{EventId, UploadId, time_of_digits};

pub use self::pending::{AtLeast, PendingNow};
pub use self::window::{ConfirmTimes, Fate, Outcomes, Rejections};

/// What to look at.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// From when on: the beginning of a step.
    pub from: DateTime<Utc>,
    /// Now.
    pub now: DateTime<Utc>,
    /// How long a step of the series is, in seconds.
    pub step_secs: u64,
    /// Up to which ages pending uploads are counted together, in seconds, the least first.
    pub ages_secs: &'static [u64],
    /// Until when the sweeper tries again what it tried in vain.
    pub postponed_until: DateTime<Utc>,
    /// The most uploads, and the most events, that are looked at.
    pub most_rows: i64,
    /// How far pending uploads of about one age are counted.
    pub most_pending: i64,
}

/// What was found. A series has one element a step, the last one of the step that is under way.
#[derive(Debug, Clone, Default)]
pub struct Overview {
    /// What is pending, asked for in the window or before.
    pub pending: PendingNow,
    /// From when on uploads were looked at: the window's beginning, or later if it holds too many.
    pub since: DateTime<Utc>,
    /// What became of the uploads asked for since then.
    pub cohort: Vec<Fate>,
    /// How many uploads were asked for in each step; `None` where one begins before `since`.
    pub created: Vec<Option<u64>>,
    /// From when on events were looked at.
    pub events_since: DateTime<Utc>,
    /// What happened in each step; `None` where one begins before `events_since`.
    pub happened: Vec<Option<Outcomes>>,
    /// How long the uploads created since `since` took until their confirm.
    pub confirm_times: ConfirmTimes,
    /// Why uploads that were asked for since `since` were rejected.
    pub rejections: Rejections,
    /// Where the endpoints stand that are configured here.
    pub endpoints: Vec<EndpointState>,
    /// Since when the longest overdue upload waits for the sweeper.
    pub due_since: Option<DateTime<Utc>>,
}

impl Db {
    /// Reads an overview. All of it is of one moment.
    pub async fn overview(&self, window: Window) -> Result<Overview, DbError> {
        let outbox = self.outbox.clone();
        let query = move |conn: &mut AnyConnection| {
            snapshot(conn, |conn| {
                let from = UploadId::new(window.from, &[0; 10]).to_string();
                let first = first_upload(conn, &from, window.most_rows)?;
                let since = first.as_deref().map_or(window.from, upload_time);
                let total = match first {
                    Some(_) => window.most_rows + 1,
                    None => uploads_from(conn, &from)?,
                };
                let from = first.unwrap_or(from);
                let counters = groups(conn)?;
                let first_event = EventId::new(window.from, &[0; 10]).to_string();
                let cut_event = cut_at(conn, &first_event, window.most_rows)?;
                let events_since = cut_event.as_deref().map_or(window.from, event_time);
                Ok(Overview {
                    pending: pending::pending(conn, window, &counters)?,
                    since,
                    cohort: window::cohort(conn, &from, total, &counters)?,
                    created: window::created(conn, window, since)?,
                    events_since,
                    happened: window::happened(conn, window, events_since)?,
                    confirm_times: window::confirm_times(conn, &from)?,
                    rejections: window::rejections(conn, &from)?,
                    endpoints: endpoint_states(conn, outbox.endpoints())?,
                    due_since: due_since(conn)?.filter(|at| *at <= window.now),
                })
            })
        };
        self.readers.read(query).await
    }
}

/// Since when the longest overdue pending upload waits, or when the next one will.
pub(in crate::db) fn due_since(conn: &mut AnyConnection) -> QueryResult<Option<DateTime<Utc>>> {
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

fn uploads_from(conn: &mut AnyConnection, from: &str) -> QueryResult<i64> {
    let found = uploads::table.filter(uploads::id.ge(from));
    found.count().get_result(conn)
}

/// The first of the newest `most_rows` uploads and one, if there are more from `from` on.
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

/// The same of events.
fn cut_at(conn: &mut AnyConnection, from: &str, most_rows: i64) -> QueryResult<Option<String>> {
    events::table
        .filter(events::id.ge(from))
        .order(events::id.desc())
        .offset(most_rows)
        .limit(1)
        .select(events::id)
        .first(conn)
        .optional()
}

fn upload_time(id: &str) -> DateTime<Utc> {
    time_of_digits(id.trim_start_matches("upl_"))
}

pub(in crate::db) fn event_time(id: &str) -> DateTime<Utc> {
    time_of_digits(id.trim_start_matches("evt_"))
}

/// A count or a sum of sizes is never negative.
pub(in crate::db) fn counted(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
