//! A walk over all work of a kind: where it is, and how patient.

use std::cmp::Ordering;

use crate::broker::BrokerError;
use crate::broker::cleanup::{FailureBudget, Removal};
use crate::db::Copied;
use crate::domain::ids::UploadId;
use crate::storage::{StoreError, UnfinishedMarker};

use super::{SweepKind, SweepReport};

/// After how many refusals in a row a round over the rows ends: its next one comes in half a minute.
const MOST_REFUSED: u64 = 128;
/// The same of a round over the bucket's listing, whose next one comes in an hour.
const MOST_REFUSED_LISTED: u64 = 2_048;

/// Where a walk is. A kind moves its own members, and the others stay at the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) copy: Option<Copied>,
    pub(super) upload: UploadId,
    pub(super) staged: Option<String>,
    pub(super) prefix: usize,
    pub(super) unfinished: UnfinishedMarker,
    /// How many of the page of multipart uploads that begins here were tried and are still there.
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

    /// Whether it is `other`, or behind it. The pages of a prefix have no order, so among them only the same one counts.
    fn reaches(&self, other: &Cursor) -> bool {
        fn in_order(cursor: &Cursor) -> impl Ord + '_ {
            let attempt = cursor.copy.as_ref();
            let attempt = attempt.map(|it| (it.started_at, it.key.as_str()));
            (attempt, cursor.upload, &cursor.staged, cursor.prefix)
        }
        match in_order(self).cmp(&in_order(other)) {
            Ordering::Equal => self.unfinished == other.unfinished && self.tried >= other.tried,
            order => order.is_gt(),
        }
    }
}

/// A walk over all work of a kind, batch by batch: what could not be done in one batch is not in the way of the next. It may be used
/// for round after round, and then what ended one round is not in the way of the next round either.
#[derive(Debug)]
pub struct SweepWalk {
    pub(super) kind: SweepKind,
    pub(super) limit: u32,
    pub(super) dry_run: bool,
    pub(super) manual: bool,
    pub(super) failure_budget: FailureBudget,
    pub(super) cursor: Cursor,
    /// Where this round began.
    began: Cursor,
    /// Whether this round has gone on from the beginning, to end where it began.
    is_second_lap: bool,
}

impl SweepWalk {
    /// A walk from the beginning, at most `limit` of a thing in a batch.
    pub fn new(kind: SweepKind, limit: u32) -> SweepWalk {
        let most_refused = match kind.lists_the_bucket() {
            true => MOST_REFUSED_LISTED,
            false => MOST_REFUSED,
        };
        SweepWalk {
            kind,
            limit: limit.max(1),
            dry_run: false,
            manual: false,
            failure_budget: FailureBudget::of(most_refused),
            cursor: Cursor::BEGINNING,
            began: Cursor::BEGINNING,
            is_second_lap: false,
        }
    }

    /// One for a single round that somebody asked for: all is tried once, however much the bucket refuses, unless it refuses
    /// everything.
    pub fn manual(kind: SweepKind, limit: u32) -> SweepWalk {
        SweepWalk {
            manual: true,
            failure_budget: FailureBudget::lasting(MOST_REFUSED_LISTED),
            ..SweepWalk::new(kind, limit)
        }
    }

    /// One that only tells what it would do. Of pending and unattached uploads and of open attempts it shows the first batch.
    pub fn dry(kind: SweepKind, limit: u32) -> SweepWalk {
        SweepWalk {
            dry_run: true,
            ..SweepWalk::new(kind, limit)
        }
    }

    /// Takes in what came of removals that were tried at the same time; how many are gone.
    pub(super) fn take_in(&mut self, report: &mut SweepReport, answers: &[Removal]) -> u64 {
        let gone = self.failure_budget.take_in(answers);
        report.counts.failed += answers.len() as u64 - gone;
        gone
    }

    /// Goes on behind a page of multipart uploads: with the next one, or with the next prefix.
    pub(super) fn behind(&mut self, next: Option<UnfinishedMarker>) {
        if next.is_none() {
            self.cursor.prefix += 1;
        }
        self.cursor.unfinished = next.unwrap_or_default();
        self.cursor.tried = 0;
    }

    /// After a batch behind which there is `more` or not: whether another one follows at once. A round that began in the middle goes
    /// on from the beginning to where it began.
    pub(super) fn goes_on(&mut self, more: bool) -> bool {
        if self.failure_budget.is_over() {
            self.pause();
            return false;
        }
        let is_round = self.is_second_lap && self.cursor.reaches(&self.began);
        if more && !is_round {
            return true;
        }
        if !self.is_second_lap && self.began != Cursor::BEGINNING {
            self.is_second_lap = true;
            self.cursor = Cursor::BEGINNING;
            return true;
        }
        self.reset_cursor();
        self.pause();
        false
    }

    /// After a batch that failed. Where a row can't be read, what lies behind it waits, and the next round begins anew.
    pub(super) fn failed(&mut self, error: &BrokerError) {
        if matches!(error, BrokerError::Internal(_)) {
            self.reset_cursor();
        }
        self.pause();
    }

    /// What the bucket refuses to list from here, it may list from the beginning.
    pub(super) fn not_listed(&mut self, error: StoreError) -> BrokerError {
        if error.refused {
            self.reset_cursor();
        }
        error.into()
    }

    fn reset_cursor(&mut self) {
        self.cursor = Cursor::BEGINNING;
    }

    /// The next round begins here.
    fn pause(&mut self) {
        self.began = self.cursor.clone();
        self.is_second_lap = false;
        self.failure_budget.renew();
    }
}
