//! Buckets (list, create, head, location) and ListObjectsV2, with the encoding of keys in XML.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::*;
use s3s::{S3Response, S3Result, s3_error};

use super::checksum::Checksum;
use super::index::listing::{Entry, Query, StartAt};
use super::index::objects::ObjectRow;
use super::operations::Bucket;
use super::stored_headers::{now_ms, timestamp};

/// The most entries of a page, as at S3.
pub(super) const MAX_PAGE: i32 = 1_000;

const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// The key in a URL's path, and in XML under `encoding-type=url`.
pub(super) fn path_encoded(key: &str) -> String {
    utf8_percent_encode(key, PATH).to_string()
}

/// How keys are written into a listing.
pub(super) fn encoder(kind: Option<&EncodingType>) -> S3Result<fn(&str) -> String> {
    match kind.map(EncodingType::as_str) {
        None => Ok(str::to_owned),
        Some(EncodingType::URL) => Ok(path_encoded),
        Some(_) => Err(s3_error!(InvalidArgument, "encoding-type must be url")),
    }
}

/// The size of a page: as requested, at most 1,000.
pub(super) fn page_size(requested: Option<i32>) -> S3Result<i32> {
    match requested {
        None => Ok(MAX_PAGE),
        Some(size) if size < 0 => Err(s3_error!(
            InvalidArgument,
            "the page size must not be negative"
        )),
        Some(size) => Ok(size.min(MAX_PAGE)),
    }
}

impl Bucket {
    pub(super) async fn list_all_buckets(&self) -> S3Result<S3Response<ListBucketsOutput>> {
        let buckets = self.with_index(|index| index.buckets()).await?;
        let region = &self.region;
        let buckets = buckets
            .into_iter()
            .map(|(name, created_ms)| s3s::dto::Bucket {
                bucket_region: Some(region.to_string()),
                creation_date: Some(timestamp(created_ms)),
                name: Some(name),
            });
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(buckets.collect()),
            owner: Some(Owner {
                display_name: Some("development".to_owned()),
                id: Some("development".to_owned()),
            }),
            ..ListBucketsOutput::default()
        }))
    }

    pub(super) async fn create(
        &self,
        input: CreateBucketInput,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let configuration = input.create_bucket_configuration;
        let location = configuration.and_then(|configuration| configuration.location_constraint);
        if location.is_some_and(|location| location.as_str() != &*self.region) {
            return Err(s3_error!(
                IllegalLocationConstraintException,
                "the region must be {}",
                self.region
            ));
        }
        let name = input.bucket.clone();
        let created = self
            .with_index(move |index| index.create_bucket(&name, now_ms()))
            .await?;
        if !created {
            return Err(s3_error!(
                BucketAlreadyOwnedByYou,
                "the bucket exists already"
            ));
        }
        Ok(S3Response::new(CreateBucketOutput {
            location: Some(format!("/{}", input.bucket)),
        }))
    }

    pub(super) async fn head_of_bucket(
        &self,
        input: HeadBucketInput,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.with_index(move |index| index.require_bucket(&input.bucket))
            .await?;
        Ok(S3Response::new(HeadBucketOutput {
            bucket_region: Some(self.region.to_string()),
            ..HeadBucketOutput::default()
        }))
    }

    pub(super) async fn bucket_location(
        &self,
        input: GetBucketLocationInput,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.with_index(move |index| index.require_bucket(&input.bucket))
            .await?;
        // S3 leaves the constraint of us-east-1 empty, and the SDKs expect that.
        let constraint = (&*self.region != "us-east-1")
            .then(|| BucketLocationConstraint::from(self.region.to_string()));
        Ok(S3Response::new(GetBucketLocationOutput {
            location_constraint: constraint,
        }))
    }

    pub(super) async fn list_page(
        &self,
        input: ListObjectsV2Input,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let size = page_size(input.max_keys)?;
        let encode = encoder(input.encoding_type.as_ref())?;
        let start = match (&input.continuation_token, &input.start_after) {
            (Some(token), _) => from_token(token)?,
            (None, Some(key)) => StartAt::AfterKey(key.clone()),
            (None, None) => StartAt::Start,
        };
        let query = Query {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().unwrap_or_default(),
            start,
            limit: usize::try_from(size).unwrap_or(0),
        };
        let name = input.bucket.clone();
        let page = self
            .with_index(move |index| index.list(&name, &query))
            .await?;
        // An empty page is never truncated: clients would repeat the request for ever.
        let more = page.more && size > 0;
        let next = page.entries.last().map(to_token).filter(|_| more);
        let mut contents = Vec::new();
        let mut prefixes = Vec::new();
        for entry in page.entries {
            match entry {
                Entry::Object(row) => contents.push(to_object(*row, encode)?),
                Entry::Prefix(prefix) => prefixes.push(CommonPrefix {
                    prefix: Some(encode(&prefix)),
                }),
            }
        }
        let count = contents.len() + prefixes.len();
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(encode(input.prefix.as_deref().unwrap_or_default())),
            max_keys: Some(size),
            key_count: i32::try_from(count).ok(),
            continuation_token: input.continuation_token,
            is_truncated: Some(more),
            next_continuation_token: next,
            contents: Some(contents),
            common_prefixes: Some(prefixes),
            delimiter: input.delimiter.as_deref().map(encode),
            encoding_type: input.encoding_type,
            start_after: input.start_after.as_deref().map(encode),
            request_charged: None,
        }))
    }
}

fn to_object(row: ObjectRow, encode: fn(&str) -> String) -> S3Result<Object> {
    let checksum = Checksum::from_json(row.checksum.as_deref())?;
    Ok(Object {
        checksum_algorithm: checksum
            .as_ref()
            .map(|checksum| vec![ChecksumAlgorithm::from_static(checksum.algorithm.name())]),
        checksum_type: super::checksum::fields(checksum.as_ref()).checksum_type,
        e_tag: Some(ETag::Strong(row.etag)),
        key: Some(encode(&row.key)),
        last_modified: Some(timestamp(row.modified_ms)),
        size: Some(row.size),
        storage_class: Some(ObjectStorageClass::from_static("STANDARD")),
        ..Object::default()
    })
}

fn to_token(entry: &Entry) -> String {
    let text = match entry {
        Entry::Object(row) => format!("k{}", row.key),
        Entry::Prefix(prefix) => format!("p{prefix}"),
    };
    URL_SAFE_NO_PAD.encode(text)
}

fn from_token(token: &str) -> S3Result<StartAt> {
    let invalid = || s3_error!(InvalidArgument, "the continuation token is invalid");
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
    let text = String::from_utf8(bytes).map_err(|_| invalid())?;
    match text.split_at_checked(1) {
        Some(("k", key)) => Ok(StartAt::AfterKey(key.to_owned())),
        Some(("p", prefix)) => Ok(StartAt::AfterPrefix(prefix.to_owned())),
        _ => Err(invalid()),
    }
}
