//! Sweep: settles pending uploads past their deadline and removes objects that are no longer needed.
//!
//! Run by the worker `sweeper` and by `bytepass sweep`, without a caller. Each batch is bounded, may end at any line, and may run
//! concurrently in any number of brokers: a status changes by compare-and-set only, an object is removed only after a row (or, in
//! staging, its age in the bucket) says so, and an unclear answer of the bucket changes nothing.

mod bucket;
mod rows;
mod walk;

use std::ops::AddAssign;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::Lease;

use super::{Broker, BrokerError, now};

pub(super) use rows::LONGEST_PAUSE_SECS;
pub use walk::SweepWalk;

/// How many items a batch processes at the same time.
const AT_ONCE: usize = 16;

/// The part of the configuration that the sweeper needs.
#[derive(Debug, Clone)]
pub struct SweepOptions {
    /// The first pause before a postponed upload is retried, in seconds; the pauses grow to an hour.
    pub retry_secs: u32,
    /// The age from which an open seal attempt is abandoned, in seconds.
    pub attempt_stale_secs: u32,
    /// The age, by the bucket's clock, from which staged objects and unfinished multipart uploads are removed, in seconds.
    pub staging_max_age_secs: u32,
}

/// A kind of sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SweepKind {
    /// Pending uploads past their deadline: confirmed, rejected or expired.
    Pending,
    /// Stale seal attempts, and the copies of abandoned ones.
    Attempts,
    /// Objects of rejected and deleted uploads whose removal is not recorded.
    PendingDeletion,
    /// Confirmed uploads that were not attached within their field's limit.
    Unattached,
    /// Staged objects that are too old, whatever their rows say.
    Staging,
    /// Multipart uploads that are too old.
    Multipart,
}

impl SweepKind {
    /// Every kind, in the order of a manual sweep.
    pub const ALL: [SweepKind; 6] = [
        SweepKind::Pending,
        SweepKind::Attempts,
        SweepKind::Unattached,
        SweepKind::PendingDeletion,
        SweepKind::Staging,
        SweepKind::Multipart,
    ];

    /// The name in metrics, logs and on the command line.
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

    /// Whether the sweep reads the bucket's listing, which costs money and time, instead of an index of the database.
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

/// What a batch did. In a dry run all counts but `found` and `foreign` are zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Items that were due.
    pub found: u64,
    /// Uploads confirmed.
    pub confirmed: u64,
    /// Uploads rejected.
    pub rejected: u64,
    /// Uploads expired.
    pub expired: u64,
    /// Uploads that a client or another broker settled first.
    pub settled: u64,
    /// Uploads to be retried later, because the bucket gave no clear answer.
    pub postponed: u64,
    /// Open seal attempts abandoned.
    pub abandoned: u64,
    /// Unattached uploads deleted.
    pub deleted: u64,
    /// Objects removed, or uploads whose objects were all removed.
    pub removed: u64,
    /// Multipart uploads aborted.
    pub aborted: u64,
    /// Entries of the bucket that no broker made; they are ignored.
    pub foreign: u64,
    /// Removals and aborts that failed.
    pub failed: u64,
}

impl Counts {
    /// All counts with their names.
    pub fn named(&self) -> [(&'static str, u64); 12] {
        [
            ("found", self.found),
            ("confirmed", self.confirmed),
            ("rejected", self.rejected),
            ("expired", self.expired),
            ("settled", self.settled),
            ("postponed", self.postponed),
            ("abandoned", self.abandoned),
            ("deleted", self.deleted),
            ("removed", self.removed),
            ("aborted", self.aborted),
            ("foreign", self.foreign),
            ("failed", self.failed),
        ]
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.found += other.found;
        self.confirmed += other.confirmed;
        self.rejected += other.rejected;
        self.expired += other.expired;
        self.settled += other.settled;
        self.postponed += other.postponed;
        self.abandoned += other.abandoned;
        self.deleted += other.deleted;
        self.removed += other.removed;
        self.aborted += other.aborted;
        self.foreign += other.foreign;
        self.failed += other.failed;
    }
}

/// The result of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// The counts.
    pub counts: Counts,
    /// Whether the round continues: the next batch should follow at once.
    pub more: bool,
    /// Whether the round ended early because the bucket refuses too much or gives no clear answer.
    pub cut: bool,
    /// What the sweep would do, one line for each item of a dry run.
    pub would: Vec<String>,
}

impl SweepReport {
    /// The report of a batch of at most `limit` items that found this many.
    pub(super) fn of(found: usize, limit: u32) -> SweepReport {
        let counts = Counts {
            found: found as u64,
            ..Counts::default()
        };
        SweepReport {
            counts,
            more: found >= limit as usize,
            cut: false,
            would: Vec::new(),
        }
    }
}

impl Broker {
    /// Runs the next batch of a walk. If [`SweepReport::more`] is false the round is over, and the next batch starts the next round:
    /// at the beginning, or at the cursor where this round's failure budget was spent. After an error the next batch starts where
    /// this one did.
    pub async fn sweep(&self, walk: &mut SweepWalk) -> Result<SweepReport, BrokerError> {
        let started = Instant::now();
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
                report.cut |= walk.failure_budget.is_spent();
                report.more = walk.end_batch(report.more);
            }
            Err(error) => walk.fail_batch(error),
        }
        if !walk.dry_run {
            let kind = walk.kind.as_str();
            self.0
                .metrics
                .sweep_took(kind, report.is_ok(), started.elapsed());
            if let Ok(report) = &report {
                for (result, count) in report.counts.named() {
                    self.0.metrics.swept(kind, result, count);
                }
            }
        }
        report
    }

    /// Acquires or extends this broker's lease of a kind of sweep, for `secs` seconds; false while another broker has it.
    pub async fn acquire_sweep(&self, kind: SweepKind, secs: u32) -> Result<bool, BrokerError> {
        let at = now();
        let lease = Lease {
            name: kind.lease(),
            holder: self.0.name.clone(),
            at,
            until: at + TimeDelta::seconds(i64::from(secs)),
        };
        Ok(self.0.db.acquire_lease(lease).await?)
    }

    /// Releases this broker's sweep leases, so that other brokers need not wait for their end.
    pub async fn release_sweeps(&self) -> Result<(), BrokerError> {
        for kind in SweepKind::ALL {
            let (lease, name) = (kind.lease(), &self.0.name);
            self.0.db.release_lease(lease, name).await?;
        }
        Ok(())
    }

    /// The sweeper's time: the earlier one of this machine's clock and the database's, so that a clock that is ahead expires nothing
    /// early.
    async fn sweep_time(&self) -> Result<DateTime<Utc>, BrokerError> {
        Ok(self.0.db.clock().await?.min(now()))
    }

    /// How many items to process at once: at most a quarter of the confirms, so that the sweeper delays no client.
    fn sweeps_at_once(&self) -> usize {
        AT_ONCE.min(self.0.options.confirms_in_flight / 4).max(1)
    }
}

fn before(now: DateTime<Utc>, age_secs: u32) -> DateTime<Utc> {
    now - TimeDelta::seconds(i64::from(age_secs))
}
