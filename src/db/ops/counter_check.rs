//! The check of the counters: each counter is compared with the rows that it counts, and corrected by the difference.
//!
//! Every change writes its rows and counters in one transaction, so they differ only after rows were changed with SQL. The difference
//! is read in one statement, that is in one snapshot, in which a counter and its rows are of the same transactions: other changes,
//! before or after, leave it the same, so it can be added later and without a lock, beside running brokers. Two corrections at once
//! would add it twice: a correction holds a lease with a token of its own, and demands that the lease is still its own.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::leases::Lease;
use crate::db::Db;
use crate::db::engine::connection::{AnyConnection, Connector, Role};
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::schema::{leases, owner_usage};
use crate::db::writer::counter_deltas::CounterDeltas;
use crate::db::writer::counters::Sum;
use crate::db::writer::queue::Write;
use crate::domain::ids::UploadId;
use crate::domain::upload::Status;

/// The lease of a correction.
pub(in crate::db) const LEASE: &str = "correct-counters";
/// How long the comparison may take, in seconds. It reads every upload once, and locks nothing.
const COMPARE_LIMIT_SECS: u32 = 600;
/// How many counters of each table one comparison returns.
const LIMIT: usize = 500;

const USAGE: &str = "SELECT owner AS name, '' AS status, CAST(SUM(n) AS BIGINT) AS count, CAST(SUM(b) AS BIGINT) AS bytes FROM ( \
    SELECT owner, COUNT(*) AS n, SUM(size) AS b FROM uploads WHERE status = 'pending' GROUP BY owner \
    UNION ALL SELECT owner, -pending_count, -pending_bytes FROM owner_usage) AS compared \
    GROUP BY owner HAVING SUM(n) <> 0 OR SUM(b) <> 0 ORDER BY owner LIMIT ";
const COUNTS: &str = "SELECT field AS name, status, CAST(SUM(n) AS BIGINT) AS count, CAST(SUM(b) AS BIGINT) AS bytes FROM ( \
    SELECT field, status, COUNT(*) AS n, SUM(size) AS b FROM uploads GROUP BY field, status \
    UNION ALL SELECT field, status, -count, -bytes FROM upload_counts) AS compared \
    GROUP BY field, status HAVING SUM(n) <> 0 OR SUM(b) <> 0 ORDER BY field, status LIMIT ";

/// Counters that differ from their rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CounterCheck {
    /// The counters.
    pub differing: Vec<CounterDifference>,
    /// Whether there may be more.
    pub more: bool,
}

/// A counter that differs from its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterDifference {
    /// Which one: its owner, or its field and status.
    pub counter: Counter,
    /// The number of uploads according to the rows, minus the counter.
    pub uploads: i64,
    /// The same for their declared sizes, in bytes.
    pub bytes: i64,
}

/// A counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counter {
    /// The pending uploads of an owner.
    Pending {
        /// The owner.
        owner: String,
    },
    /// The uploads of a field in a status.
    Uploads {
        /// The field.
        field: String,
        /// The status.
        status: Status,
    },
}

#[derive(QueryableByName)]
struct DifferenceRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

impl DifferenceRow {
    fn into_difference(self) -> Result<CounterDifference, DbError> {
        let counter = if self.status.is_empty() {
            Counter::Pending { owner: self.name }
        } else {
            let status = Status::parse(&self.status).ok_or_else(|| {
                DbError::Internal(format!("the status {} can't be read", self.status))
            })?;
            let field = self.name;
            Counter::Uploads { field, status }
        };
        Ok(CounterDifference {
            counter,
            uploads: self.count,
            bytes: self.bytes,
        })
    }
}

impl Db {
    /// Compares every counter with its rows. Reads every upload once, on a connection of its own, because a read of the pool has a
    /// shorter limit.
    pub async fn check_counters(&self) -> Result<CounterCheck, DbError> {
        let connector = Connector {
            role: Role::Reader,
            statement_limit: Duration::from_secs(u64::from(COMPARE_LIMIT_SECS)),
            ..self.migrator.clone()
        };
        let comparing = tokio::task::spawn_blocking(move || compare(&connector));
        comparing.await.map_err(|_| DbError::Unavailable)?
    }

