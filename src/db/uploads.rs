//! Creating uploads, finding one, and noting that an object is gone.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz};

use super::Db;
use super::connection::AnyConnection;
use super::queue::Write;
use super::row::{UploadRow, column_time, whole_micros};
use super::schema::uploads;
use super::trouble::{DbTrouble, Failure};
use crate::domain::ids::UploadId;
use crate::domain::upload::{Status, Upload};
use crate::policy::evidence::{Admitted, Issued};

/// What an upload is created from.
#[derive(Debug, Clone)]
pub struct NewUpload {
    /// Its id, new.
    pub id: UploadId,
    /// Whose it is.
    pub owner: String,
    /// The bucket it goes to.
    pub bucket: String,
    /// Now.
    pub created_at: DateTime<Utc>,
    /// Its own deadline.
    pub expires_at: DateTime<Utc>,
    /// What its field's policy accepted.
    pub admitted: Admitted,
}

impl NewUpload {
    fn into_upload(self) -> Upload {
        Upload {
            id: self.id,
            status: Status::Pending,
            version: 0,
            field: self.admitted.policy().name.clone(),
            owner: self.owner,
            bucket: self.bucket,
            filename: self.admitted.filename().clone(),
            content_type: self.admitted.content_type(),
            size: self.admitted.size(),
            checksum: self.admitted.checksum().cloned(),
            created_at: whole_micros(self.created_at),
            expires_at: whole_micros(self.expires_at),
            url_lifetime_secs: self.admitted.policy().url_lifetime_secs,
            confirmation: None,
            differences: Vec::new(),
            object_removed_at: None,
        }
    }
}

impl Db {
    /// Commits a pending upload. Only what this returns may be signed for. The same request again is the same upload; an id
    /// that another request has taken is [`DbTrouble::Internal`].
    pub async fn create(&self, new: NewUpload) -> Result<Issued, DbTrouble> {
        let upload = new.into_upload();
        let row = UploadRow::of_pending(&upload)?;
        let upload = self.queue.submit(Create { upload, row }).await?;
        Issued::from_row(upload)
            .map_err(|upload| DbTrouble::Internal(format!("{} is no longer pending", upload.id)))
    }

    /// Any upload, whoever owns it: the broker decides whether its caller may see it.
    pub async fn find_upload(&self, id: UploadId) -> Result<Option<Upload>, DbTrouble> {
        self.readers.read(move |conn| find(conn, id)).await
    }

    /// Notes when the upload's recorded object was seen to be removed. The first time stays.
    pub async fn object_removed(
        &self,
        upload: UploadId,
        at: DateTime<Utc>,
    ) -> Result<(), DbTrouble> {
        self.queue.submit(ObjectRemoved { upload, at }).await
    }
}

/// Finds an upload by its id.
pub(super) fn find(conn: &mut AnyConnection, id: UploadId) -> Result<Option<Upload>, Failure> {
    let row = find_row(conn, &id.to_string())?;
    Ok(row.map(UploadRow::into_upload).transpose()?)
}

/// Finds an upload's row.
pub(super) fn find_row(conn: &mut AnyConnection, id: &str) -> QueryResult<Option<UploadRow>> {
    uploads::table
        .filter(uploads::id.eq(id))
        .select(UploadRow::as_select())
        .first(conn)
        .optional()
}

struct Create {
    upload: Upload,
    row: UploadRow,
}

impl Write for Create {
    type Answer = Upload;

    fn upload(&self) -> UploadId {
        self.upload.id
    }

    fn new_row(&self) -> Option<(&UploadRow, Upload)> {
        Some((&self.row, self.upload.clone()))
    }

    fn write(&self, conn: &mut AnyConnection) -> Result<Upload, Failure> {
        if insert_new(conn, &[&self.row])?.contains(&self.row.id) {
            return Ok(self.upload.clone());
        }
        // The id is there: by this very request, when the answer to its commit was lost, or by another.
        match find_row(conn, &self.row.id)? {
            Some(row) if row.same_request(&self.row) => Ok(row.into_upload()?),
            _ => {
                let why = format!("the id {} is taken by another request", self.row.id);
                Err(Failure::Refused(DbTrouble::Internal(why)))
            }
        }
    }
}

struct ObjectRemoved {
    upload: UploadId,
    at: DateTime<Utc>,
}

impl Write for ObjectRemoved {
    type Answer = ();

    fn upload(&self) -> UploadId {
        self.upload
    }

    fn write(&self, conn: &mut AnyConnection) -> Result<(), Failure> {
        diesel::update(uploads::table)
            .filter(uploads::id.eq(self.upload.to_string()))
            .filter(uploads::object_removed_at.is_null())
            .set(uploads::object_removed_at.eq(column_time(self.at)))
            .execute(conn)?;
        Ok(())
    }
}

/// Inserts rows of new uploads and returns the ids that were not there before. MultiConnection has no `on_conflict`, so each
/// dialect has its own statement: one for all rows on Postgres, a prepared one a row on SQLite.
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
                let insert = diesel::insert_into(uploads::table)
                    .values(*row)
                    .on_conflict_do_nothing();
                if insert.execute(conn)? == 1 {
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
             checksum_value, created_at, expires_at, url_lifetime_secs, status) SELECT 0, new.*, ",
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
        out.push_sql(") AS new ON CONFLICT (id) DO NOTHING RETURNING id");
        Ok(())
    }
}
