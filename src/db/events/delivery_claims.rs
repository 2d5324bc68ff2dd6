//! Delivery claims: the deliveries that one worker attempts now, in order for each upload and endpoint.
//!
//! A claim ends by itself, so a worker may be killed at any line: the delivery is then attempted again, under the same id. Of an
//! upload's events only the earliest pending one can be claimed, which keeps their order.

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

/// Which deliveries to claim.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// The endpoint's name.
    pub endpoint: String,
    /// The most deliveries.
    pub limit: u32,
    /// Now: deliveries are claimed that are due.
    pub now: DateTime<Utc>,
    /// When the claim ends, and other workers may claim what is still pending.
    pub until: DateTime<Utc>,
}

/// A claimed delivery: only its claimant attempts it until the claim ends.
#[derive(Debug, Clone)]
pub struct DeliveryClaim {
    /// The event's id, which is the delivery's too.
    pub event: EventId,
    /// The event's upload.
    pub upload: UploadId,
    /// The event's number among those of the upload.
    pub seq: i64,
    /// How many attempts were made before.
    pub attempts: u32,
    /// The bytes to send.
    pub body: String,
    /// Identifies the claim.
    pub(in crate::db) token: String,
}

impl Db {
    /// Claims due deliveries, the longest due first. None of a disabled endpoint.
    pub async fn claim_deliveries(
        &self,
        request: ClaimRequest,
    ) -> Result<Vec<DeliveryClaim>, DbError> {
        let token = format!("{:032x}", rand::random::<u128>());
        self.queue.submit(ClaimDeliveries { request, token }).await
    }
}

/// Not recognized when it is written again: what was claimed in a commit whose answer was lost is due again when that claim ends.
struct ClaimDeliveries {
    request: ClaimRequest,
    token: String,
}

impl Write for ClaimDeliveries {
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
            endpoint: &self.request.endpoint,
            token: &self.token,
            now: column_time(self.request.now),
            until: column_time(self.request.until),
            limit: i64::from(self.request.limit),
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
            .filter(deliveries::endpoint.eq(&self.request.endpoint))
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
        rows.into_iter().map(|row| self.claim(row)).collect()
    }
}

impl ClaimDeliveries {
    fn claim(
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

/// Claims in one statement. It is SQL text, because MultiConnection has neither `FOR UPDATE SKIP LOCKED`, with which two brokers on
/// Postgres claim different rows, nor an update that returns rows on both databases.
struct ClaimDue<'a> {
    endpoint: &'a str,
    token: &'a str,
    now: NaiveDateTime,
    until: NaiveDateTime,
    limit: i64,
    skips_locked: bool,
}

// One text on each database, so the statement is prepared once for each connection.
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
        // Materialized: Postgres may otherwise run the query more than once, and claim more than the limit.
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
