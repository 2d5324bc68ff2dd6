//! Where an owner's uploads are looked for: pending ones in one shard of all that are pending, settled ones in an index by owner.
//!
//! An index by owner is written all over: of a batch of creates each dirties another page, which was half of what a batch wrote to
//! SQLite's log. A shard's uploads are in the order of their ids, so a batch writes the end of each shard; a list reads an index
//! entry of each pending upload in the shard, at most. Settled uploads, of which there are ever more, are not among them.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::list::{Filter, ListQuery};
use crate::db::engine::schema::uploads;
use crate::domain::upload::Status;

/// So many shards do pending uploads have. Rows keep the number of theirs: another count of shards wants another column.
const SHARDS: u64 = 32;

/// The shard of an owner's pending uploads.
pub fn owner_shard(owner: &str) -> i16 {
    use crc_fast::{CrcAlgorithm, checksum};
    (checksum(CrcAlgorithm::Crc32IsoHdlc, owner.as_bytes()) % SHARDS) as i16
}

/// Which uploads one statement of a list is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::db) enum Part {
    /// All of them.
    All,
    /// The pending ones in this shard.
    Pending(i16),
    /// The pending ones that a broker of the version before made, which knows no shards.
    Unsharded,
    /// Those that are no longer pending.
    Settled,
}

impl Part {
    /// The parts that together have all that the filter leaves. In this order: what is settled meanwhile is seen, and not missed.
    /// `guided` is for SQLite, as in [`super::list::list_query`].
    pub(in crate::db) fn of(filter: &Filter, guided: bool) -> Vec<Part> {
        let owner = match &filter.owner {
            // SQLite would look for an owner's where it is to look for a record's.
            Some(owner) if !guided || filter.object_id.is_none() => owner,
            _ => return vec![Part::All],
        };
        let pending = [Part::Pending(owner_shard(owner)), Part::Unsharded];
        match filter.status {
            Some(Status::Pending) => pending.to_vec(),
            Some(_) => vec![Part::Settled],
            None => [&pending[..], &[Part::Settled]].concat(),
        }
    }

    /// Whether its condition says of the status all that the filter does.
    pub(in crate::db) fn is_of_one_status(self) -> bool {
        matches!(self, Part::Pending(_) | Part::Unsharded)
    }

    /// Narrows a list to it; as the partial indexes have it, because they serve nothing else.
    pub(in crate::db) fn narrow(self, query: ListQuery<'_>) -> ListQuery<'_> {
        let pending = || sql::<Bool>("(uploads.status = 'pending') IS TRUE");
        match self {
            Part::All => query,
            Part::Pending(shard) => query
                .filter(pending())
                .filter(sql::<Bool>("(uploads.owner_shard >= 0) IS TRUE"))
                .filter(uploads::owner_shard.eq(shard)),
            Part::Unsharded => query
                .filter(pending())
                .filter(sql::<Bool>("(uploads.owner_shard < 0) IS TRUE")),
            Part::Settled => query.filter(sql::<Bool>("(uploads.status <> 'pending') IS TRUE")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_what_the_rows_of_former_versions_say() {
        // The check value of CRC-32 is 0xCBF43926.
        assert_eq!(owner_shard("123456789"), 0x06);
        assert_eq!(owner_shard(""), 0);
        let used: std::collections::BTreeSet<i16> = (0..1_000)
            .map(|n| owner_shard(&format!("user:{n}")))
            .collect();
        assert_eq!(used, (0..32).collect());
    }

    #[test]
    fn what_is_settled_is_read_last() {
        let own = Filter {
            owner: Some("123456789".to_owned()),
            ..Filter::default()
        };
        for guided in [false, true] {
            let parts = Part::of(&own, guided);
            assert_eq!(parts, [Part::Pending(6), Part::Unsharded, Part::Settled]);
        }
    }
}
