//! Lists staged and sealed objects, with their age by the bucket's own clock.
//!
//! An age is the difference of two times in one answer: its `Date` and the entry's time. The broker's clock is not involved. An entry
//! without a time has no age, and an answer without a date is an error.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::primitives::DateTime as SdkTime;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use chrono::{DateTime, Utc};

use super::inspect::unquote;
use super::{Store, StoreError, below};
use crate::domain::ids::UploadId;

const LIST: &str = "list-objects";

/// One staged object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Staged {
    /// The upload that it belongs to.
    pub id: UploadId,
    /// How long ago it was written, in seconds.
    pub age_secs: i64,
}

/// One page of the staging prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StagedPage {
    /// The objects.
    pub objects: Vec<Staged>,
    /// The number of entries that no signed upload can have written. They are never touched.
    pub foreign: u64,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<String>,
}

/// An object below the location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: String,
    /// The size, in bytes.
    pub size: u64,
    /// The ETag, opaque, without quotes; `None` if the listing has none.
    pub etag: Option<String>,
    /// How long ago it was written, in seconds, by the bucket's clock; `None` if the listing has no time.
    pub age_secs: Option<i64>,
}

/// One page of the location.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedPage {
    /// The objects, without staged ones.
    pub objects: Vec<Listed>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<String>,
}

impl Store {
    /// A page of staged objects, by key, after `after`, at most `limit` (and 1,000).
    pub async fn list_staged(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<StagedPage, StoreError> {
        let prefix = &self.options.layout.staging_prefix;
        let (output, date) = self.objects_page(prefix, after, limit).await?;
        let mut page = StagedPage {
            next: next_page(&output),
            ..StagedPage::default()
        };
        for object in output.contents() {
            let id = object
                .key()
                .and_then(|key| key.strip_prefix(prefix.as_str()));
            let id = id.and_then(|id| UploadId::parse(id).ok());
            let age_secs = object.last_modified().and_then(|time| age(date, time));
            match (id, age_secs) {
                (Some(id), Some(age_secs)) => page.objects.push(Staged { id, age_secs }),
                _ => page.foreign += 1,
            }
        }
        Ok(page)
    }

    /// A page of the objects below the location, in the bucket's order, after `after`, at most `limit` (and 1,000).
    pub async fn list_sealed(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<ListedPage, StoreError> {
        let layout = &self.options.layout;
        let (output, date) = self.objects_page(&layout.location, after, limit).await?;
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
        Ok(ListedPage {
            objects: listed.collect(),
            next: next_page(&output),
        })
    }

    /// Whether the key is where sealed objects are.
    pub fn is_sealed_key(&self, key: &str) -> bool {
        let layout = &self.options.layout;
        below(key, &layout.location) && !key.starts_with(&layout.staging_prefix)
    }

    /// One page of the prefix, and the `Date` of the answer.
    async fn objects_page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<(ListObjectsV2Output, DateTime<Utc>), StoreError> {
        let date = AnswerDate::default();
        let call = async {
            let output = self
                .client
                .list_objects_v2()
                .bucket(&self.options.bucket)
                .prefix(prefix)
                .set_start_after(after.map(str::to_owned))
                .max_keys(page_size(limit))
                .set_expected_bucket_owner(self.options.expected_bucket_owner.clone())
                .customize()
                .interceptor(date.clone())
                .send()
                .await
                .map_err(|error| StoreError::from_sdk(LIST, &error))?;
            Ok((output, date.of(LIST)?))
        };
        self.measured(LIST, call).await
    }
}

fn next_page(output: &ListObjectsV2Output) -> Option<String> {
    let last = output.contents().last().and_then(|object| object.key());
    last.filter(|_| output.is_truncated() == Some(true))
        .map(str::to_owned)
}

/// The page size that is sent: 1 to 1,000.
pub(super) fn page_size(limit: u32) -> i32 {
    i32::try_from(limit.clamp(1, 1_000)).unwrap_or(1_000)
}

/// The age in seconds of an entry written at `then`.
pub(super) fn age(now: DateTime<Utc>, then: &SdkTime) -> Option<i64> {
    let then = DateTime::from_timestamp(then.secs(), 0)?;
    Some((now - then).num_seconds())
}

/// Keeps an answer's `Date`, which the SDK's outputs lack.
#[derive(Debug, Clone, Default)]
pub(super) struct AnswerDate(Arc<Mutex<Option<DateTime<Utc>>>>);

impl AnswerDate {
    pub(super) fn of(&self, operation: &'static str) -> Result<DateTime<Utc>, StoreError> {
        let date = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        date.ok_or_else(|| StoreError::of(operation, "no-date"))
    }
}

impl Intercept for AnswerDate {
    fn name(&self) -> &'static str {
        "answer-date"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let text = context.response().headers().get("date");
        let date = text.and_then(|text| DateTime::parse_from_rfc2822(text).ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date.map(|date| date.to_utc());
        Ok(())
    }
}
