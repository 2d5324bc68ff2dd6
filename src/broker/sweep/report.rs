//! What came of a batch: for the log, the metrics and the command line.

use std::ops::AddAssign;

/// How often what happened. Of a dry run all are zero but `found` and `foreign`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// What was due.
    pub found: u64,
    /// Uploads that the sweeper confirmed.
    pub confirmed: u64,
    /// Uploads whose object was not what was declared.
    pub rejected: u64,
    /// Uploads for which nothing had arrived.
    pub expired: u64,
    /// Uploads that somebody else had settled meanwhile.
    pub settled: u64,
    /// Uploads to be tried again later, because the bucket gave no clear answer.
    pub postponed: u64,
    /// Open seal attempts that were given up.
    pub abandoned: u64,
    /// Uploads that were deleted because no record had claimed them.
    pub deleted: u64,
    /// Objects, or uploads with all of their objects, that are gone.
    pub removed: u64,
    /// Multipart uploads that are gone.
    pub aborted: u64,
    /// Entries of the bucket that are not ours to judge.
    pub foreign: u64,
    /// What could not be done now.
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

/// What came of one batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// The counts.
    pub counts: Counts,
    /// Whether there is more to look at in this round: then the next batch should follow at once.
    pub more: bool,
    /// Whether something was left because the bucket refuses too much or gives no clear answer.
    pub cut: bool,
    /// What a dry run would do, one line each.
    pub would: Vec<String>,
}

impl SweepReport {
    /// The report of a batch that found so much, where it could hold `limit`.
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
