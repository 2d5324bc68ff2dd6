//! What operators look at: the whole system over a window of time, and what this broker did.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::{self, AtLeast, ConfirmTimes, EndpointState};
use crate::domain::field::FieldName;
use crate::domain::principal::{Principal, Scope};
use crate::domain::upload::Status;
use crate::telemetry::metrics::SweepNumbers;

use super::sweep::LONGEST_PAUSE_SECS;
use super::{Broker, BrokerError, now};

/// Up to which ages pending uploads are counted together, in seconds.
const AGES_SECS: [u64; 5] = [300, 900, 3_600, 21_600, 86_400];
/// The most uploads, and the most events, of a window that are looked at: what one answer may cost.
const MOST_ROWS: i64 = 50_000;
/// How far pending uploads of about one age are counted, and those past their deadline: a million takes a tenth of a second or two.
const MOST_PENDING: i64 = 500_000;
/// About how many steps a series has.
const STEPS: u64 = 60;

/// The system over a window.
#[derive(Debug)]
pub struct Overview {
    /// Now.
    pub at: DateTime<Utc>,
    /// How long the window is, in seconds.
    pub window_secs: u64,
    /// From when on uploads were looked at: later than the window's beginning where it holds too many of them.
    pub since: DateTime<Utc>,
    /// From when on events were looked at, likewise.
    pub events_since: DateTime<Utc>,
    /// What is pending now, asked for in the window or before.
    pub pending: PendingNow,
    /// What became of the uploads asked for in the window, by field.
    pub fields: Vec<FieldFates>,
    /// When what happened in the window.
    pub series: Series,
    /// Why uploads asked for since `since` were rejected.
    pub rejections: Rejections,
    /// How long the uploads created since `since` took until their confirm.
    pub confirm_times: ConfirmTimes,
    /// What this broker did since its start.
    pub broker: BrokerNumbers,
    /// How long the longest overdue upload waits for the sweeper, in seconds.
    pub sweeper_lag_secs: f64,
    /// Each configured webhook endpoint.
    pub webhooks: Vec<EndpointState>,
}

/// What is pending now.
#[derive(Debug, Default)]
pub struct PendingNow {
    /// How many.
    pub count: u64,
    /// Their declared sizes together, in bytes.
    pub bytes: u64,
    /// How many of them are past their deadline.
    pub overdue: AtLeast,
    /// How many of those that were counted the sweeper tried in vain, and tries again later.
    pub postponed: u64,
    /// When the oldest was asked for.
    pub oldest_created_at: Option<DateTime<Utc>>,
    /// How many, by age.
    pub ages: Vec<Age>,
}

/// Pending uploads of about the same age.
#[derive(Debug)]
pub struct Age {
    /// They are younger than this, in seconds, and not younger than the one before; `None` is without end.
    pub up_to_secs: Option<u64>,
    /// How many.
    pub count: AtLeast,
}

/// Why uploads were rejected.
#[derive(Debug)]
pub struct Rejections {
    /// How many there are.
    pub rejected: u64,
    /// How many of them were looked at, the latest ones.
    pub looked_at: u64,
    /// The members that those contradicted, and how often, the most frequent first.
    pub reasons: Vec<(String, u64)>,
}

/// What became of the uploads of a field.
#[derive(Debug, Default)]
pub struct FieldFates {
    /// The field.
    pub field: String,
    /// Asked for.
    pub created: u64,
    /// Ever confirmed.
    pub confirmed: u64,
    /// Ever attached.
    pub attached: u64,
    /// Rejected.
    pub rejected: u64,
    /// Expired.
    pub expired: u64,
    /// Canceled.
    pub canceled: u64,
    /// Pending still.
    pub pending: u64,
}

/// How often what happened, step by step; `None` where a step begins before what was looked at.
#[derive(Debug)]
pub struct Series {
    /// How long a step is, in seconds.
    pub step_secs: u64,
    /// When the first step begins.
    pub start: DateTime<Utc>,
    /// Uploads that were asked for.
    pub created: Vec<Option<u64>>,
    /// Uploads that were confirmed.
    pub confirmed: Vec<Option<u64>>,
    /// Uploads that were rejected.
    pub rejected: Vec<Option<u64>>,
    /// Uploads that expired.
    pub expired: Vec<Option<u64>>,
}

/// What this broker did since its start.
#[derive(Debug)]
pub struct BrokerNumbers {
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Calls to the bucket: operation, code, how many.
    pub store: Vec<(String, String, u64)>,
    /// What its sweeper did, for each kind of work that it did.
    pub sweeps: Vec<(String, SweepNumbers)>,
}

