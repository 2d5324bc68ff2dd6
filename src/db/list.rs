//! Lists of uploads, newest first.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::Db;
use super::connection::{AnyConnection, MultiBackend};
use super::row::{UploadRow, column_time};
use super::schema::uploads;
use super::trouble::DbTrouble;
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
    pub async fn list(&self, filter: Filter) -> Result<Vec<Upload>, DbTrouble> {
        if filter.reach.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Vec::new());
        }
        let query = move |conn: &mut AnyConnection| {
            let rows: Vec<UploadRow> = list_query(&filter).load(conn)?;
            let uploads: Result<Vec<Upload>, DbTrouble> =
                rows.into_iter().map(UploadRow::into_upload).collect();
            Ok(uploads?)
        };
        self.readers.read(query).await
    }
}

/// A list as Diesel builds it.
pub(super) type ListQuery<'a> = diesel::helper_types::IntoBoxed<
    'a,
    diesel::helper_types::Select<
        uploads::table,
        diesel::helper_types::AsSelect<UploadRow, MultiBackend>,
    >,
    MultiBackend,
>;

/// The statement of a list.
pub(super) fn list_query(filter: &Filter) -> ListQuery<'_> {
    let mut query = uploads::table.select(UploadRow::as_select()).into_boxed();
    // First, because `or_filter` joins everything that is there already.
    for pattern in filter.reach.iter().flatten() {
        query = match pattern {
            FieldPattern::Exact(field) => query.or_filter(uploads::field.eq(field.as_str())),
            FieldPattern::Model(model) => {
                let (from, to) = range_of(model);
                query.or_filter(uploads::field.ge(from).and(uploads::field.lt(to)))
            }
        };
    }
    if let Some(status) = filter.status {
        query = query.filter(uploads::status.eq(status.as_str()));
    }
    if let Some(field) = &filter.field {
        query = query.filter(uploads::field.eq(field.as_str()));
    }
    if let Some(model) = &filter.model {
        let (from, to) = range_of(model);
        query = query.filter(uploads::field.ge(from).and(uploads::field.lt(to)));
    }
    if let Some(object_id) = &filter.object_id {
        query = query.filter(uploads::object_id.eq(object_id.as_str()));
    }
    if let Some(owner) = &filter.owner {
        query = query.filter(uploads::owner.eq(owner));
    }
    if let Some(time) = filter.created_before {
        query = query.filter(uploads::created_at.lt(column_time(time)));
    }
    if let Some(before) = filter.before {
        query = query.filter(uploads::id.lt(before.to_string()));
    }
    query
        .order(uploads::id.desc())
        .limit(i64::from(filter.limit))
}

/// The names of a model's fields lie from the first to before the second. A range and not LIKE: '_' is a wildcard there, and
/// '/' is the character after '.'.
fn range_of(model: &str) -> (String, String) {
    (format!("{model}."), format!("{model}/"))
}
