//! What a transaction changes of the counters, kept in memory until its end.
//!
//! The writer opens one for each transaction; a status change and a new row note themselves in it. Its guarantee: counters and rows
//! are committed together or not at all, and counter rows are the last that a transaction locks, all owners in one order, so that
//! two brokers whose batches hold uploads and want counters never wait for each other in a circle.

use std::collections::BTreeMap;
use std::ops::{Add, AddAssign, Neg};

use super::counters::{CountDelta, UsageDelta, add_counts, add_usage, usage_of};
use super::row::UploadRow;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::Failure;
use crate::domain::upload::Status;

/// How much of one owner may be pending at a time; zero: any amount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PendingQuota {
    /// Uploads.
    pub uploads: u64,
    /// Their declared sizes together, in bytes.
    pub bytes: u64,
}

/// Why an owner can't have another pending upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverQuota {
    /// It has as many as it may have.
    Uploads {
        /// How many it has.
        pending: u64,
        /// How many it may have.
        limit: u64,
    },
    /// With this one, their declared sizes would be more than it may have.
    Bytes {
        /// How much it has, in bytes.
        pending: u64,
        /// How much it may have, in bytes.
        limit: u64,
    },
}

impl PendingQuota {
    /// The same for a statement: nothing is more than its largest number.
    pub(in crate::db) fn most(self) -> Sum {
        let of = |limit: u64| match limit {
            0 => i64::MAX,
            limit => i64::try_from(limit).unwrap_or(i64::MAX),
        };
        Sum {
            count: of(self.uploads),
            bytes: of(self.bytes),
        }
    }

    /// What is in the way of one more upload beside these.
    fn refuses(self, held: Sum, size: i64) -> Option<OverQuota> {
        let (most, told) = (self.most(), |number: i64| {
            u64::try_from(number).unwrap_or_default()
        });
        if held.count >= most.count {
            let (pending, limit) = (told(held.count), self.uploads);
            return Some(OverQuota::Uploads { pending, limit });
        }
        let (pending, limit) = (told(held.bytes), self.bytes);
        (held.bytes.saturating_add(size) > most.bytes)
            .then_some(OverQuota::Bytes { pending, limit })
    }
}

/// A number of uploads and their declared sizes together; a difference may be below zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::db) struct Sum {
    pub(in crate::db) count: i64,
    pub(in crate::db) bytes: i64,
}

impl Sum {
    /// More than anything.
    pub(in crate::db) const MAX: Sum = Sum {
        count: i64::MAX,
        bytes: i64::MAX,
    };

    /// One upload.
    pub(in crate::db) fn one(bytes: i64) -> Sum {
        Sum { count: 1, bytes }
    }

    /// Whether neither number is above its limit.
    pub(in crate::db) fn within(self, most: Sum) -> bool {
        self.count <= most.count && self.bytes <= most.bytes
    }
}

impl Add for Sum {
    type Output = Sum;

    fn add(self, other: Sum) -> Sum {
        Sum {
            count: self.count.saturating_add(other.count),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Sum) {
        *self = *self + other;
    }
}

impl Neg for Sum {
    type Output = Sum;

    fn neg(self) -> Sum {
        Sum {
            count: -self.count,
            bytes: -self.bytes,
        }
    }
}

/// The notes of one transaction.
pub(in crate::db) struct CounterDeltas {
    quota: PendingQuota,
    /// What owners got back and was not written yet.
    given_back: BTreeMap<String, Sum>,
    /// Few: a field and a status each.
    counts: Vec<(String, Status, Sum)>,
}

/// What one owner wants in a batch, and got back in it.
#[derive(Default)]
struct Asked {
    wanted: Sum,
    given_back: Sum,
}

impl CounterDeltas {
    pub(in crate::db) fn new(quota: PendingQuota) -> CounterDeltas {
        CounterDeltas {
            quota,
            given_back: BTreeMap::new(),
            counts: Vec::new(),
        }
    }

    /// Notes a new row, whose owner's part is reserved.
    pub(in crate::db) fn created(&mut self, row: &UploadRow) {
        self.count(&row.field, Status::Pending, Sum::one(row.size));
    }

    /// Notes a status change; one that leaves `pending` gives back what was reserved.
    pub(in crate::db) fn moved(&mut self, row: &UploadRow, from: Status, to: Status) {
        let one = Sum::one(row.size);
        self.count(&row.field, from, -one);
        self.count(&row.field, to, one);
        if from == Status::Pending {
            *self.given_back.entry(row.owner.clone()).or_default() += -one;
        }
    }

