//! The recount: what the counters say is compared with the rows, and corrected by the difference.
//!
//! A broker of an older version beside us changes rows and no counters, and an operator may change rows by hand; nothing else lets
//! them differ. The difference is read in one statement, so in one snapshot, in which a counter and its rows are of the same
//! transactions: however much is written meanwhile, it is the same before and after, and is added later without a lock. Two
//! recounts at once would add it twice, so each has a token in `leases`, and a correction demands that the token is still its own.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::row::column_time;
use crate::db::Db;
use crate::db::engine::connection::{AnyConnection, Connector, Role};
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::queue::Write;
use crate::db::engine::schema::{leases, owner_usage};
use crate::db::ops::leases::Lease;
use crate::db::uploads::counter_deltas::{CounterDeltas, Sum};
use crate::domain::ids::UploadId;
use crate::domain::upload::Status;

/// The turn's name.
pub const RECOUNT: &str = "recount";
/// How long the comparison may take, in seconds: it reads every upload once, and holds up nobody.
const COMPARING_LIMIT_SECS: u64 = 600;
/// How many counters one correction changes at most.
const MOST: i64 = 500;

const USAGE: &str = "SELECT owner AS name, '' AS status, CAST(SUM(n) AS BIGINT) AS count, CAST(SUM(b) AS BIGINT) AS bytes FROM ( \
    SELECT owner, COUNT(*) AS n, SUM(size) AS b FROM uploads WHERE status = 'pending' GROUP BY owner \
    UNION ALL SELECT owner, -pending_count, -pending_bytes FROM owner_usage) AS compared \
    GROUP BY owner HAVING SUM(n) <> 0 OR SUM(b) <> 0 ORDER BY owner LIMIT ";
const COUNTS: &str = "SELECT field AS name, status, CAST(SUM(n) AS BIGINT) AS count, CAST(SUM(b) AS BIGINT) AS bytes FROM ( \
    SELECT field, status, COUNT(*) AS n, SUM(size) AS b FROM uploads GROUP BY field, status \
    UNION ALL SELECT field, status, -count, -bytes FROM upload_counts) AS compared \
    GROUP BY field, status HAVING SUM(n) <> 0 OR SUM(b) <> 0 ORDER BY field, status LIMIT ";

const IDLE: &str = "SELECT owner AS name, '' AS status, pending_count AS count, pending_bytes AS bytes FROM owner_usage \
    WHERE pending_count = 0 AND pending_bytes = 0 LIMIT ";

/// What a recount did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recounted {
    /// How many counters were wrong, and are corrected.
    pub corrected: usize,
    /// Whether there may be more of them.
    pub more: bool,
}

/// A counter that differs from its rows, and by how much.
#[derive(QueryableByName)]
struct Differs {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

impl Differs {
    fn by(&self) -> Sum {
        Sum {
            count: self.count,
            bytes: self.bytes,
        }
    }
}

impl Db {
    /// Compares every counter with its rows and corrects those that differ; `None` while another's recount is not over. `token` is
    /// new for each recount. Reads every upload once.
    pub async fn recount(
        &self,
        token: &str,
        at: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Option<Recounted>, DbError> {
        let turn = Lease {
            name: RECOUNT,
            holder: token.to_owned(),
            at,
            until,
        };
        if !self.acquire_lease(turn).await? {
            return Ok(None);
        }
        let connector = Connector {
            role: Role::Reader,
            statement_limit: std::time::Duration::from_secs(COMPARING_LIMIT_SECS),
            ..self.migrator.clone()
        };
        // On a connection of its own, because those of the pool give up after two seconds.
        let comparing = tokio::task::spawn_blocking(move || compare(&connector));
        let compared = comparing.await.map_err(|_| DbError::Unavailable)??;
        let Compared {
            usage,
            counts,
            idle,
        } = compared;
        let full = usage.len().max(counts.len()) as i64 >= MOST;
        let correct = Correct {
            token: token.to_owned(),
            until,
            usage,
            counts,
            idle,
            over: !full,
        };
        let corrected = self.queue.submit(correct).await?;
        Ok(corrected.map(|corrected| Recounted {
            corrected,
            more: full,
        }))
    }
}

/// What was found by reading all.
struct Compared {
    usage: Vec<Differs>,
    counts: Vec<Differs>,
    /// Owners that had nothing pending.
    idle: Vec<Differs>,
}

fn compare(connector: &Connector) -> Result<Compared, DbError> {
    let conn = &mut connector.connect().map_err(|_| DbError::Unavailable)?;
    let mut load = |text: &str| {
        let query = diesel::sql_query(format!("{text}{MOST}"));
        let found: QueryResult<Vec<Differs>> = query.load(conn);
        found.map_err(|error| Failure::Sql(error).db_error())
    };
    Ok(Compared {
        usage: load(USAGE)?,
        counts: load(COUNTS)?,
        idle: load(IDLE)?,
    })
}

struct Correct {
    token: String,
    until: DateTime<Utc>,
    usage: Vec<Differs>,
    counts: Vec<Differs>,
    idle: Vec<Differs>,
    /// Whether nothing is left for another correction.
    over: bool,
}

impl Write for Correct {
    /// How many counters were corrected; `None` where the token is no longer this recount's.
    type Answer = Option<usize>;

    fn upload(&self) -> UploadId {
        UploadId::NONE
    }

    fn write(
        &self,
        conn: &mut AnyConnection,
        books: &mut CounterDeltas,
    ) -> Result<Option<usize>, Failure> {
        // The token is used up by it, so that a correction whose answer was lost is not made again.
        let own = leases::table
            .filter(leases::name.eq(RECOUNT))
            .filter(leases::holder.eq(&self.token));
        let until = if self.over {
            self.until
        } else {
            DateTime::UNIX_EPOCH
        };
        let used = diesel::update(own)
            .set((
                leases::holder.eq("done"),
                leases::held_until.eq(column_time(until)),
            ))
            .execute(conn)?;
        if used == 0 {
            return Ok(None);
        }
        for differs in &self.usage {
            books.correct_usage(&differs.name, differs.by());
        }
        for differs in &self.counts {
            let status = Status::parse(&differs.status);
            let unknown = || DbError::Internal(format!("{} is no status", differs.status));
            books.correct_count(&differs.name, status.ok_or_else(unknown)?, differs.by());
        }
        forget_idle(conn, &self.idle)?;
        Ok(Some(self.usage.len() + self.counts.len()))
    }
}

/// Owners that have nothing pending need no counter; who has something by now keeps it. Rows that another broker holds are left for
/// the next time.
fn forget_idle(conn: &mut AnyConnection, idle: &[Differs]) -> QueryResult<()> {
    if idle.is_empty() {
        return Ok(());
    }
    let owners: Vec<&str> = idle.iter().map(|it| it.name.as_str()).collect();
    macro_rules! still_idle {
        () => {
            owner_usage::table
                .filter(owner_usage::owner.eq_any(&owners))
                .filter(owner_usage::pending_count.eq(0))
                .filter(owner_usage::pending_bytes.eq(0))
        };
    }
    match conn {
        AnyConnection::Sqlite(conn) => diesel::delete(still_idle!()).execute(conn)?,
        AnyConnection::Postgres(conn) => {
            let free: Vec<String> = still_idle!()
                .select(owner_usage::owner)
                .for_update()
                .skip_locked()
                .load(conn)?;
            let locked = owner_usage::table.filter(owner_usage::owner.eq_any(free));
            diesel::delete(locked).execute(conn)?
        }
    };
    Ok(())
}
