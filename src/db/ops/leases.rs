//! Turns: which broker does a kind of work that one of them at a time should do.
//!
//! They save work and decide nothing: a broker that slept over the end of its turn goes on beside its successor, and every change
//! that either makes is a compare-and-set of its own.

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

/// Who wants which work, and for how long.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The kind of work.
    pub name: &'static str,
    /// The broker that wants it.
    pub holder: String,
    /// Now.
    pub at: DateTime<Utc>,
    /// Until when it is the holder's alone.
    pub until: DateTime<Utc>,
}

impl Db {
    /// Takes the turn, or keeps it longer; false while it is another's.
    pub async fn acquire_lease(&self, turn: Lease) -> Result<bool, DbError> {
        self.queue.submit(AcquireLease(turn)).await
    }

    /// Gives the turn back, so that another broker need not wait for its end. Fine when it is another's.
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
        // One that ends far later than a turn lasts was written by a clock that is ahead, or ours was set back: without this, work
        // that its dead holder left would wait until then. Brokers with other settings may be wronged by it, which does no harm.
        let lasts = *until - *at;
        let unbelievable = leases::held_until.gt(column_time(*until + lasts));
        let ended = leases::held_until.le(column_time(*at)).or(unbelievable);
        let taken = diesel::update(leases::table)
            .filter(leases::name.eq(*name))
            .filter(leases::holder.eq(holder).or(ended))
            .set((
                leases::holder.eq(holder),
                leases::held_until.eq(column_time(*until)),
            ))
            .execute(conn)?;
        if taken == 1 {
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