impl Broker {
    /// The system over the last `window_secs`. It tells of every field, so it is not for a token that is narrowed to some.
    pub async fn overview(
        &self,
        caller: &Principal,
        window_secs: u64,
    ) -> Result<Overview, BrokerError> {
        check_ops(caller)?;
        let at = now();
        let step_secs = (window_secs / STEPS).max(1).next_multiple_of(60);
        let start = start_of(at, window_secs, step_secs);
        let window = db::Window {
            from: start,
            now: at,
            step_secs,
            ages_secs: &AGES_SECS,
            // Another broker's clock may be ahead.
            postponed_until: at + TimeDelta::seconds(2 * LONGEST_PAUSE_SECS),
            most_rows: MOST_ROWS,
            most_pending: MOST_PENDING,
        };
        let found = self.0.db.overview(window).await?;
        let waits = |since: DateTime<Utc>| (at - since).num_milliseconds() as f64 / 1000.0;
        let metrics = &self.0.metrics;
        let fields = fates(found.cohort);
        Ok(Overview {
            at,
            window_secs,
            since: found.since,
            events_since: found.events_since,
            pending: pending_now(found.pending),
            series: Series {
                step_secs,
                start,
                created: found.created,
                confirmed: outcome(&found.happened, |it| it.confirmed),
                rejected: outcome(&found.happened, |it| it.rejected),
                expired: outcome(&found.happened, |it| it.expired),
            },
            rejections: Rejections {
                rejected: fields.iter().map(|it| it.rejected).sum(),
                looked_at: found.rejections.looked_at,
                reasons: counted(found.rejections.pointers),
            },
            fields,
            confirm_times: found.confirm_times,
            broker: BrokerNumbers {
                started_at: self.0.started_at,
                store: metrics.s3_calls(),
                sweeps: metrics.sweeps(),
            },
            sweeper_lag_secs: found.due_since.map_or(0.0, waits),
            webhooks: found.endpoints,
        })
    }
}

/// Refuses whoever may not act on the whole system.
pub(super) fn check_ops(caller: &Principal) -> Result<(), BrokerError> {
    match caller.has(Scope::Ops) && caller.fields.is_none() {
        true => Ok(()),
        false => Err(BrokerError::ScopeInsufficient {
            needed: "ops, in a token that isn't narrowed to some fields",
        }),
    }
}

/// The window's beginning, on a whole step, so that a page that asks again sees the same steps.
fn start_of(at: DateTime<Utc>, window_secs: u64, step_secs: u64) -> DateTime<Utc> {
    let secs = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
    let start = at.timestamp().saturating_sub(secs(window_secs));
    DateTime::from_timestamp(start - start.rem_euclid(secs(step_secs)), 0).unwrap_or(at)
}

fn pending_now(found: db::PendingNow) -> PendingNow {
    let ends = AGES_SECS.into_iter().map(Some).chain([None]);
    let ages = ends.zip(found.ages);
    PendingNow {
        count: found.count,
        bytes: found.bytes,
        overdue: found.overdue,
        postponed: found.postponed,
        oldest_created_at: found.oldest_created_at,
        ages: ages
            .map(|(up_to_secs, count)| Age { up_to_secs, count })
            .collect(),
    }
}

fn fates(cohort: Vec<db::Fate>) -> Vec<FieldFates> {
    let mut fields: BTreeMap<FieldName, FieldFates> = BTreeMap::new();
    for fate in cohort {
        let field = fields.entry(fate.field.clone()).or_default();
        field.field = fate.field.to_string();
        field.created += fate.count;
        field.attached += fate.attached;
        match fate.status {
            Status::Rejected => field.rejected += fate.count,
            Status::Expired => field.expired += fate.count,
            Status::Canceled => field.canceled += fate.count,
            Status::Pending => field.pending += fate.count,
            // Only what was confirmed comes as far.
            Status::Confirmed | Status::Attached | Status::Detached | Status::Deleted => {
                field.confirmed += fate.count;
            }
        }
    }
    fields.into_values().collect()
}

fn outcome(steps: &[Option<db::Outcomes>], of: impl Fn(&db::Outcomes) -> u64) -> Vec<Option<u64>> {
    steps.iter().map(|step| step.as_ref().map(&of)).collect()
}

/// How often each is there, the most frequent first. Pointers lose their slash, as in the metrics.
fn counted(pointers: Vec<String>) -> Vec<(String, u64)> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for pointer in pointers {
        let reason = pointer.trim_start_matches('/').to_owned();
        *counts.entry(reason).or_default() += 1;
    }
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

#[cfg(test)]
mod tests;
