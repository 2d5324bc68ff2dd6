//! Reading uploads: one by its id, and lists, newest first.

use std::borrow::Cow;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use crate::db::Db;
use crate::db::engine::connection::{AnyConnection, MultiBackend};
use crate::db::engine::error::DbError;
use crate::db::engine::row::{UploadRow, column_time, find, uploads_of};
use crate::db::engine::schema::uploads;
use crate::domain::attachment::ObjectId;
use crate::domain::field::FieldName;
use crate::domain::ids::UploadId;
use crate::domain::principal::FieldPattern;
use crate::domain::upload::{Status, Upload};

/// The uploads of a list: those that match every member that is set.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In this status.
    pub status: Option<Status>,
    /// For this field.
    pub field: Option<FieldName>,
    /// For any field of this model.
    pub model: Option<String>,
    /// Meant for the record with this id, or attached to it.
    pub object_id: Option<ObjectId>,
    /// Of this owner. The broker sets it for a caller that may read only its own uploads.
    pub owner: Option<String>,
    /// Created before this time.
    pub created_before: Option<DateTime<Utc>>,
    /// The fields that the caller's token is limited to; `None`: all fields, an empty list: none.
    pub reach: Option<Vec<FieldPattern>>,
    /// Older than this upload: the last of the page before.
    pub before: Option<UploadId>,
    /// The largest number of uploads in the list.
    pub limit: u32,
}

impl Db {
    /// An upload by its id, of any owner: the broker decides whether its caller may see it.
    pub async fn find_upload(&self, id: UploadId) -> Result<Option<Upload>, DbError> {
        self.readers.read(move |conn| find(conn, id)).await
    }

    /// The uploads that match the filter, newest first.
    pub async fn list(&self, filter: Filter) -> Result<Vec<Upload>, DbError> {
        if filter.reach.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Vec::new());
        }
        let query = move |conn: &mut AnyConnection| {
            let on_sqlite = matches!(conn, AnyConnection::Sqlite(_));
            uploads_of(list_query(&filter, on_sqlite).load(conn)?)
        };
        self.readers.read(query).await
    }
}

/// The type of a list's statement.
pub(in crate::db) type ListQuery<'a> = diesel::helper_types::IntoBoxed<
    'a,
    diesel::helper_types::Select<
        uploads::table,
        diesel::helper_types::AsSelect<UploadRow, MultiBackend>,
    >,
    MultiBackend,
>;

/// The statement of a list.
pub(in crate::db) fn list_query(filter: &Filter, on_sqlite: bool) -> ListQuery<'_> {
    // A plus keeps SQLite from using the index of a column. The index of the statuses holds the field too, but SQLite would prefer
    // the index of the fields, and read the row of each upload of the field (plan test `list_of_a_field_and_a_status_...`).
    let by_status = filter.status.is_some() && filter.owner.is_none() && filter.object_id.is_none();
    let field = match on_sqlite && by_status {
        true => "+uploads.field",
        false => "uploads.field",
    };
    let mut query = uploads::table.select(UploadRow::as_select()).into_boxed();
    // First, because `or_filter` joins all conditions before it.
    for pattern in filter.reach.iter().flatten() {
        query = match pattern {
            FieldPattern::Exact(name) => query.or_filter(compare(field, "=", name.as_str())),
            FieldPattern::Model(model) => query.or_filter(of_model(field, model)),
        };
    }
    if let Some(status) = filter.status {
        query = query.filter(uploads::status.eq(status.as_str()));
    }
    if let Some(name) = &filter.field {
        query = query.filter(compare(field, "=", name.as_str()));
    }
    if let Some(model) = &filter.model {
        query = query.filter(of_model(field, model));
    }
    if let Some(object_id) = &filter.object_id {
        query = query.filter(uploads::object_id.eq(object_id.as_str()));
    }
    if let Some(owner) = &filter.owner {
        query = query.filter(uploads::owner.eq(owner.as_str()));
    }
    if let Some(time) = filter.created_before {
        query = query.filter(uploads::created_at.lt(column_time(time)));
    }
    if let Some(before) = first_left_out(filter) {
        query = query.filter(uploads::id.lt(before));
    }
    query
        .order(uploads::id.desc())
        .limit(i64::from(filter.limit))
}

/// The id that is greater than all ids of the list. Ids begin with their time, so uploads that are too young are not read.
fn first_left_out(filter: &Filter) -> Option<String> {
    let too_young = filter.created_before.map(|time| {
        // An id holds whole milliseconds.
        let next = time + TimeDelta::milliseconds(1);
        UploadId::new(next, &[0; 10]).to_string()
    });
    let page = filter.before.map(|id| id.to_string());
    too_young.into_iter().chain(page).min()
}

type Condition<'a> = diesel::expression::UncheckedBind<
    diesel::expression::SqlLiteral<Bool>,
    diesel::dsl::AsExprOf<Cow<'a, str>, Text>,
>;

fn compare<'a>(column: &str, operator: &str, value: impl Into<Cow<'a, str>>) -> Condition<'a> {
    let value: Cow<'a, str> = value.into();
    sql::<Bool>(&format!("{column} {operator} ")).bind::<Text, _>(value)
}

/// Whether the field is one of this model's: a range of names. Not LIKE, for which '_' is a wildcard; '/' follows '.'.
fn of_model<'a>(field: &str, model: &str) -> diesel::dsl::And<Condition<'a>, Condition<'a>> {
    let (from, to) = (format!("{model}."), format!("{model}/"));
    compare(field, ">=", from).and(compare(field, "<", to))
}
