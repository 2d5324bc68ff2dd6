//! Leases: which broker does a kind of periodic work that one broker at a time should do.
//!
//! A lease only saves work: a broker that pauses past the end of its lease goes on beside its successor, and every change of either is
//! a compare-and-set of its own.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::row::column_time;
use crate::db::engine::schema::leases;
use crate::db::writer::counter_deltas::CounterDeltas;
use crate::db::writer::queue::Write;
use crate::domain::ids::UploadId;

/// A lease to acquire.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The kind of work.
    pub name: &'static str,
    /// The broker that acquires it.
    pub holder: String,
    /// Now.
    pub at: DateTime<Utc>,
    /// When the lease ends.
    pub until: DateTime<Utc>,
}

impl Db {
    /// Acquires or extends a lease; false while another broker holds it.
    pub async fn acquire_lease(&self, lease: Lease) -> Result<bool, DbError> {
        self.queue.submit(AcquireLease(lease)).await
    }

    /// Releases a lease before its end. Another broker's lease stays.
    pub async fn release_lease(&self, name: &'static str, holder: &str) -> Result<(), DbError> {
        let holder = holder.to_owned();
        self.queue.submit(ReleaseLease { name, holder }).await
    }
}

struct AcquireLease(Lease);

impl Write for AcquireLease {
    type Answer = bool;

    fn upload(&self) -> UploadId {
        UploadId::NONE
    }

    fn write(&self, conn: &mut AnyConnection, _: &mut CounterDeltas) -> Result<bool, Failure> {
        let Lease {
            name,
            holder,
            at,
            until,
        } = &self.0;
        // A lease that ends more than two lifetimes from now was written by a clock that is ahead, or this clock was set back. It
        // counts as ended: else the work of a dead holder would wait until then. A broker with a longer lifetime configured may
        // lose its lease by this, which does no harm.
        let lifetime = *until - *at;
        let implausible = leases::held_until.gt(column_time(*until + lifetime));
        let ended = leases::held_until.le(column_time(*at)).or(implausible);
        let updated = diesel::update(leases::table)
            .filter(leases::name.eq(*name))
            .filter(leases::holder.eq(holder).or(ended))
            .set((
                leases::holder.eq(holder),
                leases::held_until.eq(column_time(*until)),
            ))
            .execute(conn)?;
        if updated == 1 {
            return Ok(true);
        }
        let insert = diesel::insert_into(leases::table)
            .values((
                leases::name.eq(*name),
                leases::holder.eq(holder),
                leases::held_until.eq(column_time(*until)),
            ))
            .on_conflict_do_nothing();
        // The same statement on both; MultiConnection itself has no `on_conflict`.
        let inserted = match conn {
            AnyConnection::Sqlite(conn) => insert.execute(conn)?,
            AnyConnection::Postgres(conn) => insert.execute(conn)?,
        };
        Ok(inserted == 1)
    }
}

struct ReleaseLease {
    name: &'static str,
    holder: String,
}

impl Write for ReleaseLease {
    type Answer = ();

    fn upload(&self) -> UploadId {
        UploadId::NONE
    }

    fn write(&self, conn: &mut AnyConnection, _: &mut CounterDeltas) -> Result<(), Failure> {
        diesel::delete(leases::table)
            .filter(leases::name.eq(self.name))
            .filter(leases::holder.eq(&self.holder))
            .execute(conn)?;
        Ok(())
    }
}