    /// Compares every counter with its rows and adds the differences; `None` while another correction runs. `token` is new for each
    /// call.
    pub async fn correct_counters(
        &self,
        token: &str,
        at: DateTime<Utc>,
    ) -> Result<Option<CounterCheck>, DbError> {
        let lease = Lease {
            name: LEASE,
            holder: token.to_owned(),
            at,
            until: at + TimeDelta::seconds(2 * i64::from(COMPARE_LIMIT_SECS)),
        };
        if !self.acquire_lease(lease).await? {
            return Ok(None);
        }
        let compared = self.check_counters().await;
        let corrected = match compared {
            Ok(check) => {
                let correct = Correct {
                    token: token.to_owned(),
                    differing: check.differing.clone(),
                };
                let done = self.queue.submit(correct).await;
                done.map(|done| done.then_some(check))
            }
            Err(error) => Err(error),
        };
        // If it fails, the lease ends by itself.
        let _ = self.release_lease(LEASE, token).await;
        corrected
    }

    /// Removes the counters of owners that have nothing pending, at most `limit`, and returns their number.
    pub async fn prune_usage(&self, limit: u32) -> Result<usize, DbError> {
        let idle = move |conn: &mut AnyConnection| {
            let owners: Vec<String> = owner_usage::table
                .filter(owner_usage::pending_count.eq(0))
                .filter(owner_usage::pending_bytes.eq(0))
                .limit(i64::from(limit))
                .select(owner_usage::owner)
                .load(conn)?;
            Ok(owners)
        };
        let owners = self.readers.read(idle).await?;
        if owners.is_empty() {
            return Ok(0);
        }
        self.queue.submit(PruneUsage { owners }).await
    }
}

fn compare(connector: &Connector) -> Result<CounterCheck, DbError> {
    let conn = &mut connector.connect().map_err(|_| DbError::Unavailable)?;
    let mut check = CounterCheck::default();
    for text in [USAGE, COUNTS] {
        let query = diesel::sql_query(format!("{text}{LIMIT}"));
        let found: QueryResult<Vec<DifferenceRow>> = query.load(conn);
        let found = found.map_err(|error| Failure::Sql(error).db_error())?;
        check.more |= found.len() >= LIMIT;
        for row in found {
            check.differing.push(row.into_difference()?);
        }
    }
    Ok(check)
}

/// Adds differences, if the lease is `token`'s.
pub(in crate::db) struct Correct {
    pub(in crate::db) token: String,
    pub(in crate::db) differing: Vec<CounterDifference>,
}

impl Write for Correct {
    /// False if the lease is no longer this correction's.
    type Answer = bool;

    fn upload(&self) -> UploadId {
        UploadId::NONE
    }

    fn write(&self, conn: &mut AnyConnection, deltas: &mut CounterDeltas) -> Result<bool, Failure> {
        // The same transaction ends the lease, so that a correction whose answer was lost is not added again.
        let done = format!("{} is done", self.token);
        let own = leases::table
            .filter(leases::name.eq(LEASE))
            .filter(leases::holder.eq(&self.token));
        let ended = diesel::update(own)
            .set((
                leases::holder.eq(&done),
                leases::held_until.eq(DateTime::UNIX_EPOCH.naive_utc()),
            ))
            .execute(conn)?;
        if ended == 0 {
            let holder: Option<String> = leases::table
                .find(LEASE)
                .select(leases::holder)
                .first(conn)
                .optional()?;
            return Ok(holder == Some(done));
        }
        for difference in &self.differing {
            let by = Sum {
                count: difference.uploads,
                bytes: difference.bytes,
            };
            match &difference.counter {
                Counter::Pending { owner } => deltas.correct_usage(owner, by),
                Counter::Uploads { field, status } => deltas.correct_count(field, *status, by),
            }
        }
        Ok(true)
    }
}

struct PruneUsage {
    owners: Vec<String>,
}

impl Write for PruneUsage {
    type Answer = usize;

    fn upload(&self) -> UploadId {
        UploadId::NONE
    }

    /// Keeps owners that have something pending by now. Rows that another broker has locked are left for the next round.
    fn write(&self, conn: &mut AnyConnection, _: &mut CounterDeltas) -> Result<usize, Failure> {
        macro_rules! idle {
            () => {
                owner_usage::table
                    .filter(owner_usage::owner.eq_any(&self.owners))
                    .filter(owner_usage::pending_count.eq(0))
                    .filter(owner_usage::pending_bytes.eq(0))
            };
        }
        Ok(match conn {
            AnyConnection::Sqlite(conn) => diesel::delete(idle!()).execute(conn)?,
            AnyConnection::Postgres(conn) => {
                let free: Vec<String> = idle!()
                    .select(owner_usage::owner)
                    .for_update()
                    .skip_locked()
                    .load(conn)?;
                let locked = owner_usage::table.filter(owner_usage::owner.eq_any(free));
                diesel::delete(locked).execute(conn)?
            }
        })
    }
}
