//! Inserts new uploads, the most frequent write: one statement for all rows on Postgres, a prepared one for each row on SQLite.
//!
//! Both are SQL text, because MultiConnection has no `on_conflict`, and because a statement with a fixed text is prepared once for each
//! connection, where diesel would build the text of an insert each time.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamp, Timestamptz};
use diesel::sqlite::Sqlite;

use crate::db::engine::connection::AnyConnection;
use crate::db::engine::row::UploadRow;

/// The value of a column in a row, by its SQL type.
#[derive(Clone, Copy)]
enum Column {
    Text(fn(&UploadRow) -> &String),
    NullableText(fn(&UploadRow) -> &Option<String>),
    Integer(fn(&UploadRow) -> &i32),
    BigInt(fn(&UploadRow) -> &i64),
    Bool(fn(&UploadRow) -> &bool),
    Time(fn(&UploadRow) -> &NaiveDateTime),
}

/// The columns that a new upload has. The others are null by default.
const COLUMNS: [(&str, Column); 17] = [
    ("id", Column::Text(|row| &row.id)),
    ("status", Column::Text(|row| &row.status)),
    ("version", Column::BigInt(|row| &row.version)),
    ("field", Column::Text(|row| &row.field)),
    ("owner", Column::Text(|row| &row.owner)),
    ("bucket", Column::Text(|row| &row.bucket)),
    ("filename", Column::Text(|row| &row.filename)),
    ("content_type", Column::Text(|row| &row.content_type)),
    ("size", Column::BigInt(|row| &row.size)),
    (
        "checksum_algorithm",
        Column::NullableText(|row| &row.checksum_algorithm),
    ),
    (
        "checksum_value",
        Column::NullableText(|row| &row.checksum_value),
    ),
    ("created_at", Column::Time(|row| &row.created_at)),
    ("expires_at", Column::Time(|row| &row.expires_at)),
    (
        "url_lifetime_secs",
        Column::Integer(|row| &row.url_lifetime_secs),
    ),
    ("object_id", Column::NullableText(|row| &row.object_id)),
    (
        "attach_at_confirm",
        Column::Bool(|row| &row.attach_at_confirm),
    ),
    ("grant_id", Column::NullableText(|row| &row.grant_id)),
];

/// Inserts rows of new uploads, and returns how many did not exist before. It returns no ids: all rows are new unless the answer of a
/// commit was lost, and each id would cost time on both sides.
pub(in crate::db) fn insert_new(
    conn: &mut AnyConnection,
    rows: &[&UploadRow],
) -> QueryResult<usize> {
    if rows.is_empty() {
        return Ok(0);
    }
    match conn {
        AnyConnection::Postgres(conn) => InsertAll::new(rows).execute(conn),
        AnyConnection::Sqlite(conn) => {
            let mut inserted = 0;
            for row in rows {
                inserted += InsertOne { row }.execute(conn)?;
            }
            Ok(inserted)
        }
    }
}

/// The values of a column in all rows.
enum Values<'a> {
    Text(Vec<&'a str>),
    NullableText(Vec<Option<&'a str>>),
    Integer(Vec<i32>),
    BigInt(Vec<i64>),
    Bool(Vec<bool>),
    Time(Vec<DateTime<Utc>>),
}

impl<'a> Values<'a> {
    fn new(column: Column, rows: &[&'a UploadRow]) -> Values<'a> {
        let rows = rows.iter();
        match column {
            Column::Text(of) => Values::Text(rows.map(|row| of(row).as_str()).collect()),
            Column::NullableText(of) => {
                Values::NullableText(rows.map(|row| of(row).as_deref()).collect())
            }
            Column::Integer(of) => Values::Integer(rows.map(|row| *of(row)).collect()),
            Column::BigInt(of) => Values::BigInt(rows.map(|row| *of(row)).collect()),
            Column::Bool(of) => Values::Bool(rows.map(|row| *of(row)).collect()),
            Column::Time(of) => Values::Time(rows.map(|row| of(row).and_utc()).collect()),
        }
    }
}

/// `INSERT … SELECT * FROM unnest(…)` with one array for each column: a third faster than VALUES for each row, and one prepared
/// statement for every batch size.
struct InsertAll<'a>(Vec<Values<'a>>);

impl<'a> InsertAll<'a> {
    fn new(rows: &[&'a UploadRow]) -> InsertAll<'a> {
        let columns = COLUMNS.iter();
        InsertAll(columns.map(|(_, it)| Values::new(*it, rows)).collect())
    }
}

// The text is the same for every batch, so the statement is prepared once for each connection.
impl QueryId for InsertAll<'_> {
    type QueryId = InsertAll<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<PgConnection> for InsertAll<'_> {}

impl QueryFragment<Pg> for InsertAll<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(&format!(
            "INSERT INTO uploads ({}) SELECT * FROM unnest(",
            names()
        ));
        for (n, values) in self.0.iter().enumerate() {
            out.push_sql(if n == 0 { "" } else { ", " });
            match values {
                Values::Text(values) => out.push_bind_param::<Array<Text>, _>(values)?,
                Values::NullableText(values) => {
                    out.push_bind_param::<Array<Nullable<Text>>, _>(values)?;
                }
                Values::Integer(values) => out.push_bind_param::<Array<Integer>, _>(values)?,
                Values::BigInt(values) => out.push_bind_param::<Array<BigInt>, _>(values)?,
                Values::Bool(values) => out.push_bind_param::<Array<Bool>, _>(values)?,
                Values::Time(values) => out.push_bind_param::<Array<Timestamptz>, _>(values)?,
            }
        }
        out.push_sql(") ON CONFLICT (id) DO NOTHING");
        Ok(())
    }
}

/// `INSERT … VALUES` of one row.
struct InsertOne<'a> {
    row: &'a UploadRow,
}

impl QueryId for InsertOne<'_> {
    type QueryId = InsertOne<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<SqliteConnection> for InsertOne<'_> {}

impl QueryFragment<Sqlite> for InsertOne<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(&format!("INSERT INTO uploads ({}) VALUES (", names()));
        for (n, (_, column)) in COLUMNS.iter().enumerate() {
            out.push_sql(if n == 0 { "" } else { ", " });
            match column {
                Column::Text(of) => out.push_bind_param::<Text, _>(of(self.row))?,
                Column::NullableText(of) => {
                    out.push_bind_param::<Nullable<Text>, _>(of(self.row))?;
                }
                Column::Integer(of) => out.push_bind_param::<Integer, _>(of(self.row))?,
                Column::BigInt(of) => out.push_bind_param::<BigInt, _>(of(self.row))?,
                Column::Bool(of) => out.push_bind_param::<Bool, _>(of(self.row))?,
                Column::Time(of) => out.push_bind_param::<Timestamp, _>(of(self.row))?,
            }
        }
        out.push_sql(") ON CONFLICT (id) DO NOTHING");
        Ok(())
    }
}

fn names() -> String {
    COLUMNS.map(|(name, _)| name).join(", ")
}
