//! The uploads of a window: by status, over time, by create-to-confirm time and by rejection reason.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::{EachPart, Window};
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::schema::uploads;
use crate::db::uploads::row::{StoredFieldError, column_count};
use crate::db::uploads::stats::Total;
use crate::domain::event::EventType;
use crate::domain::field::FieldName;
use crate::domain::ids::{EventId, UploadId};
use crate::domain::upload::Status;

/// How many rejected uploads are read for their reasons.
const MOST_REJECTED: i64 = 5_000;

/// The uploads of one field and status in a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// The field.
    pub field: FieldName,
    /// Their status now.
    pub status: Status,
    /// How many.
    pub count: u64,
    /// How many of them were attached at some time.
    pub attached: u64,
}

/// Status changes within a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcomes {
    /// Uploads confirmed.
    pub confirmed: u64,
    /// Uploads rejected.
    pub rejected: u64,
    /// Uploads expired.
    pub expired: u64,
}

/// Create-to-confirm times.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ConfirmTimes {
    /// The number of confirmed uploads.
    pub count: u64,
    /// The median, in seconds; `None` without a confirm.
    pub p50_secs: Option<f64>,
    /// The 99th percentile, in seconds; `None` without a confirm.
    pub p99_secs: Option<f64>,
}

/// Reasons of rejections.
#[derive(Debug, Clone, Default)]
pub struct Rejections {
    /// How many rejected uploads were read, the latest ones.
    pub looked_at: u64,
    /// The members of the declaration that objects contradict, and how often; the most frequent first. One upload may have several.
    pub reasons: Vec<(String, u64)>,
}

/// The `total` uploads since `from`, by field and status.
///
/// Only indexes are read, and few rows are grouped, because SQLite sorts to group: the most frequent status is not read but is the
/// rest of its field's uploads.
pub(in crate::db) fn cohort(
    conn: &mut AnyConnection,
    from: &str,
    total: i64,
    counters: &[Total],
) -> Result<Vec<Fate>, Failure> {
    let fields: BTreeSet<&str> = counters.iter().map(|it| it.field.as_str()).collect();
    let parts: Vec<Vec<String>> = (fields.into_iter())
        .map(|field| vec![field.to_owned(), from.to_owned()])
        .collect();
    let by_field = EachPart {
        number: "COUNT(*)",
        rows: "uploads WHERE field = parts.column1 AND id >= parts.column2",
        parts: &parts,
    };
    let by_field = by_field.load(conn)?;
    // Without a field's counters its rows are missing here: then all statuses are read.
    let knows_all = by_field.iter().sum::<i64>() == total;
    let most = most_frequent(counters).filter(|_| knows_all);
    let mut rows = grouped(conn, from, most)?;
    if let Some(most) = most {
        for (part, count) in parts.iter().zip(by_field) {
            let others = rows.iter().filter(|(_, field, _)| *field == part[0]);
            let left = count - others.map(|(_, _, count)| count).sum::<i64>();
            rows.push((most.as_str().to_owned(), part[0].clone(), left));
        }
    }
    let attached = attached_and_deleted(conn, from)?;
    rows.retain(|(_, _, count)| *count > 0);
    let fates = rows.into_iter().map(|row| fate(row, &attached));
    Ok(fates.collect::<Result<_, _>>()?)
}

fn most_frequent(counters: &[Total]) -> Option<Status> {
    let count = |status: &Status| -> u64 {
        let own = counters.iter().filter(|it| it.status == *status);
        own.map(|it| it.count).sum()
    };
    Status::ALL.into_iter().max_by_key(count)
}

/// Status, field and count, without one status.
fn grouped(
    conn: &mut AnyConnection,
    from: &str,
    except: Option<Status>,
) -> QueryResult<Vec<(String, String, i64)>> {
    let statuses = Status::ALL.into_iter().filter(|it| Some(*it) != except);
    let statuses: Vec<String> = statuses.map(|it| format!("'{it}'")).collect();
    uploads::table
        // Literals: with bound values Postgres doesn't know how frequent they are, and reads all rows.
        .filter(sql::<Bool>(&format!("status IN ({})", statuses.join(", "))))
        .filter(uploads::id.ge(from))
        // Not the bare columns: SQLite would read the whole index of the fields to have the groups in order.
        .group_by(sql::<Text>("status || '', field || ''"))
        .select((
            sql::<Text>("status || ''"),
            sql::<Text>("field || ''"),
            count_star(),
        ))
        .load(conn)
}

/// How many deleted uploads of each field were attached before. All other statuses tell it by themselves.
fn attached_and_deleted(conn: &mut AnyConnection, from: &str) -> QueryResult<Vec<(String, i64)>> {
    uploads::table
        .filter(uploads::status.eq(Status::Deleted.as_str()))
        .filter(uploads::id.ge(from))
        .filter(uploads::attached_at.is_not_null())
        .group_by(sql::<Text>("field || ''"))
        .select((sql::<Text>("field || ''"), count_star()))
        .load(conn)
}

fn fate(
    (status, field, count): (String, String, i64),
    attached: &[(String, i64)],
) -> Result<Fate, DbError> {
    let bad = || DbError::Internal(format!("{field} {status} can't be read"));
    let status = Status::parse(&status).ok_or_else(bad)?;
    let attached = match status {
        Status::Attached | Status::Detached => count,
        Status::Deleted => attached
            .iter()
            .find(|(of, _)| *of == field)
            .map_or(0, |(_, count)| *count),
        Status::Pending
        | Status::Confirmed
        | Status::Rejected
        | Status::Expired
        | Status::Canceled => 0,
    };
    Ok(Fate {
        field: FieldName::parse(&field).map_err(|_| bad())?,
        status,
        count: column_count(count),
        attached: column_count(attached),
    })
}

