//! New uploads, the hottest write: one statement for all rows on Postgres, a prepared one a row on SQLite.
//!
//! Both are written by hand, because MultiConnection has no `on_conflict`, and because a statement whose text is fixed is
//! prepared once a connection, where diesel would write an insert's text anew each time.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamp, Timestamptz};
use diesel::sqlite::Sqlite;

use super::connection::AnyConnection;
use super::row::UploadRow;
use crate::domain::upload::Status;

/// Inserts rows of new uploads and returns the ids that were not there before.
pub(super) fn insert_new(
    conn: &mut AnyConnection,
    rows: &[&UploadRow],
) -> QueryResult<HashSet<String>> {
    if rows.is_empty() {
        return Ok(HashSet::new());
    }
    match conn {
        AnyConnection::Postgres(conn) => {
            let ids: Vec<String> = InsertByUnnest::of(rows).load(conn)?;
            Ok(ids.into_iter().collect())
        }
        AnyConnection::Sqlite(conn) => {
            let mut ids = HashSet::with_capacity(rows.len());
            for row in rows {
                if InsertOne(row).execute(conn)? == 1 {
                    ids.insert(row.id.clone());
                }
            }
            Ok(ids)
        }
    }
}

/// `INSERT … SELECT … FROM unnest(…)`, one array a column: a third faster than a row of VALUES each, and one prepared
/// statement for every batch size.
struct InsertByUnnest<'a> {
    status: &'static str,
    ids: Vec<&'a str>,
    fields: Vec<&'a str>,
    owners: Vec<&'a str>,
    buckets: Vec<&'a str>,
    filenames: Vec<&'a str>,
    content_types: Vec<&'a str>,
    sizes: Vec<i64>,
    algorithms: Vec<Option<&'a str>>,
    checksums: Vec<Option<&'a str>>,
    created: Vec<DateTime<Utc>>,
    expire: Vec<DateTime<Utc>>,
    lifetimes: Vec<i32>,
    objects: Vec<Option<&'a str>>,
    attached: Vec<bool>,
    grants: Vec<Option<&'a str>>,
}

impl<'a> InsertByUnnest<'a> {
    fn of(rows: &[&'a UploadRow]) -> InsertByUnnest<'a> {
        let texts = |column: fn(&UploadRow) -> &str| rows.iter().map(|row| column(row)).collect();
        InsertByUnnest {
            status: Status::Pending.as_str(),
            ids: texts(|row| &row.id),
            fields: texts(|row| &row.field),
            owners: texts(|row| &row.owner),
            buckets: texts(|row| &row.bucket),
            filenames: texts(|row| &row.filename),
            content_types: texts(|row| &row.content_type),
            sizes: rows.iter().map(|row| row.size).collect(),
            algorithms: rows
                .iter()
                .map(|row| row.checksum_algorithm.as_deref())
                .collect(),
            checksums: rows
                .iter()
                .map(|row| row.checksum_value.as_deref())
                .collect(),
            created: rows.iter().map(|row| row.created_at.and_utc()).collect(),
            expire: rows.iter().map(|row| row.expires_at.and_utc()).collect(),
            lifetimes: rows.iter().map(|row| row.url_lifetime_secs).collect(),
            objects: rows.iter().map(|row| row.object_id.as_deref()).collect(),
            attached: rows.iter().map(|row| row.attach_at_confirm).collect(),
            grants: rows.iter().map(|row| row.grant_id.as_deref()).collect(),
        }
    }
}

// One text for every batch, so the statement is prepared once a connection.
impl QueryId for InsertByUnnest<'_> {
    type QueryId = InsertByUnnest<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for InsertByUnnest<'_> {
    type SqlType = Text;
}

impl RunQueryDsl<PgConnection> for InsertByUnnest<'_> {}

impl QueryFragment<Pg> for InsertByUnnest<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO uploads (version, id, field, owner, bucket, filename, content_type, size, checksum_algorithm, \
             checksum_value, created_at, expires_at, url_lifetime_secs, object_id, attach_at_confirm, grant_id, status) SELECT 0, new.*, ",
        );
        out.push_bind_param::<Text, _>(self.status)?;
        out.push_sql(" FROM unnest(");
        let texts = [
            &self.ids,
            &self.fields,
            &self.owners,
            &self.buckets,
            &self.filenames,
            &self.content_types,
        ];
        for column in texts {
            out.push_bind_param::<Array<Text>, _>(column)?;
            out.push_sql(", ");
        }
        out.push_bind_param::<Array<BigInt>, _>(&self.sizes)?;
        for column in [&self.algorithms, &self.checksums] {
            out.push_sql(", ");
            out.push_bind_param::<Array<Nullable<Text>>, _>(column)?;
        }
        for column in [&self.created, &self.expire] {
            out.push_sql(", ");
            out.push_bind_param::<Array<Timestamptz>, _>(column)?;
        }
        out.push_sql(", ");
        out.push_bind_param::<Array<Integer>, _>(&self.lifetimes)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.objects)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Bool>, _>(&self.attached)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.grants)?;
        out.push_sql(") AS new ON CONFLICT (id) DO NOTHING RETURNING id");
        Ok(())
    }
}

/// One pending row. The columns that a new upload doesn't have are null by default.
struct InsertOne<'a>(&'a UploadRow);

impl QueryId for InsertOne<'_> {
    type QueryId = InsertOne<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<SqliteConnection> for InsertOne<'_> {}

impl QueryFragment<Sqlite> for InsertOne<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let row = self.0;
        out.push_sql(
            "INSERT INTO uploads (version, id, status, field, owner, bucket, filename, content_type, checksum_algorithm, \
             checksum_value, size, created_at, expires_at, url_lifetime_secs, object_id, attach_at_confirm, grant_id) VALUES (0, ",
        );
        let texts = [
            &row.id,
            &row.status,
            &row.field,
            &row.owner,
            &row.bucket,
            &row.filename,
            &row.content_type,
        ];
        for text in texts {
            out.push_bind_param::<Text, _>(text)?;
            out.push_sql(", ");
        }
        for text in [&row.checksum_algorithm, &row.checksum_value] {
            out.push_bind_param::<Nullable<Text>, _>(text)?;
            out.push_sql(", ");
        }
        out.push_bind_param::<BigInt, _>(&row.size)?;
        for time in [&row.created_at, &row.expires_at] {
            out.push_sql(", ");
            out.push_bind_param::<Timestamp, _>(time)?;
        }
        out.push_sql(", ");
        out.push_bind_param::<Integer, _>(&row.url_lifetime_secs)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&row.object_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Bool, _>(&row.attach_at_confirm)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&row.grant_id)?;
        out.push_sql(") ON CONFLICT (id) DO NOTHING");
        Ok(())
    }
}
