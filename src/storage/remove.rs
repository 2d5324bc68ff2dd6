//! Removes objects, after a committed row says so, and pings the bucket.

use super::{Store, StoreError};
use crate::domain::object_key::{FinalKey, StagingKey};
use crate::storage::error::answer;

const DELETE: &str = "delete-object";
const HEAD_BUCKET: &str = "head-bucket";

impl Store {
    /// Removes a staged object; a missing one counts as removed. A key outside the staging prefix is refused without a request.
    pub async fn remove_staging(&self, key: &StagingKey) -> Result<(), StoreError> {
        self.guard_staging(DELETE, key)?;
        self.measured(DELETE, self.delete(key.as_str())).await
    }

    /// Removes a final object; a missing one counts as removed. A key outside the location is refused without a request.
    pub async fn remove_final(&self, key: &FinalKey) -> Result<(), StoreError> {
        self.guard_final(DELETE, key)?;
        self.measured(DELETE, self.delete(key.as_str())).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let sent = self
            .client
            .delete_object()
            .bucket(&self.options.bucket)
            .key(key)
            .set_expected_bucket_owner(self.options.expected_bucket_owner.clone())
            .send()
            .await;
        match sent {
            Ok(_) => Ok(()),
            // NoSuchBucket says nothing about the object: the bucket's name may be mistyped.
            Err(error) => match answer(&error) {
                Some((404, code)) if code != Some("NoSuchBucket") => Ok(()),
                _ => Err(StoreError::from_sdk(DELETE, &error)),
            },
        }
    }

    /// Whether the bucket answers (HeadBucket), within the operation's time limit.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let asked = async {
            self.client
                .head_bucket()
                .bucket(&self.options.bucket)
                .set_expected_bucket_owner(self.options.expected_bucket_owner.clone())
                .send()
                .await
                .map(|_| ())
                .map_err(|error| StoreError::from_sdk(HEAD_BUCKET, &error))
        };
        self.measured(HEAD_BUCKET, asked).await
    }
}
