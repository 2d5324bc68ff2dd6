//! Pages of keys with common prefixes, in byte order.

use diesel::prelude::*;

use super::multipart::UploadRow;
use super::objects::ObjectRow;
use super::schema::{objects, uploads};
use super::{Index, IndexResult, require_bucket};

/// What to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    /// Only keys with this prefix.
    pub prefix: String,
    /// Keys that share the text up to this are one common prefix; empty for none.
    pub delimiter: String,
    /// Where to begin.
    pub start: StartAt,
    /// The most entries.
    pub limit: usize,
}

/// Where a page begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum StartAt {
    /// At the first key.
    #[default]
    Start,
    /// After this key.
    AfterKey(String),
    /// After all keys with this prefix.
    AfterPrefix(String),
}

/// One line of a listing.
#[derive(Debug)]
pub(crate) enum Entry {
    /// An object.
    Object(Box<ObjectRow>),
    /// A common prefix.
    Prefix(String),
}

/// A page of a listing.
pub(crate) struct Page {
    /// The entries in order.
    pub entries: Vec<Entry>,
    /// Whether entries follow.
    pub more: bool,
}

/// The smallest string that is greater than every string with this prefix; `None` if there is none.
pub(crate) fn successor(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        // UTF-8 bytes sort like code points; surrogates are not code points.
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            other => char::from_u32(u32::from(other) + 1),
        };
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

impl Index {
    /// One page of the bucket's objects.
    pub(crate) fn list(&self, bucket: &str, query: &Query) -> IndexResult<Page> {
        let connection = &mut *self.read();
        require_bucket(connection, bucket)?;
        let mut entries = Vec::new();
        let mut start = query.start.clone();
        loop {
            // One more row than wanted tells whether entries follow.
            let wanted = query.limit + 1 - entries.len();
            let Some(rows) = batch(connection, bucket, &query.prefix, &start, wanted)? else {
                return Ok(Page {
                    entries,
                    more: false,
                });
            };
            let last_batch = rows.len() < wanted;
            let mut skipped_to = None;
            for row in rows {
                if entries.len() == query.limit {
                    return Ok(Page {
                        entries,
                        more: true,
                    });
                }
                match common_prefix(&row.key, query) {
                    None => {
                        start = StartAt::AfterKey(row.key.clone());
                        entries.push(Entry::Object(Box::new(row)));
                    }
                    Some(prefix) => {
                        skipped_to = Some(StartAt::AfterPrefix(prefix.clone()));
                        entries.push(Entry::Prefix(prefix));
                        break;
                    }
                }
            }
            match skipped_to {
                Some(next) => start = next,
                None if last_batch => {
                    return Ok(Page {
                        entries,
                        more: false,
                    });
                }
                None => {}
            }
        }
    }

    /// One page of the bucket's open uploads after (`key`, `id`), by key, then id.
    pub(crate) fn list_uploads(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<(String, String)>,
        limit: i64,
    ) -> IndexResult<Vec<UploadRow>> {
        let connection = &mut *self.read();
        require_bucket(connection, bucket)?;
        let mut rows = uploads::table
            .filter(uploads::bucket.eq(bucket))
            .filter(uploads::key.ge(prefix))
            .into_boxed();
        if let Some(end) = successor(prefix) {
            rows = rows.filter(uploads::key.lt(end));
        }
        if let Some((key, id)) = after {
            let later_id = uploads::key.eq(key.clone()).and(uploads::id.gt(id));
            rows = rows.filter(uploads::key.gt(key).or(later_id));
        }
        Ok(rows
            .order((uploads::key, uploads::id))
            .limit(limit)
            .select(UploadRow::as_select())
            .load(connection)?)
    }
}

fn common_prefix(key: &str, query: &Query) -> Option<String> {
    if query.delimiter.is_empty() {
        return None;
    }
    let rest = key.get(query.prefix.len()..)?;
    let end = rest.find(&query.delimiter)? + query.prefix.len() + query.delimiter.len();
    key.get(..end).map(str::to_owned)
}

fn batch(
    connection: &mut SqliteConnection,
    bucket: &str,
    prefix: &str,
    start: &StartAt,
    limit: usize,
) -> QueryResult<Option<Vec<ObjectRow>>> {
    let mut rows = objects::table
        .filter(objects::bucket.eq(bucket))
        .filter(objects::key.ge(prefix))
        .into_boxed();
    if let Some(end) = successor(prefix) {
        rows = rows.filter(objects::key.lt(end));
    }
    match start {
        StartAt::Start => {}
        StartAt::AfterKey(key) => rows = rows.filter(objects::key.gt(key)),
        StartAt::AfterPrefix(done) => match successor(done) {
            Some(next) => rows = rows.filter(objects::key.ge(next)),
            None => return Ok(None),
        },
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    rows.order(objects::key)
        .limit(limit)
        .select(ObjectRow::as_select())
        .load(connection)
        .map(Some)
}

#[cfg(test)]
mod tests {
    use super::successor;

    #[test]
    fn successor_is_just_after_the_prefix() {
        assert_eq!(successor("a/").as_deref(), Some("a0"));
        assert_eq!(successor("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(successor("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(successor("\u{10ffff}"), None);
        assert_eq!(successor(""), None);
    }
}
