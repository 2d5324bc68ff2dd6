//! The overview that operators see: the whole system over a window of time, and the numbers of this process.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::broker::access;
use crate::broker::sweep::LONGEST_PAUSE_SECS;
use crate::broker::{Broker, BrokerError, now};
use crate::db::{self, AtLeast};
use crate::domain::field::FieldName;
use crate::domain::principal::Principal;
use crate::domain::upload::Status;
use crate::telemetry::metrics::SweepNumbers;

/// The ends of the age ranges of pending uploads, in seconds.
const AGES_SECS: [u64; 5] = [300, 900, 3_600, 21_600, 86_400];
/// How many uploads, and how many events, of a window are read at most.
const MAX_ROWS: i64 = 50_000;
/// Up to where pending uploads of one age range, and overdue ones, are counted: a million takes 0.1 to 0.2 s.
const MAX_PENDING: i64 = 500_000;
/// About how many steps a series has.
const STEPS: u64 = 60;

/// The system over a window.
#[derive(Debug)]
pub struct Overview {
    /// Now.
    pub at: DateTime<Utc>,
    /// The length of the window, in seconds.
    pub window_secs: u64,
    /// The length of a step of the series, in seconds.
    pub step_secs: u64,
    /// When the first step starts.
    pub start: DateTime<Utc>,
    /// What the database holds.
    pub seen: db::Overview,
    /// Pending uploads by age: the end of each range in seconds, `None` for the last one.
    pub ages: Vec<(Option<u64>, AtLeast)>,
    /// The uploads created since `seen.since`, by field.
    pub fields: Vec<FieldCounts>,
    /// How many of them were rejected.
    pub rejected: u64,
    /// How long the longest overdue upload has waited for the sweeper, in seconds.
    pub sweeper_lag_secs: f64,
    /// When this process started.
    pub started_at: DateTime<Utc>,
    /// The S3 calls of this process: operation, code, count.
    pub s3_calls: Vec<(String, String, u64)>,
    /// The sweeper's tasks in this process.
    pub sweeps: Vec<(String, SweepNumbers)>,
}

/// The uploads of a field, by what became of them.
#[derive(Debug, Default)]
pub struct FieldCounts {
    /// The field.
    pub field: String,
    /// All of them.
    pub created: u64,
    /// Confirmed at some time.
    pub confirmed: u64,
    /// Attached at some time.
    pub attached: u64,
    /// Rejected.
    pub rejected: u64,
    /// Expired.
    pub expired: u64,
    /// Canceled.
    pub canceled: u64,
    /// Still pending.
    pub pending: u64,
}

impl Broker {
    /// The system over the last `window_secs`. It covers every field, so a token that is narrowed to some fields is refused.
    pub async fn overview(
        &self,
        caller: &Principal,
        window_secs: u64,
    ) -> Result<Overview, BrokerError> {
        access::check_ops(caller)?;
        let at = now();
        let step_secs = (window_secs / STEPS).max(1).next_multiple_of(60);
        let start = start_of(at, window_secs, step_secs);
        let window = db::Window {
            from: start,
            now: at,
            step_secs,
            ages_secs: &AGES_SECS,
            // Twice the longest pause, because another broker's clock may be ahead.
            postponed_until: at + TimeDelta::seconds(2 * LONGEST_PAUSE_SECS),
            most_rows: MAX_ROWS,
            most_pending: MAX_PENDING,
        };
        let seen = self.0.db.overview(window).await?;
        let waited = |since: DateTime<Utc>| (at - since).num_milliseconds() as f64 / 1000.0;
        let fields = field_counts(&seen.cohort);
        Ok(Overview {
            at,
            window_secs,
            step_secs,
            start,
            ages: ages(&seen.pending.ages),
            rejected: fields.iter().map(|it| it.rejected).sum(),
            fields,
            sweeper_lag_secs: seen.due_since.map_or(0.0, waited),
            seen,
            started_at: self.0.started_at,
            s3_calls: self.0.metrics.s3_calls(),
            sweeps: self.0.metrics.sweeps(),
        })
    }
}

/// The window's start, on a whole step, so that repeated requests have the same steps.
fn start_of(at: DateTime<Utc>, window_secs: u64, step_secs: u64) -> DateTime<Utc> {
    let secs = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
    let start = at.timestamp().saturating_sub(secs(window_secs));
    DateTime::from_timestamp(start - start.rem_euclid(secs(step_secs)), 0).unwrap_or(at)
}

fn ages(counts: &[AtLeast]) -> Vec<(Option<u64>, AtLeast)> {
    let ends = AGES_SECS.into_iter().map(Some).chain([None]);
    ends.zip(counts.iter().copied()).collect()
}

fn field_counts(cohort: &[db::CohortCount]) -> Vec<FieldCounts> {
    let mut fields: BTreeMap<&FieldName, FieldCounts> = BTreeMap::new();
    for group in cohort {
        let field = fields.entry(&group.field).or_default();
        field.field = group.field.to_string();
        field.created += group.count;
        field.attached += group.attached;
        match group.status {
            Status::Rejected => field.rejected += group.count,
            Status::Expired => field.expired += group.count,
            Status::Canceled => field.canceled += group.count,
            Status::Pending => field.pending += group.count,
            // All of these were confirmed before.
            Status::Confirmed | Status::Attached | Status::Detached | Status::Deleted => {
                field.confirmed += group.count;
            }
        }
    }
    fields.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(secs, 0).expect("a time")
    }

    #[test]
    fn window_starts_on_a_whole_step() {
        let start = start_of(at(1_000_030), 3_600, 60);
        assert_eq!(start, at(1_000_030 - 3_600 - 10));
        assert_eq!(start.timestamp() % 60, 0);
    }

    #[test]
    fn every_age_range_has_its_count_and_the_last_one_no_end() {
        let count = |count| AtLeast { count, more: false };
        let ages = ages(&[3, 4, 0, 0, 0, 8].map(count));
        assert_eq!(
            (ages[0], ages[5]),
            ((Some(300), count(3)), (None, count(8)))
        );
        assert_eq!(ages.len(), 6);
    }

    #[test]
    fn attached_detached_and_deleted_uploads_count_as_confirmed() {
        let group = |status, count, attached| db::CohortCount {
            field: FieldName::parse("Product.image").expect("a field"),
            status,
            count,
            attached,
        };
        let fields = field_counts(&[
            group(Status::Pending, 1, 0),
            group(Status::Rejected, 2, 0),
            group(Status::Confirmed, 4, 0),
            group(Status::Attached, 8, 8),
            group(Status::Detached, 16, 16),
            group(Status::Deleted, 32, 20),
        ]);
        let [one] = &fields[..] else {
            panic!("{fields:?}")
        };
        assert_eq!((one.created, one.confirmed, one.attached), (63, 60, 44));
        assert_eq!((one.pending, one.rejected, one.expired), (1, 2, 0));
    }
}
