//! The counter deltas of a transaction, collected in memory and written at its end.
//!
//! The writer makes one [`CounterDeltas`] for each transaction; new rows and status changes add to it. It guarantees that counters and
//! rows are committed together, and that counter rows are locked last, all owners in one order, so that the batches of two brokers
//! never deadlock on them.

use std::collections::BTreeMap;

use super::counters::{CountDelta, Sum, UsageDelta, add_counts, add_usage, usage_of};
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::Failure;
use crate::db::engine::row::{UploadRow, column_count};
use crate::domain::upload::Status;

/// The limits of one owner's pending uploads; zero: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PendingQuota {
    /// Number of uploads.
    pub uploads: u64,
    /// Sum of their declared sizes, in bytes.
    pub bytes: u64,
}

/// Why an owner can't create another upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverQuota {
    /// The number of its pending uploads is at the limit.
    Uploads {
        /// Its pending uploads.
        pending: u64,
        /// The limit.
        limit: u64,
    },
    /// With the new upload, the declared sizes would be over the limit.
    Bytes {
        /// The declared sizes of its pending uploads, in bytes.
        pending: u64,
        /// The limit, in bytes.
        limit: u64,
    },
}

impl PendingQuota {
    /// The limits for a statement, with the largest number for "no limit".
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

    /// The limit that one more upload of this size would exceed.
    fn refuses(self, held: Sum, size: i64) -> Option<OverQuota> {
        let most = self.most();
        if held.count >= most.count {
            let (pending, limit) = (column_count(held.count), self.uploads);
            return Some(OverQuota::Uploads { pending, limit });
        }
        let (pending, limit) = (column_count(held.bytes), self.bytes);
        (held.bytes.saturating_add(size) > most.bytes)
            .then_some(OverQuota::Bytes { pending, limit })
    }
}

/// The counter deltas of one transaction.
pub(in crate::db) struct CounterDeltas {
    quota: PendingQuota,
    /// Released reservations, by owner.
    released: BTreeMap<String, Sum>,
    /// By field and status; a transaction has few of them.
    counts: Vec<(String, Status, Sum)>,
}

/// What a batch reserves and releases for one owner.
#[derive(Default)]
struct Asked {
    wanted: Sum,
    released: Sum,
}

impl CounterDeltas {
    pub(in crate::db) fn new(quota: PendingQuota) -> CounterDeltas {
        CounterDeltas {
            quota,
            released: BTreeMap::new(),
            counts: Vec::new(),
        }
    }

    /// Adds a new row, which is reserved already.
    pub(in crate::db) fn created(&mut self, row: &UploadRow) {
        self.count(&row.field, Status::Pending, Sum::one(row.size));
    }

    /// Adds a status change. A change that leaves `pending` releases the reservation.
    pub(in crate::db) fn moved(&mut self, row: &UploadRow, from: Status, to: Status) {
        let one = Sum::one(row.size);
        self.count(&row.field, from, -one);
        self.count(&row.field, to, one);
        if from == Status::Pending {
            *self.released.entry(row.owner.clone()).or_default() += -one;
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

    /// Reserves for new rows, in their order, within the quota of each owner. Returns for each row the limit that it would exceed. The
    /// counter rows of all owners are locked from here on, so this comes after everything else that may wait for a lock.
    pub(in crate::db) fn reserve(
        &mut self,
        conn: &mut AnyConnection,
        rows: &[&UploadRow],
    ) -> Result<Vec<Option<OverQuota>>, Failure> {
        let mut verdicts = vec![None; rows.len()];
        let released = std::mem::take(&mut self.released);
        let mut asked: BTreeMap<&str, Asked> = BTreeMap::new();
        for (owner, sum) in &released {
            asked.entry(owner).or_default().released += *sum;
        }
        for row in rows {
            asked.entry(&row.owner).or_default().wanted += Sum::one(row.size);
        }
        // The first counter row of an owner is inserted without a comparison, so a sum over the limit must not be sent.
        let fits_alone = |it: &Asked| it.wanted.within(self.quota.most());
        let deltas = asked.iter().map(|(&owner, it)| match fits_alone(it) {
            true => UsageDelta::new(owner, it.wanted + it.released),
            false => UsageDelta::new(owner, it.released),
        });
        let done = add_usage(conn, &deltas.collect::<Vec<_>>(), self.quota.most())?;
        for (owner, it) in &asked {
            let fits = fits_alone(it);
            let added = done.binary_search_by(|it| it.as_str().cmp(owner)).is_ok();
            if !(fits && added) {
                let left = if added { Sum::default() } else { it.released };
                self.reserve_one_by_one(conn, owner, left, rows, &mut verdicts)?;
            }
        }
        Ok(verdicts)
    }

    /// Reserves for an owner whose rows are not all within its quota; its counter is locked already.
    fn reserve_one_by_one(
        &self,
        conn: &mut AnyConnection,
        owner: &str,
        released: Sum,
        rows: &[&UploadRow],
        verdicts: &mut [Option<OverQuota>],
    ) -> Result<(), Failure> {
        let held = usage_of(conn, owner)?;
        let mut delta = released;
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

    /// Corrects the usage of an owner.
    pub(in crate::db) fn correct_usage(&mut self, owner: &str, by: Sum) {
        *self.released.entry(owner.to_owned()).or_default() += by;
    }

    /// Corrects a count of uploads.
    pub(in crate::db) fn correct_count(&mut self, field: &str, status: Status, by: Sum) {
        self.count(field, status, by);
    }

    /// Writes the deltas that are not written yet, as the last statements of the transaction.
    pub(in crate::db) fn settle(&mut self, conn: &mut AnyConnection) -> Result<(), Failure> {
        let released = std::mem::take(&mut self.released);
        let deltas: Vec<_> = released
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
