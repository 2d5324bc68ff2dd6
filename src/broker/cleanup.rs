//! Removing objects that a committed row gave up: first the row, then the object, then `object_removed_at`.
//!
//! A failure here is logged and no more: the rows still say what is to go, and the sweeper comes by. There may be objects that the
//! bucket never lets go (a legal hold), so a walk over what is to go is patient with those, and asks a silent bucket no further.

use std::time::Duration;

use tracing::Instrument as _;

use crate::domain::ids::UploadId;
use crate::domain::object_key::FinalKey;
use crate::domain::upload::{Status, Upload};
use crate::storage::StoreError;

use super::{Broker, now};

/// How long a caller waits for the removal of objects that its request gave up; it goes on without the caller.
const REMOVAL_WAIT: Duration = Duration::from_secs(2);
/// How many copies one request removes at most.
const COPIES_AT_ONCE: u32 = 100;

/// What came of a removal; of several, the greatest tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Removal {
    /// It is gone.
    Gone,
    /// It stays for a reason of its own, which says nothing about others.
    Refused,
    /// No answer, or one that would be everybody's.
    Unclear,
}

impl Removal {
    /// Of an answer of the bucket.
    pub(super) fn of(answer: &Result<(), StoreError>) -> Removal {
        match answer {
            Ok(()) => Removal::Gone,
            Err(error) if error.refused => Removal::Refused,
            Err(_) => Removal::Unclear,
        }
    }
}

/// How long a round of removals goes on although nothing comes of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct FailureBudget {
    most_refused: u64,
    /// Whether refusals count no longer once anything is gone.
    is_lasting: bool,
    in_a_row: u64,
    is_over: bool,
}

impl FailureBudget {
    /// One that ends with so many refusals in a row, or with a bucket that answers nobody.
    pub(super) fn of(most_refused: u64) -> FailureBudget {
        FailureBudget {
            most_refused,
            is_lasting: false,
            in_a_row: 0,
            is_over: false,
        }
    }

    /// One that only so many refusals before anything is gone end, or a bucket that answers nobody.
    pub(super) fn lasting(most_refused: u64) -> FailureBudget {
        FailureBudget {
            is_lasting: true,
            ..FailureBudget::of(most_refused)
        }
    }

    /// Takes in what was done at the same time, and tells how many of it are gone.
    pub(super) fn take_in(&mut self, answers: &[Removal]) -> u64 {
        let count = |what| answers.iter().filter(|it| **it == what).count() as u64;
        let (gone, refused) = (count(Removal::Gone), count(Removal::Refused));
        match gone {
            0 => self.in_a_row = self.in_a_row.saturating_add(answers.len() as u64),
            _ => {
                self.in_a_row = 0;
                if self.is_lasting {
                    self.most_refused = u64::MAX;
                }
            }
        }
        let silent = !answers.is_empty() && gone + refused == 0;
        self.is_over |= silent || self.in_a_row >= self.most_refused;
        gone
    }

    /// Whether the round ends here, to go on from here later.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// For the next round.
    pub(super) fn renew(&mut self) {
        self.in_a_row = 0;
        self.is_over = false;
    }
}

impl Broker {
    /// Starts to remove everything that belongs to a rejected or deleted upload, and waits for a moment: the row has the last
    /// word, and a bucket that hangs must not hold up who asked.
    pub(super) async fn remove_objects_soon(&self, upload: Upload) {
        let broker = self.clone();
        let removal = async move { broker.remove_objects(&upload).await };
        let task = self.0.runtime.spawn(removal.in_current_span());
        let _ = tokio::time::timeout(REMOVAL_WAIT, task).await;
    }

    /// Removes everything that belongs to an upload whose committed status is `rejected` or `deleted`; tells what came of it.
    pub(super) async fn remove_objects(&self, upload: &Upload) -> Removal {
        if !matches!(upload.status, Status::Rejected | Status::Deleted) {
            return Removal::Refused;
        }
        if let Err(error) = self.check_bucket(upload) {
            tracing::warn!(upload = %upload.id, ?error, "the objects are not removed");
            return Removal::Refused;
        }
        // What people can see goes first.
        let mut worst = Removal::Gone;
        if let Some(confirmation) = &upload.confirmation {
            let removed = self.0.store.remove_final(&confirmation.key).await;
            worst = worst.max(noted(upload.id, removed));
        }
        let staged = self.0.options.layout.staging_key(upload.id);
        worst = worst.max(noted(upload.id, self.0.store.remove_staging(&staged).await));
        worst = worst.max(self.remove_abandoned_copies(upload.id).await);
        if worst == Removal::Gone
            && let Err(error) = self.0.db.object_removed(upload.id, now()).await
        {
            tracing::warn!(upload = %upload.id, ?error, "the objects are removed, but that is not recorded");
        }
        worst
    }

    /// Removes the copies of an upload's abandoned attempts: no record can ever name their keys.
    async fn remove_abandoned_copies(&self, id: UploadId) -> Removal {
        let keys = match self.0.db.abandoned_copies(id, COPIES_AT_ONCE).await {
            Ok(keys) => keys,
            Err(error) => {
                tracing::warn!(upload = %id, ?error, "the upload's seal attempts can't be read");
                return Removal::Unclear;
            }
        };
        // With so many there may be more.
        let mut worst = match keys.len() < COPIES_AT_ONCE as usize {
            true => Removal::Gone,
            false => Removal::Refused,
        };
        for key in keys {
            worst = worst.max(self.remove_copy(id, key).await);
        }
        worst
    }

    /// Removes the copy of one abandoned attempt and notes it.
    pub(super) async fn remove_copy(&self, id: UploadId, key: FinalKey) -> Removal {
        let removal = noted(id, self.0.store.remove_final(&key).await);
        if removal != Removal::Gone {
            return removal;
        }
        if let Err(error) = self.0.db.attempt_removed(id, key, now()).await {
            tracing::warn!(upload = %id, ?error, "a copy is removed, but that is not recorded");
        }
        Removal::Gone
    }
}

fn noted(id: UploadId, answer: Result<(), StoreError>) -> Removal {
    if let Err(error) = &answer {
        tracing::warn!(upload = %id, code = %error.code, "an object is still to be removed");
    }
    Removal::of(&answer)
}

#[cfg(test)]
mod tests {
    use super::{FailureBudget, Removal};

    const REFUSED: [Removal; 16] = [Removal::Refused; 16];

    #[test]
    fn a_lasting_patience_ends_with_so_many_refusals_only_where_nothing_went_before() {
        let mut none_gone = FailureBudget::lasting(64);
        for answered in 1..=4 {
            assert!(!none_gone.is_over());
            none_gone.take_in(&REFUSED);
            assert_eq!(none_gone.is_over(), answered == 4);
        }
        let mut one_gone = FailureBudget::lasting(64);
        one_gone.take_in(&[Removal::Refused, Removal::Gone]);
        for _ in 0..1_000 {
            one_gone.take_in(&REFUSED);
        }
        assert!(!one_gone.is_over());
        one_gone.take_in(&[Removal::Unclear; 16]);
        assert!(one_gone.is_over());
    }
}
