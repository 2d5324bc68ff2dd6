//! Unfinished multipart uploads: lists and aborts them.

use super::list::{AnswerDate, age, page_size};
use super::{Store, StoreError, below};
use crate::storage::error::answer;

const LIST_UNFINISHED: &str = "list-multipart-uploads";
const ABORT: &str = "abort-multipart-upload";

/// A multipart upload that is neither completed nor aborted. Its parts are stored and appear in no other listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The key.
    pub key: String,
    /// The store's upload id.
    pub upload_id: String,
    /// How long ago it was created, in seconds.
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
    /// The number of uploads with a missing or unexpected key or time. They are never aborted.
    pub foreign: u64,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<UnfinishedMarker>,
}

impl Store {
    /// A page of multipart uploads below the prefix, at most `limit` (and 1,000). A prefix outside the layout is refused without a request.
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
        let continues = output.is_truncated() == Some(true) && next != *marker;
        page.next = Some(next).filter(|next| continues && *next != UnfinishedMarker::default());
        Ok(page)
    }

    /// Aborts a multipart upload; a missing one counts as aborted. A key outside the layout is refused without a request.
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

    /// Whether the key is below one of the two prefixes that Bytepass manages.
    fn is_managed(&self, key: &str) -> bool {
        let layout = &self.options.layout;
        key.starts_with(&layout.location) || key.starts_with(&layout.staging_prefix)
    }
}
