//! Buckets and pages of keys.

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::EncodingType;

use super::running::{BUCKET, OTHER, Running, running};

async fn with(keys: &[&str]) -> Running {
    let bucket = running();
    for key in keys {
        bucket.put(key, b"x").await;
    }
    bucket
}

/// Every page as (keys, prefixes).
async fn pages(
    bucket: &Running,
    prefix: &str,
    delimiter: Option<&str>,
    size: i32,
) -> Vec<(Vec<String>, Vec<String>)> {
    let mut token = None;
    let mut pages = Vec::new();
    loop {
        let list = bucket.sdk().list_objects_v2().bucket(BUCKET);
        let list = list
            .prefix(prefix)
            .set_delimiter(delimiter.map(str::to_owned))
            .max_keys(size)
            .set_continuation_token(token);
        let page = list.send().await.unwrap();
        let keys = page.contents().iter().filter_map(|object| object.key());
        let prefixes = page.common_prefixes().iter().filter_map(|it| it.prefix());
        pages.push((
            keys.map(str::to_owned).collect(),
            prefixes.map(str::to_owned).collect(),
        ));
        let entries = page.contents().len() + page.common_prefixes().len();
        assert_eq!(page.key_count(), i32::try_from(entries).ok());
        let truncated = page.is_truncated().unwrap();
        assert_eq!(truncated, page.next_continuation_token().is_some());
        if !truncated {
            return pages;
        }
        token = page.next_continuation_token().map(str::to_owned);
    }
}

#[tokio::test]
async fn pages_together_name_every_key_once_in_the_order_of_bytes() {
    let mut keys = vec!["b", "a", "a/1", "a/2", "a0", "Z", "ä", "𝄞", "\u{fffd}"];
    let bucket = with(&keys).await;
    keys.sort_unstable();
    for size in 1..=10 {
        let pages = pages(&bucket, "", None, size).await;
        let found: Vec<String> = pages.iter().flat_map(|page| page.0.clone()).collect();
        assert_eq!(found, keys, "pages of {size}");
        let wanted = usize::try_from(size).unwrap();
        assert!(pages.iter().all(|page| page.0.len() <= wanted));
        assert_eq!(pages.len(), keys.len().div_ceil(wanted));
    }
}

#[tokio::test]
async fn a_delimiter_folds_keys_into_prefixes_across_pages() {
    let keys = ["a", "p/1", "p/2", "p/3", "p/q/1", "p0", "r/1", "r/2", "z"];
    let bucket = with(&keys).await;
    for size in 1..=6 {
        let pages = pages(&bucket, "", Some("/"), size).await;
        let keys: Vec<String> = pages.iter().flat_map(|page| page.0.clone()).collect();
        let prefixes: Vec<String> = pages.iter().flat_map(|page| page.1.clone()).collect();
        assert_eq!(keys, ["a", "p0", "z"], "pages of {size}");
        assert_eq!(prefixes, ["p/", "r/"], "pages of {size}");
    }
    let below = pages(&bucket, "p/", Some("/"), 1000).await;
    let (keys, prefixes) = &below[0];
    assert_eq!(keys[..], ["p/1", "p/2", "p/3"]);
    assert_eq!(prefixes[..], ["p/q/"]);
    assert_eq!(pages(&bucket, "nothing", None, 10).await.len(), 1);
}

#[tokio::test]
async fn start_after_and_a_size_of_nought_are_taken_at_their_word() {
    let bucket = with(&["a", "b", "c"]).await;
    let list = bucket.sdk().list_objects_v2().bucket(BUCKET);
    let page = list.clone().start_after("a").send().await.unwrap();
    let keys: Vec<&str> = page.contents().iter().filter_map(|it| it.key()).collect();
    assert_eq!(keys, ["b", "c"]);
    assert_eq!(page.contents()[0].size(), Some(1));
    assert!(page.contents()[0].e_tag().unwrap().len() == 34);
    let page = list.clone().max_keys(0).send().await.unwrap();
    assert_eq!(
        (page.key_count(), page.is_truncated()),
        (Some(0), Some(false))
    );
    let error = list.clone().continuation_token("%").send().await;
    assert_eq!(error.unwrap_err().code(), Some("InvalidArgument"));
    let error = list.bucket("nowhere").send().await.unwrap_err();
    assert_eq!(error.code(), Some("NoSuchBucket"));
}

#[tokio::test]
async fn keys_that_xml_can_not_hold_are_listed_encoded() {
    let key = "a\u{1}b c&<";
    let bucket = with(&[key]).await;
    let list = bucket.sdk().list_objects_v2().bucket(BUCKET);
    let page = list.encoding_type(EncodingType::Url).send().await.unwrap();
    assert_eq!(page.contents()[0].key(), Some("a%01b%20c%26%3C"));
}

#[tokio::test]
async fn buckets_are_created_once_listed_and_located() {
    let bucket = running();
    let sdk = bucket.sdk();
    sdk.create_bucket().bucket("third").send().await.unwrap();
    let again = sdk.create_bucket().bucket("third").send().await;
    let error = again.unwrap_err().into_service_error();
    assert!(error.is_bucket_already_owned_by_you());
    let listed = sdk.list_buckets().send().await.unwrap();
    let names: Vec<&str> = listed.buckets().iter().filter_map(|it| it.name()).collect();
    assert_eq!(names, [BUCKET, OTHER, "third"]);
    let location = sdk.get_bucket_location().bucket("third").send().await;
    // us-east-1 is the location without a name.
    let location = location.unwrap();
    let name = location.location_constraint().map(|it| it.as_str());
    assert!(name.unwrap_or_default().is_empty());
}
