//! What lies in the bucket and how old it is by the bucket's own clock: what the sweeper removes whatever the rows say.
//!
//! Ages come from two times of the same answer, its `Date` and what it says of each entry, so that no clock of ours has a part in
//! it. An entry without a time, and an answer without a date, have no age: nothing follows from them.

mod location;

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::primitives::DateTime as SdkTime;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use chrono::{DateTime, Utc};

use super::{Store, StoreError, below};
use crate::domain::ids::UploadId;
use crate::storage::error::answer;

pub use location::{Listed, ListedPage, Seen};

const LIST: &str = "list-objects";
const LIST_UNFINISHED: &str = "list-multipart-uploads";
const ABORT: &str = "abort-multipart-upload";

/// One staged object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Staged {
    /// Whose object it is.
    pub id: UploadId,
    /// How long ago it was written, in seconds.
    pub age_secs: i64,
}

/// One page of the staging prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StagedPage {
    /// The objects.
    pub objects: Vec<Staged>,
    /// How many entries no client of ours can have written; they are never touched.
    pub foreign: u64,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<String>,
}

/// A multipart upload that was begun and neither completed nor aborted. Its parts are stored, and listed nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// Its key.
    pub key: String,
    /// The store's name for it.
    pub upload_id: String,
    /// How long ago it was begun, in seconds.
    pub age_secs: i64,
}

/// Where a page of multipart uploads begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnfinishedMarker {
    key: Option<String>,
    upload_id: Option<String>,
}

impl UnfinishedMarker {
    /// The first page.
    pub const BEGINNING: UnfinishedMarker = UnfinishedMarker {
        key: None,
        upload_id: None,
    };
}

/// One page of multipart uploads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnfinishedPage {
    /// The uploads.
    pub uploads: Vec<Unfinished>,
    /// How many can't be judged, because their key or their time is missing or odd.
    pub foreign: u64,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<UnfinishedMarker>,
}

impl Store {
    /// A page of staged objects, by key, behind `after`, at most `limit` (and 1,000).
    pub async fn list_staged(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<StagedPage, StoreError> {
        self.measured(LIST, self.staged_page(after, limit)).await
    }

    async fn staged_page(&self, after: Option<&str>, limit: u32) -> Result<StagedPage, StoreError> {
        let (date, prefix) = (AnswerDate::default(), &self.options.layout.staging_prefix);
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
        let date = date.of(LIST)?;
        let mut page = StagedPage::default();
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
        if output.is_truncated() == Some(true) {
            let last = output.contents().last().and_then(|object| object.key());
            page.next = last.map(str::to_owned);
        }
        Ok(page)
    }

    /// A page of multipart uploads below the prefix, at most `limit` (and 1,000). Refuses a prefix outside the layout unsent.
    pub async fn list_unfinished(
        &self,
        prefix: &str,
        marker: &UnfinishedMarker,
        limit: u32,
    ) -> Result<UnfinishedPage, StoreError> {
        if prefix.is_empty() || !self.is_managed(prefix) {
            return Err(StoreError::outside(LIST_UNFINISHED));
        }
        self.measured(LIST_UNFINISHED, self.unfinished_page(prefix, marker, limit))
            .await
    }

    async fn unfinished_page(
        &self,
        prefix: &str,
        marker: &UnfinishedMarker,
        limit: u32,
    ) -> Result<UnfinishedPage, StoreError> {
        let date = AnswerDate::default();
        let output = self
            .client
            .list_multipart_uploads()
            .bucket(&self.options.bucket)
            .prefix(prefix)
            .set_key_marker(marker.key.clone())
            .set_upload_id_marker(marker.upload_id.clone())
            .max_uploads(page_size(limit))
            .set_expected_bucket_owner(self.options.expected_bucket_owner.clone())
            .customize()
            .interceptor(date.clone())
            .send()
            .await
            .map_err(|error| StoreError::from_sdk(LIST_UNFINISHED, &error))?;
        let date = date.of(LIST_UNFINISHED)?;
        let mut page = UnfinishedPage::default();
        for upload in output.uploads() {
            let key = upload.key().filter(|key| below(key, prefix));
            let age_secs = upload.initiated().and_then(|time| age(date, time));
            match (key, upload.upload_id(), age_secs) {
                (Some(key), Some(upload_id), Some(age_secs)) => page.uploads.push(Unfinished {
                    key: key.to_owned(),
                    upload_id: upload_id.to_owned(),
                    age_secs,
                }),
                _ => page.foreign += 1,
            }
        }
        let next = UnfinishedMarker {
            key: output.next_key_marker().map(str::to_owned),
            upload_id: output.next_upload_id_marker().map(str::to_owned),
        };
        let goes_on = output.is_truncated() == Some(true) && next != *marker;
        page.next = Some(next).filter(|next| goes_on && *next != UnfinishedMarker::default());
        Ok(page)
    }

    /// Aborts a multipart upload; one that isn't there counts as aborted. Refuses a key outside the layout unsent.
    pub async fn abort_unfinished(&self, upload: &Unfinished) -> Result<(), StoreError> {
        let key = upload.key.as_str();
        if !self.is_managed(key) || !below(key, "") {
            return Err(StoreError::outside(ABORT));
        }
        self.measured(ABORT, self.abort(upload)).await
    }

    async fn abort(&self, upload: &Unfinished) -> Result<(), StoreError> {
        let sent = self
            .client
            .abort_multipart_upload()
            .bucket(&self.options.bucket)
            .key(&upload.key)
            .upload_id(&upload.upload_id)
            .set_expected_bucket_owner(self.options.expected_bucket_owner.clone())
            .send()
            .await;
        match sent {
            Ok(_) => Ok(()),
            Err(error) if answer(&error) == Some((404, Some("NoSuchUpload"))) => Ok(()),
            Err(error) => Err(StoreError::from_sdk(ABORT, &error)),
        }
    }

    /// Whether it lies below one of the two prefixes that Bytepass manages.
    fn is_managed(&self, key: &str) -> bool {
        let layout = &self.options.layout;
        key.starts_with(&layout.location) || key.starts_with(&layout.staging_prefix)
    }
}

fn page_size(limit: u32) -> i32 {
    i32::try_from(limit.clamp(1, 1_000)).unwrap_or(1_000)
}

fn age(now: DateTime<Utc>, then: &SdkTime) -> Option<i64> {
    let then = DateTime::from_timestamp(then.secs(), 0)?;
    Some((now - then).num_seconds())
}

/// Keeps an answer's `Date`, which the SDK's outputs don't have.
#[derive(Debug, Clone, Default)]
struct AnswerDate(Arc<Mutex<Option<DateTime<Utc>>>>);

impl AnswerDate {
    fn of(&self, operation: &'static str) -> Result<DateTime<Utc>, StoreError> {
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
