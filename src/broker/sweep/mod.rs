//! The sweeper's verbs: what nobody finished is finished, and what nobody needs goes.
//!
//! Called by the worker `sweeper` and by the command line, without a caller. Each batch is bounded, may end at any line, and may
//! race others of its kind in any number of brokers: an upload moves by compare-and-set only, an object goes only after a row (or,
//! in staging, its age in the bucket) says so, and an unclear answer of the bucket leaves everything as it is.

mod bucket;
mod pending;
mod report;
mod rows;
mod walk;

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::Lease;

use super::{Broker, BrokerError, now};

pub(super) use pending::LONGEST_PAUSE_SECS;
pub use report::{Counts, SweepReport};
pub use walk::SweepWalk;

/// How much of its work a batch does at the same time.
const AT_ONCE: usize = 16;

/// What the sweeper needs to know of the configuration.
#[derive(Debug, Clone)]
pub struct SweepOptions {
    /// How soon an upload is tried again whose state could not be learned, in seconds; later ever more rarely, up to an hour.
    pub retry_secs: u32,
    /// From which age on an open seal attempt is given up, in seconds.
    pub attempt_stale_secs: u32,
    /// From which age on, by the bucket's clock, staged objects and unfinished multipart uploads go, in seconds.
    pub staging_max_age_secs: u32,
}

/// A kind of sweeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SweepKind {
    /// Pending uploads past their deadline: confirmed, rejected or expired.
    Pending,
    /// Seal attempts that nobody finishes, and the copies of given-up ones.
    Attempts,
    /// Objects of rejected and deleted uploads that were not seen to go.
    PendingDeletion,
    /// Confirmed uploads that no record claimed, where their field says so.
    Unattached,
    /// Staged objects that are too old, whatever the rows say.
    Staging,
    /// Multipart uploads that are too old.
    Multipart,
}

impl SweepKind {
    /// Every kind, in the order in which one after the other makes sense.
    pub const ALL: [SweepKind; 6] = [
        SweepKind::Pending,
        SweepKind::Attempts,
        SweepKind::Unattached,
        SweepKind::PendingDeletion,
        SweepKind::Staging,
        SweepKind::Multipart,
    ];

    /// Its name in metrics, logs and the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            SweepKind::Pending => "pending",
            SweepKind::Attempts => "attempts",
            SweepKind::PendingDeletion => "owed",
            SweepKind::Unattached => "unattached",
            SweepKind::Staging => "staging",
            SweepKind::Multipart => "multipart",
        }
    }

    /// Whether it reads the bucket's listing, which costs money and time, and not the database's indexes.
    pub fn lists_the_bucket(self) -> bool {
        matches!(self, SweepKind::Staging | SweepKind::Multipart)
    }

    fn lease(self) -> &'static str {
        match self {
            SweepKind::Pending => "sweep-pending",
            SweepKind::Attempts => "sweep-attempts",
            SweepKind::PendingDeletion => "sweep-owed",
            SweepKind::Unattached => "sweep-unattached",
            SweepKind::Staging => "sweep-staging",
            SweepKind::Multipart => "sweep-multipart",
        }
    }
}

impl Broker {
    /// The next batch of a walk. [`SweepReport::more`] says whether another one should follow at once; if not, a later batch begins
    /// the next round: at the beginning, or where this one ended because the bucket refuses or doesn't answer. After an error the
    /// next batch goes on where this one began.
    pub async fn sweep(&self, walk: &mut SweepWalk) -> Result<SweepReport, BrokerError> {
        let begun = Instant::now();
        let mut report = match walk.kind {
            SweepKind::Pending => self.sweep_pending(walk).await,
            SweepKind::Attempts => self.sweep_attempts(walk).await,
            SweepKind::PendingDeletion => self.sweep_pending_deletion(walk).await,
            SweepKind::Unattached => self.sweep_unattached(walk).await,
            SweepKind::Staging => self.sweep_staging(walk).await,
            SweepKind::Multipart => self.sweep_multipart(walk).await,
        };
        match &mut report {
            Ok(report) => {
                report.cut |= walk.failure_budget.is_over();
                report.more = walk.goes_on(report.more);
            }
            Err(error) => walk.failed(error),
        }
        if !walk.dry_run {
            let kind = walk.kind.as_str();
            self.0
                .metrics
                .sweep_took(kind, report.is_ok(), begun.elapsed());
            if let Ok(report) = &report {
                for (result, count) in report.counts.named() {
                    self.0.metrics.swept(kind, result, count);
                }
            }
        }
        report
    }

    /// Makes a kind of sweeping this broker's for so long; false while it is another's. Asked again, it lasts longer.
    pub async fn take_sweep(&self, kind: SweepKind, secs: u32) -> Result<bool, BrokerError> {
        let at = now();
        let turn = Lease {
            name: kind.lease(),
            holder: self.0.name.clone(),
            at,
            until: at + TimeDelta::seconds(i64::from(secs)),
        };
        Ok(self.0.db.acquire_lease(turn).await?)
    }

    /// Leaves every kind of sweeping to the other brokers: for the end of this one.
    pub async fn release_sweeps(&self) -> Result<(), BrokerError> {
        for kind in SweepKind::ALL {
            let (lease, name) = (kind.lease(), &self.0.name);
            self.0.db.release_lease(lease, name).await?;
        }
        Ok(())
    }

    /// The time by which things are overdue: the earlier one of this machine's clock and the database's, so that a clock that is
    /// ahead ends nothing early.
    async fn sweep_time(&self) -> Result<DateTime<Utc>, BrokerError> {
        Ok(self.0.db.clock().await?.min(now()))
    }

    /// How much to do at once: never so much that callers' confirms would wait for the sweeper's.
    fn sweeps_at_once(&self) -> usize {
        AT_ONCE.min(self.0.options.confirms_in_flight / 4).max(1)
    }
}

fn before(now: DateTime<Utc>, age_secs: u32) -> DateTime<Utc> {
    now - TimeDelta::seconds(i64::from(age_secs))
}
