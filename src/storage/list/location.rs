//! What lies under the location: sealed objects, and whatever else is there.

use super::{AnswerDate, LIST, age, page_size};
use crate::domain::object_key::FinalKey;
use crate::storage::error::answer;
use crate::storage::inspect::unquote;
use crate::storage::{Store, StoreError, below};

const LOOK: &str = "head-object";

/// An entry of the bucket's listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its size, in bytes.
    pub size: u64,
    /// Its ETag, opaque, without quotes; `None` where the listing has none.
    pub etag: Option<String>,
    /// How long ago it was written, in seconds, by the bucket's clock; `None` where it doesn't say.
    pub age_secs: Option<i64>,
}

/// One page of the location.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedPage {
    /// The objects, staged ones left out.
    pub objects: Vec<Listed>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<String>,
}

/// What an object is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its size, in bytes.
    pub size: u64,
    /// Its ETag, opaque, without quotes.
    pub etag: String,
}

impl Store {
    /// A page of the objects under the location, in the bucket's order, behind `after`, at most `limit` (and 1,000).
    pub async fn list_sealed(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<ListedPage, StoreError> {
        self.measured(LIST, self.sealed_page(after, limit)).await
    }

    async fn sealed_page(&self, after: Option<&str>, limit: u32) -> Result<ListedPage, StoreError> {
        let (date, layout) = (AnswerDate::default(), &self.options.layout);
        let output = self
            .client
            .list_objects_v2()
            .bucket(&self.options.bucket)
            .prefix(&layout.location)
            .set_start_after(after.map(str::to_owned))
            .max_keys(page_size(limit))
            .set_expected_bucket_owner(self.options.expected_bucket_owner.clone())
            .customize()
            .interceptor(date.clone())
            .send()
            .await
            .map_err(|error| StoreError::from_sdk(LIST, &error))?;
        let date = date.of(LIST)?;
        let listed = output.contents().iter().filter_map(|object| {
            let key = object.key()?;
            let sealed = !key.starts_with(&layout.staging_prefix);
            sealed.then(|| Listed {
                key: key.to_owned(),
                size: object
                    .size()
                    .and_then(|size| u64::try_from(size).ok())
                    .unwrap_or_default(),
                etag: object.e_tag().map(unquote).map(str::to_owned),
                age_secs: object.last_modified().and_then(|time| age(date, time)),
            })
        });
        let mut page = ListedPage {
            objects: listed.collect(),
            next: None,
        };
        if output.is_truncated() == Some(true) {
            let last = output.contents().last().and_then(|object| object.key());
            page.next = last.map(str::to_owned);
        }
        Ok(page)
    }

    /// What an object is now; `None` where the bucket answers 404 and nothing else.
    pub async fn look(&self, key: &FinalKey) -> Result<Option<Seen>, StoreError> {
        self.guard_final(LOOK, key)?;
        self.measured(LOOK, self.seen(key)).await
    }

    async fn seen(&self, key: &FinalKey) -> Result<Option<Seen>, StoreError> {
        let sent = self
            .client
            .head_object()
            .bucket(&self.options.bucket)
            .key(key.as_str())
            .set_expected_bucket_owner(self.options.expected_bucket_owner.clone())
            .send()
            .await;
        let output = match sent {
            Ok(output) => output,
            Err(error) if answer(&error).is_some_and(|(status, _)| status == 404) => {
                return Ok(None);
            }
            Err(error) => return Err(StoreError::from_sdk(LOOK, &error)),
        };
        let incomplete = || StoreError::of(LOOK, "incomplete");
        let size = output.content_length().ok_or_else(incomplete)?;
        let etag = output.e_tag().ok_or_else(incomplete)?;
        Ok(Some(Seen {
            size: u64::try_from(size).map_err(|_| incomplete())?,
            etag: unquote(etag).to_owned(),
        }))
    }

    /// Whether the key lies where sealed objects do.
    pub fn is_sealed_key(&self, key: &str) -> bool {
        let layout = &self.options.layout;
        below(key, &layout.location) && !key.starts_with(&layout.staging_prefix)
    }
}
