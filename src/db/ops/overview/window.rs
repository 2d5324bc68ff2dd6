//! The uploads of a window: by status, over time, by create-to-confirm time and by rejection reason.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::{EachPart, Window};
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::row::column_count;
use crate::db::engine::schema::{events, uploads};
use crate::db::uploads::stats::Total;
use crate::domain::event::EventType;
use crate::domain::field::FieldName;
use crate::domain::ids::{UploadId, time_of_id};
use crate::domain::upload::{FieldError, Status};

/// How many rejected uploads are read for their reasons.
const MOST_REJECTED: i64 = 5_000;

/// The uploads of one field and status in a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CohortCount {
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
    /// The number of confirms.
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
/// rest of its field's uploads. For 50,000 uploads, of which 60% are attached, that takes 30 ms instead of 95 ms.
pub(in crate::db) fn cohort(
    conn: &mut AnyConnection,
    from: &str,
    total: i64,
    counters: &[Total],
) -> Result<Vec<CohortCount>, Failure> {
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
    let counts = rows.into_iter().map(|row| cohort_count(row, &attached));
    Ok(counts.collect::<Result<_, _>>()?)
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
        .group_by((uploads::status, uploads::field))
        .select((uploads::status, uploads::field, count_star()))
        .load(conn)
}

/// How many deleted uploads of each field were attached before. Every other status implies it.
fn attached_and_deleted(conn: &mut AnyConnection, from: &str) -> QueryResult<Vec<(String, i64)>> {
    uploads::table
        .filter(uploads::status.eq(Status::Deleted.as_str()))
        .filter(uploads::id.ge(from))
        .filter(uploads::attached_at.is_not_null())
        .group_by(uploads::field)
        .select((uploads::field, count_star()))
        .load(conn)
}

fn cohort_count(
    (status, field, count): (String, String, i64),
    attached: &[(String, i64)],
) -> Result<CohortCount, DbError> {
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
    Ok(CohortCount {
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
    let steps = Steps::of(window, since);
    let id = |at: &DateTime<Utc>| UploadId::new(*at, &[0; 10]).to_string();
    let mut edges: Vec<String> = steps.known().iter().map(id).collect();
    // The last step has no end: another broker's clock may be ahead.
    edges.push("upl_~".to_owned());
    let parts: Vec<Vec<String>> = edges.windows(2).map(<[String]>::to_vec).collect();
    let numbers = EachPart {
        number: "COUNT(*)",
        rows: "uploads WHERE id >= parts.column1 AND id < parts.column2",
        parts: &parts,
    };
    let counts = numbers.load(conn)?.into_iter().map(column_count);
    Ok(steps.series(counts))
}

/// The events since `from`: outcomes in each step, `None` where a step starts before `since`; and the create-to-confirm times.
///
/// Ids hold both times, so no upload is read.
pub(in crate::db) fn happened(
    conn: &mut AnyConnection,
    window: Window,
    since: DateTime<Utc>,
    from: &str,
) -> QueryResult<(Vec<Option<Outcomes>>, ConfirmTimes)> {
    let [confirmed, rejected, expired] = [
        EventType::Confirmed,
        EventType::Rejected,
        EventType::Expired,
    ]
    .map(EventType::as_str);
    let rows: Vec<(String, String, String)> = events::table
        .filter(events::id.ge(from))
        .filter(events::event_type.eq_any([confirmed, rejected, expired]))
        .select((events::id, events::upload_id, events::event_type))
        .load(conn)?;
    let steps = Steps::of(window, since);
    let mut outcomes = vec![Outcomes::default(); steps.known().len()];
    let mut times = Vec::new();
    for (id, upload, kind) in rows {
        let at = time_of_id(&id);
        if kind == confirmed {
            // Never negative, although two brokers' clocks may differ.
            times.push((at - time_of_id(&upload)).max(TimeDelta::zero()));
        }
        let step = steps.known().partition_point(|start| *start <= at);
        let Some(outcomes) = step.checked_sub(1).map(|step| &mut outcomes[step]) else {
            continue;
        };
        outcomes.confirmed += u64::from(kind == confirmed);
        outcomes.rejected += u64::from(kind == rejected);
        outcomes.expired += u64::from(kind == expired);
    }
    Ok((steps.series(outcomes.into_iter()), confirm_times(times)))
}

fn confirm_times(mut times: Vec<TimeDelta>) -> ConfirmTimes {
    times.sort_unstable();
    // Nearest rank.
    let percentile = |percent: usize| {
        let rank = (times.len() * percent).div_ceil(100);
        let time = times.get(rank.checked_sub(1)?)?;
        Some(time.num_milliseconds() as f64 / 1000.0)
    };
    ConfirmTimes {
        count: times.len() as u64,
        p50_secs: percentile(50),
        p99_secs: percentile(99),
    }
}

/// The steps of a window.
struct Steps {
    starts: Vec<DateTime<Utc>>,
    /// How many of them start before what was read.
    unknown: usize,
}

impl Steps {
    fn of(window: Window, since: DateTime<Utc>) -> Steps {
        let step =
            TimeDelta::seconds(i64::try_from(window.step_secs.max(1)).unwrap_or(i64::MAX / 1000));
        let starts = std::iter::successors(Some(window.from), |at| Some(*at + step));
        let starts: Vec<DateTime<Utc>> = starts.take_while(|at| *at <= window.now).collect();
        Steps {
            unknown: starts.partition_point(|at| *at < since),
            starts,
        }
    }

    /// When the other steps start.
    fn known(&self) -> &[DateTime<Utc>] {
        &self.starts[self.unknown..]
    }

    fn series<T: Clone>(&self, known: impl Iterator<Item = T>) -> Vec<Option<T>> {
        let unknown = vec![None; self.unknown];
        unknown.into_iter().chain(known.map(Some)).collect()
    }
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
        .filter_map(|text| serde_json::from_str::<Vec<FieldError>>(text).ok());
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
