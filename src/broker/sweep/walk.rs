//! A walk over all work of a kind: where it is, and how patient.

use crate::broker::cleanup::{Patience, Removal};
use crate::db::Copied;
use crate::domain::ids::UploadId;
use crate::store::UnfinishedMarker;

use super::{SweepKind, SweepReport};

/// After how many refusals in a row a round over the rows ends: its next one comes in half a minute.
const MOST_REFUSED: u64 = 128;
/// The same of a round over the bucket's listing, whose next one comes in an hour.
const MOST_REFUSED_LISTED: u64 = 2_048;

/// A walk over all work of a kind, batch by batch: what could not be done in one batch is not in the way of the next. It may be used
/// for round after round, and then what ended one round is not in the way of the next round either.
#[derive(Debug)]
pub struct SweepWalk {
    pub(super) kind: SweepKind,
    pub(super) limit: u32,
    pub(super) dry_run: bool,
    pub(super) patience: Patience,
    pub(super) owed_attempts: Option<Copied>,
    pub(super) owed_upload: UploadId,
    pub(super) staged: Option<String>,
    pub(super) prefix: usize,
    pub(super) unfinished: UnfinishedMarker,
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
            patience: Patience::of(most_refused),
            owed_attempts: None,
            owed_upload: UploadId::NONE,
            staged: None,
            prefix: 0,
            unfinished: UnfinishedMarker::default(),
        }
    }

    /// One for a single round that somebody asked for: however much the bucket refuses, all is tried once.
    pub fn by_hand(kind: SweepKind, limit: u32) -> SweepWalk {
        SweepWalk {
            patience: Patience::of(u64::MAX),
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
        let gone = self.patience.take_in(answers);
        report.counts.failed += answers.len() as u64 - gone;
        gone
    }

    /// Goes on behind a page of multipart uploads: with the next one, or with the next prefix.
    pub(super) fn behind(&mut self, next: Option<UnfinishedMarker>) {
        if next.is_none() {
            self.prefix += 1;
        }
        self.unfinished = next.unwrap_or_default();
    }

    /// What is left is left to the next round: behind what ended this one, or from the beginning.
    pub(super) fn end_round(&mut self) {
        if !self.patience.is_over() {
            self.owed_attempts = None;
            self.owed_upload = UploadId::NONE;
            self.staged = None;
            self.prefix = 0;
            self.unfinished = UnfinishedMarker::default();
        }
        self.patience.renew();
    }
}