    fn count(&mut self, field: &str, status: Status, sum: Sum) {
        let known = self
            .counts
            .iter_mut()
            .find(|(known, at, _)| *at == status && known == field);
        match known {
            Some((_, _, total)) => *total += sum,
            None => self.counts.push((field.to_owned(), status, sum)),
        }
    }

    /// Reserves what the owners of new rows need, in the order of the rows, as far as each owner's quota goes; says of each row what
    /// is in its way. Every owner's row is locked from here on, so this comes after everything else that may have to wait.
    pub(in crate::db) fn reserve(
        &mut self,
        conn: &mut AnyConnection,
        rows: &[&UploadRow],
    ) -> Result<Vec<Option<OverQuota>>, Failure> {
        let mut verdicts = vec![None; rows.len()];
        let given_back = std::mem::take(&mut self.given_back);
        let mut asked: BTreeMap<&str, Asked> = BTreeMap::new();
        for (owner, sum) in &given_back {
            asked.entry(owner).or_default().given_back += *sum;
        }
        for row in rows {
            asked.entry(&row.owner).or_default().wanted += Sum::one(row.size);
        }
        // A new owner's first row is inserted and compared with nothing, so what alone is too much is not asked for.
        let fits_alone = |it: &Asked| it.wanted.within(self.quota.most());
        let deltas = asked.iter().map(|(&owner, it)| match fits_alone(it) {
            true => UsageDelta::new(owner, it.wanted + it.given_back),
            false => UsageDelta::new(owner, it.given_back),
        });
        let done = add_usage(conn, &deltas.collect::<Vec<_>>(), self.quota.most())?;
        for (owner, it) in &asked {
            let fits = fits_alone(it);
            let added = done.binary_search_by(|it| it.as_str().cmp(owner)).is_ok();
            if !(fits && added) {
                let left = if added { Sum::default() } else { it.given_back };
                self.reserve_one_by_one(conn, owner, left, rows, &mut verdicts)?;
            }
        }
        Ok(verdicts)
    }

    /// For an owner whose rows don't all fit; its counter is locked already.
    fn reserve_one_by_one(
        &self,
        conn: &mut AnyConnection,
        owner: &str,
        given_back: Sum,
        rows: &[&UploadRow],
        verdicts: &mut [Option<OverQuota>],
    ) -> Result<(), Failure> {
        let held = usage_of(conn, owner)?;
        let mut delta = given_back;
        for (row, verdict) in rows.iter().zip(verdicts) {
            if row.owner != owner {
                continue;
            }
            *verdict = self.quota.refuses(held + delta, row.size);
            if verdict.is_none() {
                delta += Sum::one(row.size);
            }
        }
        add_usage(conn, &[UsageDelta::new(owner, delta)], Sum::MAX)?;
        Ok(())
    }

    /// Corrects what an owner has pending.
    pub(in crate::db) fn correct_usage(&mut self, owner: &str, by: Sum) {
        *self.given_back.entry(owner.to_owned()).or_default() += by;
    }

    /// Corrects how many uploads there are.
    pub(in crate::db) fn correct_count(&mut self, field: &str, status: Status, by: Sum) {
        self.count(field, status, by);
    }

    /// Writes what was noted and is not written yet: the last thing that a transaction does.
    pub(in crate::db) fn settle(&mut self, conn: &mut AnyConnection) -> Result<(), Failure> {
        let given_back = std::mem::take(&mut self.given_back);
        let deltas: Vec<_> = given_back
            .iter()
            .map(|(owner, sum)| UsageDelta::new(owner, *sum))
            .collect();
        add_usage(conn, &deltas, Sum::MAX)?;
        let mut counts = std::mem::take(&mut self.counts);
        counts.retain(|(_, _, sum)| *sum != Sum::default());
        counts.sort_unstable_by(|a, b| (&a.0, a.1.as_str()).cmp(&(&b.0, b.1.as_str())));
        let deltas: Vec<_> = counts
            .iter()
            .map(|(field, status, sum)| CountDelta {
                field,
                status: status.as_str(),
                sum: *sum,
            })
            .collect();
        add_counts(conn, &deltas)?;
        Ok(())
    }
}
