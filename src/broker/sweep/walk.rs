//! The walk of a sweep: its cursor, and the failure budget of a round.

use std::cmp::Ordering;

use crate::broker::BrokerError;
use crate::broker::removal::{FailureBudget, RemovalOutcome};
use crate::db::Copied;
use crate::domain::ids::UploadId;
use crate::storage::{StoreError, UnfinishedMarker};

use super::{SweepKind, SweepReport};

/// The refusals in a row that end a round over rows; the next round follows half a minute later.
const MAX_REFUSED: u64 = 128;
/// The same for a round over the bucket's listing; the next round follows an hour later.
const MAX_REFUSED_LISTED: u64 = 2_048;

/// The position of a walk. Each kind of sweep moves its own members; the others stay at the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) copy: Option<Copied>,
    pub(super) upload: UploadId,
    pub(super) staged: Option<String>,
    pub(super) prefix: usize,
    pub(super) unfinished: UnfinishedMarker,
    /// How many multipart uploads on the page at `unfinished` could not be aborted.
    pub(super) tried: usize,
}

impl Cursor {
    const BEGINNING: Cursor = Cursor {
        copy: None,
        upload: UploadId::NONE,
        staged: None,
        prefix: 0,
        unfinished: UnfinishedMarker::BEGINNING,
        tried: 0,
    };

    /// Whether this position is at or after `other`. The pages of a prefix have no order, so a page is only at or after itself.
    fn reaches(&self, other: &Cursor) -> bool {
        fn in_order(cursor: &Cursor) -> impl Ord + '_ {
            let copy = cursor.copy.as_ref();
            let copy = copy.map(|it| (it.started_at, it.key.as_str()));
            (copy, cursor.upload, &cursor.staged, cursor.prefix)
        }
        match in_order(self).cmp(&in_order(other)) {
            Ordering::Equal => self.unfinished == other.unfinished && self.tried >= other.tried,
            order => order.is_gt(),
        }
    }
}

/// A walk over all work of one kind, batch by batch and round by round. It continues after what failed, so that objects which can't
/// be removed delay no others.
#[derive(Debug)]
pub struct SweepWalk {
    pub(super) kind: SweepKind,
    pub(super) limit: u32,
    pub(super) dry_run: bool,
    pub(super) manual: bool,
    pub(super) failure_budget: FailureBudget,
    pub(super) cursor: Cursor,
    /// Where this round started.
    start: Cursor,
    /// Whether this round has wrapped around to the beginning, to end where it started.
    has_wrapped: bool,
}

impl SweepWalk {
    /// A walk from the beginning, with at most `limit` items in a batch.
    pub fn new(kind: SweepKind, limit: u32) -> SweepWalk {
        let max_refused = match kind.lists_the_bucket() {
            true => MAX_REFUSED_LISTED,
            false => MAX_REFUSED,
        };
        SweepWalk {
            kind,
            limit: limit.max(1),
            dry_run: false,
            manual: false,
            failure_budget: FailureBudget::of(max_refused),
            cursor: Cursor::BEGINNING,
            start: Cursor::BEGINNING,
            has_wrapped: false,
        }
    }

    /// A walk for a single manual round: everything is tried once, however much the bucket refuses, unless it refuses everything.
    pub fn manual(kind: SweepKind, limit: u32) -> SweepWalk {
        SweepWalk {
            manual: true,
            failure_budget: FailureBudget::until_first_success(MAX_REFUSED_LISTED),
            ..SweepWalk::new(kind, limit)
        }
    }

    /// A walk that changes nothing and reports what it would do. Of pending and unattached uploads and of open seal attempts it
    /// reports the first batch only.
    pub fn dry(kind: SweepKind, limit: u32) -> SweepWalk {
        SweepWalk {
            dry_run: true,
            ..SweepWalk::new(kind, limit)
        }
    }

    /// Counts removals that ran at the same time; returns how many objects are gone.
    pub(super) fn record(&mut self, report: &mut SweepReport, outcomes: &[RemovalOutcome]) -> u64 {
        let gone = self.failure_budget.record(outcomes);
        report.counts.failed += outcomes.len() as u64 - gone;
        gone
    }

    /// Moves to the next page of multipart uploads, or to the next prefix.
    pub(super) fn advance(&mut self, next: Option<UnfinishedMarker>) {
        if next.is_none() {
            self.cursor.prefix += 1;
        }
        self.cursor.unfinished = next.unwrap_or_default();
        self.cursor.tried = 0;
    }

    /// Ends a batch, with `more` work after it or not. Returns whether another batch follows at once: a round that started in the
    /// middle continues from the beginning to where it started.
    pub(super) fn end_batch(&mut self, more: bool) -> bool {
        if self.failure_budget.is_spent() {
            self.end_round();
            return false;
        }
        let is_complete = self.has_wrapped && self.cursor.reaches(&self.start);
        if more && !is_complete {
            return true;
        }
        if !self.has_wrapped && self.start != Cursor::BEGINNING {
            self.has_wrapped = true;
            self.cursor = Cursor::BEGINNING;
            return true;
        }
        self.cursor = Cursor::BEGINNING;
        self.end_round();
        false
    }

    /// Ends a batch that failed. A row that can't be read blocks what lies after it, so the next round starts at the beginning.
    pub(super) fn fail_batch(&mut self, error: &BrokerError) {
        if matches!(error, BrokerError::Internal(_)) {
            self.cursor = Cursor::BEGINNING;
        }
        self.end_round();
    }

    /// The error of a listing. A listing that the bucket refuses at this cursor may succeed from the beginning.
    pub(super) fn listing_failed(&mut self, error: StoreError) -> BrokerError {
        if error.refused {
            self.cursor = Cursor::BEGINNING;
        }
        error.into()
    }

    /// The next round starts at the cursor.
    fn end_round(&mut self) {
        self.start = self.cursor.clone();
        self.has_wrapped = false;
        self.failure_budget.renew();
    }
}
