//! Lists of uploads, newest first.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::owners::Part;
use super::row::{UploadRow, column_time};
use crate::db::Db;
use crate::db::engine::connection::{AnyConnection, MultiBackend};
use crate::db::engine::error::DbError;
use crate::db::engine::schema::uploads;
use crate::domain::attachment::ObjectId;
use crate::domain::field::FieldName;
use crate::domain::ids::UploadId;
use crate::domain::principal::FieldPattern;
use crate::domain::upload::{Status, Upload};

/// Which uploads a list shows: all that fit every member that is given.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In this status.
    pub status: Option<Status>,
    /// For this field.
    pub field: Option<FieldName>,
    /// For any field of this model.
    pub model: Option<String>,
    /// Meant for a record with this id, or attached to it.
    pub object_id: Option<ObjectId>,
    /// Of this owner. The broker sets it to a caller that may read only its own uploads.
    pub owner: Option<String>,
    /// Created before this time.
    pub created_before: Option<DateTime<Utc>>,
    /// What the caller's token is narrowed to; `None` means all fields, an empty list none.
    pub reach: Option<Vec<FieldPattern>>,
    /// Only uploads older than this one: the last of the page before.
    pub before: Option<UploadId>,
    /// At most so many.
    pub limit: u32,
}

impl Db {
    /// The uploads that the filter leaves, newest first.
    pub async fn list(&self, filter: Filter) -> Result<Vec<Upload>, DbError> {
        if filter.reach.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Vec::new());
        }
        let query = move |conn: &mut AnyConnection| {
            let guided = matches!(conn, AnyConnection::Sqlite(_));
            // By their ids: what was pending and is settled when that part is read is one upload, as it is now.
            let mut found: BTreeMap<String, UploadRow> = BTreeMap::new();
            let last = filter.limit.saturating_sub(1) as usize;
            for part in Part::of(&filter, guided) {
                let mut query = list_query(&filter, part, guided);
                // Of the parts that follow only what is newer than a page that is full already.
                if let Some(oldest) = found.keys().nth_back(last) {
                    query = query.filter(uploads::id.gt(oldest.clone()));
                }
                let rows: Vec<UploadRow> = query.load(conn)?;
                found.extend(rows.into_iter().map(|row| (row.id.clone(), row)));
            }
            let newest = found.into_values().rev().take(filter.limit as usize);
            let uploads: Result<Vec<Upload>, DbError> =
                newest.map(UploadRow::into_upload).collect();
            Ok(uploads?)
        };
        self.readers.read(query).await
    }
}

/// A list as Diesel builds it.
pub(in crate::db) type ListQuery<'a> = diesel::helper_types::IntoBoxed<
    'a,
    diesel::helper_types::Select<
        uploads::table,
        diesel::helper_types::AsSelect<UploadRow, MultiBackend>,
    >,
    MultiBackend,
>;

/// The statement of a list, or of a part of it. `guided` is for SQLite: it has no statistics, and of two columns with an index each
/// it may choose the one that most rows have in common, so that a user's own uploads of a field are looked for among everybody's.
/// A plus before a column keeps its index out.
pub(in crate::db) fn list_query(filter: &Filter, part: Part, guided: bool) -> ListQuery<'_> {
    let narrow = filter.owner.is_some() || filter.object_id.is_some();
    let by_status = filter.status.is_some();
    let status = Column::new("status", guided && narrow);
    // The index of the statuses holds the field as well.
    let field = Column::new(
        "field",
        guided && (filter.owner.is_some() || by_status) && filter.object_id.is_none(),
    );
    let owner = Column::new("owner", guided && filter.object_id.is_some());

    let mut query = uploads::table.select(UploadRow::as_select()).into_boxed();
    // First, because `or_filter` joins everything that is there already.
    for pattern in filter.reach.iter().flatten() {
        query = match pattern {
            FieldPattern::Exact(name) => query.or_filter(field.is("=", name.as_str())),
            FieldPattern::Model(model) => {
                let (from, to) = range_of(model);
                query.or_filter(field.is(">=", from).and(field.is("<", to)))
            }
        };
    }
    // Said twice, Postgres would take it for twice as rare.
    if let Some(wanted) = filter.status.filter(|_| !part.is_of_one_status()) {
        query = query.filter(status.is("=", wanted.as_str()));
    }
    if let Some(name) = &filter.field {
        query = query.filter(field.is("=", name.as_str()));
    }
    if let Some(model) = &filter.model {
        let (from, to) = range_of(model);
        query = query.filter(field.is(">=", from).and(field.is("<", to)));
    }
    if let Some(object_id) = &filter.object_id {
        query = query.filter(uploads::object_id.eq(object_id.as_str()));
    }
    if let Some(name) = &filter.owner {
        query = query.filter(owner.is("=", name.as_str()));
    }
    if let Some(time) = filter.created_before {
        query = query.filter(uploads::created_at.lt(column_time(time)));
    }
    if let Some(before) = first_left_out(filter) {
        query = query.filter(uploads::id.lt(before));
    }
    part.narrow(query)
        .order(uploads::id.desc())
        .limit(i64::from(filter.limit))
}

/// The id that all of the list lie before. Ids begin with their time, so what is too young is not even looked at.
fn first_left_out(filter: &Filter) -> Option<String> {
    let too_young = filter.created_before.map(|time| {
        // An id tells whole milliseconds.
        let next = time + TimeDelta::milliseconds(1);
        UploadId::new(next, &[0; 10]).to_string()
    });
    let page = filter.before.map(|id| id.to_string());
    too_young.into_iter().chain(page).min()
}

/// A column of text in a list's conditions.
struct Column(String);

impl Column {
    fn new(name: &str, without_index: bool) -> Column {
        let plus = if without_index { "+" } else { "" };
        Column(format!("{plus}uploads.{name}"))
    }

    fn is<'a>(&self, comparison: &str, value: impl Into<Cow<'a, str>>) -> Condition<'a> {
        let value: Cow<'a, str> = value.into();
        sql::<Bool>(&format!("{} {comparison} ", self.0)).bind::<Text, _>(value)
    }
}

type Condition<'a> = diesel::expression::UncheckedBind<
    diesel::expression::SqlLiteral<Bool>,
    diesel::dsl::AsExprOf<Cow<'a, str>, Text>,
>;

/// The names of a model's fields lie from the first to before the second. A range and not LIKE: '_' is a wildcard there, and
/// '/' is the character after '.'.
fn range_of(model: &str) -> (String, String) {
    (format!("{model}."), format!("{model}/"))
}
