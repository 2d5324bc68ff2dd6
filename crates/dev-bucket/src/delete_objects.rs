//! DeleteObject and DeleteObjects: removes the rows, then the blobs that no row references any more.

use s3s::dto::*;
use s3s::{S3Response, S3Result, s3_error};

use super::conditions::WriteCondition;
use super::operations::{Bucket, require_key};

/// The most keys in one request, as at S3.
const MAX_KEYS: usize = 1_000;

impl Bucket {
    pub(super) async fn remove(
        &self,
        input: DeleteObjectInput,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        require_key(&input.key)?;
        let condition = WriteCondition {
            if_match: input.if_match,
            if_none_match: None,
        };
        let (bucket, keys) = (input.bucket, [(input.key, condition)]);
        self.with_index_then_remove(move |index| index.remove_objects(&bucket, &keys))
            .await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    pub(super) async fn remove_many(
        &self,
        input: DeleteObjectsInput,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let quiet = input.delete.quiet.unwrap_or(false);
        let objects = input.delete.objects;
        if objects.is_empty() || objects.len() > MAX_KEYS {
            return Err(s3_error!(
                MalformedXML,
                "a request must name 1 to {MAX_KEYS} keys"
            ));
        }
        let mut keys = Vec::new();
        let mut errors = Vec::new();
        for object in objects {
            let refused = if object.version_id.is_some() || object.e_tag.is_some() {
                Some(s3_error!(
                    NotImplemented,
                    "versions and conditions are not supported"
                ))
            } else {
                require_key(&object.key).err()
            };
            match refused {
                None => keys.push((object.key, WriteCondition::default())),
                Some(error) => errors.push(Error {
                    code: Some(error.code().as_str().to_owned()),
                    key: Some(object.key),
                    message: error.message().map(str::to_owned),
                    version_id: None,
                }),
            }
        }
        let deleted = keys
            .iter()
            .map(|(key, _)| DeletedObject {
                key: Some(key.clone()),
                ..DeletedObject::default()
            })
            .collect();
        let bucket = input.bucket;
        self.with_index_then_remove(move |index| index.remove_objects(&bucket, &keys))
            .await?;
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: (!quiet).then_some(deleted),
            errors: (!errors.is_empty()).then_some(errors),
            request_charged: None,
        }))
    }
}
