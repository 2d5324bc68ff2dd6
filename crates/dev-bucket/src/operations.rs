//! The S3 operations that are supported, each implemented in a file of its own. All others answer `NotImplemented`.

use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};

use super::blobs::{Blobs, Draft};
use super::index::{Index, IndexError, IndexResult};
use super::logging::internal;

/// The implementation of S3 behind s3s. Clones share it.
#[derive(Clone)]
pub(super) struct Bucket {
    /// Which blob is which object.
    pub index: Arc<Index>,
    /// The bytes of objects and parts.
    pub blobs: Arc<Blobs>,
    /// The region that it reports.
    pub region: Arc<str>,
}

impl Bucket {
    /// Runs a call on the index, on a thread that may block.
    pub(super) async fn with_index<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Index) -> IndexResult<T> + Send + 'static,
    ) -> S3Result<T> {
        let index = Arc::clone(&self.index);
        tokio::task::spawn_blocking(move || call(&index))
            .await
            .map_err(internal)?
            .map_err(S3Error::from)
    }

    /// As [`Bucket::with_index`], for calls that return unreferenced blobs: their files are removed.
    pub(super) async fn with_index_then_remove(
        &self,
        call: impl FnOnce(&Index) -> IndexResult<Vec<String>> + Send + 'static,
    ) -> S3Result<()> {
        let bucket = self.clone();
        tokio::task::spawn_blocking(move || {
            for blob in call(&bucket.index)? {
                bucket.blobs.remove(&blob);
            }
            Ok(())
        })
        .await
        .map_err(internal)?
        .map_err(|error: IndexError| S3Error::from(error))
    }

    /// Publishes the draft and writes its row. Both run on one blocking thread, so that a client that hangs up interrupts neither.
    /// `write_row` gets the blob's name and returns the blobs that no row references any more.
    pub(super) async fn commit(
        &self,
        draft: Draft,
        write_row: impl FnOnce(&Index, String) -> IndexResult<Vec<String>> + Send + 'static,
    ) -> S3Result<()> {
        let bucket = self.clone();
        tokio::task::spawn_blocking(move || {
            let name = draft.publish().map_err(internal)?;
            match write_row(&bucket.index, name.clone()) {
                Ok(unreferenced) => unreferenced
                    .iter()
                    .for_each(|blob| bucket.blobs.remove(blob)),
                Err(IndexError::Refused(error)) => {
                    bucket.blobs.remove(&name);
                    return Err(error);
                }
                // The commit may have happened: the blob stays, and the next start removes it if it has no row.
                Err(error @ IndexError::Database(_)) => return Err(error.into()),
            }
            Ok(())
        })
        .await
        .map_err(internal)?
    }
}

/// Refuses invalid keys. s3s checks keys in paths, but not keys in forms and copy sources.
pub(super) fn require_key(key: &str) -> S3Result<()> {
    if key.len() > 1_024 {
        return Err(s3_error!(
            KeyTooLongError,
            "a key must have at most 1,024 bytes"
        ));
    }
    if key.is_empty() || key.contains('\0') {
        return Err(s3_error!(
            InvalidArgument,
            "a key must not be empty and must not contain NUL"
        ));
    }
    Ok(())
}

#[async_trait::async_trait]
impl S3 for Bucket {
    async fn list_buckets(
        &self,
        _: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        self.list_all_buckets().await
    }

    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        self.create(request.input).await
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.head_of_bucket(request.input).await
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.bucket_location(request.input).await
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.list_page(request.input).await
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        self.put(request).await
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        self.get(request.input).await
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        self.head(request).await
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.remove(request.input).await
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.remove_many(request.input).await
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        self.copy(request).await
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.create_upload(request.input).await
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        self.put_part(request).await
    }

    async fn list_parts(
        &self,
        request: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        self.list_parts_page(request.input).await
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        self.list_uploads_page(request.input).await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.complete(request.input).await
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.abort(request.input).await
    }
}