/// Uploads created in each step; `None` where a step starts before `since`.
pub(in crate::db) fn created(
    conn: &mut AnyConnection,
    window: Window,
    since: DateTime<Utc>,
) -> QueryResult<Vec<Option<u64>>> {
    let counts = Steps::of(window, since, |at| UploadId::new(at, &[0; 10]).to_string());
    let numbers = EachPart {
        number: "COUNT(*)",
        rows: "uploads WHERE id >= parts.column1 AND id < parts.column2",
        parts: &counts.parts,
    };
    Ok(counts.with(numbers.load(conn)?.into_iter().map(column_count)))
}

/// Status changes in each step; `None` where a step starts before `since`.
pub(in crate::db) fn happened(
    conn: &mut AnyConnection,
    window: Window,
    since: DateTime<Utc>,
) -> QueryResult<Vec<Option<Outcomes>>> {
    let counts = Steps::of(window, since, |at| EventId::new(at, &[0; 10]).to_string());
    // Three counts in one number, because each row is read once so and no index tells the type: each has 21 bits, and no step
    // has as many rows.
    let of =
        |kind: EventType, bits: u32| format!("WHEN '{}' THEN {}", kind.as_str(), 1_i64 << bits);
    let number = format!(
        "CAST(COALESCE(SUM(CASE type {} {} {} ELSE 0 END), 0) AS BIGINT)",
        of(EventType::Confirmed, 0),
        of(EventType::Rejected, 21),
        of(EventType::Expired, 42)
    );
    let numbers = EachPart {
        number: &number,
        rows: "events WHERE id >= parts.column1 AND id < parts.column2",
        parts: &counts.parts,
    };
    let part = |number: i64, bits: u32| column_count((number >> bits) & ((1 << 21) - 1));
    let outcomes = |number: i64| Outcomes {
        confirmed: part(number, 0),
        rejected: part(number, 21),
        expired: part(number, 42),
    };
    Ok(counts.with(numbers.load(conn)?.into_iter().map(outcomes)))
}

/// The steps of a window that are read, and how many before them are not.
struct Steps {
    unknown: usize,
    parts: Vec<Vec<String>>,
}

impl Steps {
    /// The ids at the steps' edges. The last step has no end: another broker's clock may be ahead.
    fn of(window: Window, since: DateTime<Utc>, id: impl Fn(DateTime<Utc>) -> String) -> Steps {
        let step =
            TimeDelta::seconds(i64::try_from(window.step_secs.max(1)).unwrap_or(i64::MAX / 1000));
        let begins = std::iter::successors(Some(window.from), |at| Some(*at + step));
        let begins: Vec<DateTime<Utc>> = begins.take_while(|at| *at <= window.now).collect();
        let (unknown, known) = begins.split_at(begins.partition_point(|at| *at < since));
        let mut edges: Vec<String> = known.iter().map(|at| id(*at)).collect();
        edges.push(id(window.from).chars().take(4).chain(['~']).collect());
        let parts = edges.windows(2).map(<[String]>::to_vec).collect();
        Steps {
            unknown: unknown.len(),
            parts,
        }
    }

    fn with<T: Clone>(&self, known: impl Iterator<Item = T>) -> Vec<Option<T>> {
        let unknown = vec![None; self.unknown];
        unknown.into_iter().chain(known.map(Some)).collect()
    }
}

/// The create-to-confirm times of the uploads since `from`, at most [`Window::most_rows`] and one rows.
pub(in crate::db) fn confirm_times(
    conn: &mut AnyConnection,
    from: &str,
) -> QueryResult<ConfirmTimes> {
    let rows: Vec<(NaiveDateTime, NaiveDateTime)> = uploads::table
        .filter(uploads::id.ge(from))
        .filter(uploads::confirmed_at.is_not_null())
        .select((uploads::created_at, uploads::confirmed_at.assume_not_null()))
        .load(conn)?;
    // Never negative, although two brokers' clocks may differ.
    let took = |(created, confirmed): (NaiveDateTime, NaiveDateTime)| {
        (confirmed - created).max(TimeDelta::zero())
    };
    let mut times: Vec<TimeDelta> = rows.into_iter().map(took).collect();
    times.sort_unstable();
    // Nearest rank.
    let percentile = |percent: usize| {
        let rank = (times.len() * percent).div_ceil(100);
        let time = times.get(rank.checked_sub(1)?)?;
        Some(time.num_milliseconds() as f64 / 1000.0)
    };
    Ok(ConfirmTimes {
        count: times.len() as u64,
        p50_secs: percentile(50),
        p99_secs: percentile(99),
    })
}

/// The reasons of the latest rejected uploads.
pub(in crate::db) fn rejections(conn: &mut AnyConnection, from: &str) -> QueryResult<Rejections> {
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
        .filter_map(|text| serde_json::from_str::<Vec<StoredFieldError>>(text).ok());
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for error in stored.flatten() {
        // Without its slash, as in the metrics.
        let reason = error.pointer.trim_start_matches('/').to_owned();
        *counts.entry(reason).or_default() += 1;
    }
    let mut reasons: Vec<(String, u64)> = counts.into_iter().collect();
    reasons.sort_by_key(|(_, count)| Reverse(*count));
    Ok(Rejections {
        looked_at: texts.len() as u64,
        reasons,
    })
}
