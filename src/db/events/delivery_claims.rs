//! Leases: which deliveries one worker may make now, in order per upload and endpoint.
//!
//! Called by `webhooks`. A lease ends by itself, so a worker may be killed at any line: its delivery is then made again, under
//! the same id. Of an upload's events only the earliest that is still pending can be leased, which is all of the order.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::backend::Backend;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, HasSqlType, Text, Timestamp};

use crate::db::Db;
use crate::db::engine::connection::AnyConnection;
use crate::db::engine::error::{DbError, Failure};
use crate::db::engine::row::column_time;
use crate::db::engine::schema::{deliveries, events};
use crate::db::writer::counter_deltas::CounterDeltas;
use crate::db::writer::queue::Write;
use crate::domain::ids::{EventId, UploadId};

/// A wish for deliveries.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// To this endpoint.
    pub endpoint: String,
    /// At most so many.
    pub limit: u32,
    /// Now: what is due.
    pub now: DateTime<Utc>,
    /// When others may take them, if they are still pending.
    pub until: DateTime<Utc>,
}

/// A delivery that is this worker's until its lease ends.
#[derive(Debug, Clone)]
pub struct DeliveryClaim {
    /// The event, and the delivery's id.
    pub event: EventId,
    /// The upload that it is about.
    pub upload: UploadId,
    /// The event's number among those of the upload.
    pub seq: i64,
    /// How many attempts were made before.
    pub attempts: u32,
    /// The bytes to send.
    pub body: String,
    /// Names the lease.
    pub(in crate::db) token: String,
}

impl Db {
    /// Leases what is due, the longest due first. Nothing for an endpoint that is disabled.
    pub async fn claim_deliveries(
        &self,
        lease: ClaimRequest,
    ) -> Result<Vec<DeliveryClaim>, DbError> {
        let token = format!("{:032x}", rand::random::<u128>());
        self.queue.submit(TakeClaims { lease, token }).await
    }
}

/// Not recognized when it is written again: what a lost answer had leased is due again when that lease ends.
struct TakeClaims {
    lease: ClaimRequest,
    token: String,
}

impl Write for TakeClaims {
    type Answer = Vec<DeliveryClaim>;

    fn upload(&self) -> UploadId {
        UploadId::NONE
    }

    fn write(
        &self,
        conn: &mut AnyConnection,
        _: &mut CounterDeltas,
    ) -> Result<Vec<DeliveryClaim>, Failure> {
        let due = ClaimDue {
            endpoint: &self.lease.endpoint,
            token: &self.token,
            now: column_time(self.lease.now),
            until: column_time(self.lease.until),
            limit: i64::from(self.lease.limit),
            skips_locked: matches!(conn, AnyConnection::Postgres(_)),
        };
        let ids: Vec<String> = match conn {
            AnyConnection::Postgres(conn) => due.load(conn)?,
            AnyConnection::Sqlite(conn) => due.load(conn)?,
        };
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        type Row = (String, String, i64, i32, Option<String>);
        let rows: Vec<Row> = deliveries::table
            .inner_join(events::table.on(events::id.eq(deliveries::event_id)))
            .filter(deliveries::endpoint.eq(&self.lease.endpoint))
            .filter(deliveries::event_id.eq_any(ids))
            .order((deliveries::next_at, deliveries::event_id))
            .select((
                deliveries::event_id,
                deliveries::upload_id,
                deliveries::seq,
                deliveries::attempts,
                events::body,
            ))
            .load(conn)?;
        rows.into_iter().map(|row| self.leased(row)).collect()
    }
}

impl TakeClaims {
    fn leased(
        &self,
        row: (String, String, i64, i32, Option<String>),
    ) -> Result<DeliveryClaim, Failure> {
        let (event, upload, seq, attempts, body) = row;
        let bad = || DbError::Internal(format!("the delivery of {event} can't be read"));
        Ok(DeliveryClaim {
            event: EventId::parse(&event).map_err(|_| bad())?,
            upload: UploadId::parse(&upload).map_err(|_| bad())?,
            seq,
            attempts: u32::try_from(attempts).map_err(|_| bad())?,
            body: body.ok_or_else(bad)?,
            token: self.token.clone(),
        })
    }
}

/// Leases in one statement. By hand, because MultiConnection has neither `FOR UPDATE SKIP LOCKED`, by which two brokers on
/// Postgres take different rows, nor an update that returns rows on both.
struct ClaimDue<'a> {
    endpoint: &'a str,
    token: &'a str,
    now: NaiveDateTime,
    until: NaiveDateTime,
    limit: i64,
    skips_locked: bool,
}

// One text on each database, so the statement is prepared once a connection.
impl QueryId for ClaimDue<'_> {
    type QueryId = ClaimDue<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for ClaimDue<'_> {
    type SqlType = Text;
}

impl RunQueryDsl<PgConnection> for ClaimDue<'_> {}
impl RunQueryDsl<SqliteConnection> for ClaimDue<'_> {}

impl<DB> QueryFragment<DB> for ClaimDue<'_>
where
    DB: Backend + HasSqlType<Text> + HasSqlType<Timestamp> + HasSqlType<BigInt>,
    str: ToSql<Text, DB>,
    NaiveDateTime: ToSql<Timestamp, DB>,
    i64: ToSql<BigInt, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        // Materialized: Postgres could otherwise look more than once, and lease more than was asked for.
        out.push_sql(
            "WITH due AS MATERIALIZED (SELECT waiting.event_id FROM deliveries AS waiting WHERE waiting.endpoint = ",
        );
        out.push_bind_param::<Text, str>(self.endpoint)?;
        out.push_sql(" AND waiting.state = 'pending' AND waiting.next_at <= ");
        out.push_bind_param::<Timestamp, _>(&self.now)?;
        out.push_sql(" AND (waiting.leased_until IS NULL OR waiting.leased_until <= ");
        out.push_bind_param::<Timestamp, _>(&self.now)?;
        out.push_sql(
            ") AND NOT EXISTS (SELECT 1 FROM deliveries AS earlier WHERE earlier.endpoint = waiting.endpoint \
             AND earlier.upload_id = waiting.upload_id AND earlier.seq < waiting.seq AND earlier.state = 'pending') \
             AND NOT EXISTS (SELECT 1 FROM disabled_endpoints AS disabled WHERE disabled.endpoint = waiting.endpoint) \
             ORDER BY waiting.next_at, waiting.event_id LIMIT ",
        );
        out.push_bind_param::<BigInt, _>(&self.limit)?;
        if self.skips_locked {
            out.push_sql(" FOR UPDATE OF waiting SKIP LOCKED");
        }
        out.push_sql(") UPDATE deliveries SET lease = ");
        out.push_bind_param::<Text, str>(self.token)?;
        out.push_sql(", leased_until = ");
        out.push_bind_param::<Timestamp, _>(&self.until)?;
        out.push_sql(" WHERE endpoint = ");
        out.push_bind_param::<Text, str>(self.endpoint)?;
        out.push_sql(" AND event_id IN (SELECT due.event_id FROM due) RETURNING event_id");
        Ok(())
    }
}
