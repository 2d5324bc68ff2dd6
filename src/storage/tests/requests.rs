//! Presigned requests: content, address and lifetime.

use crate::telemetry::metrics::Metrics;
use chrono::{SubsecRound as _, TimeDelta};
use url::Url;

use super::super::{PresignError, Store};
use super::signatures::checksums;
use super::{URL_SECS, cat, issued, now, options, query, sealed, url_of};
use crate::config::Storage;
use crate::domain::object_key::FinalKey;
use crate::policy::evidence::Issued;

#[tokio::test]
async fn length_type_and_checksum_are_signed_and_only_needed_headers_returned() {
    let store = Store::connect(options(None), URL_SECS, Metrics::new())
        .await
        .unwrap();
    for (checksum, signed) in [
        (0, "content-length;content-type;host"),
        (1, "content-length;content-type;host;x-amz-checksum-sha256"),
        (5, "content-length;content-md5;content-type;host"),
    ] {
        let checksum = checksums()[checksum].clone();
        let request = store
            .presign_put(&issued(checksum.clone(), now()), now())
            .unwrap();
        assert_eq!(
            query(&url_of(&request), "X-Amz-SignedHeaders").unwrap(),
            signed
        );
        let mut expected = vec![("content-type".to_owned(), "image/jpeg".to_owned())];
        expected
            .extend(checksum.map(|c| (c.algorithm().header().to_owned(), c.value().to_owned())));
        assert_eq!(request.headers, expected);
        assert_eq!(request.method, "PUT");
    }
}

#[tokio::test]
async fn clients_are_sent_to_the_public_endpoint_and_never_to_the_internal_one() {
    let split = Storage {
        public_endpoint: Some(Url::parse("https://files.example.com").unwrap()),
        ..options(Some("http://10.0.0.7:9000"))
    };
    let store = Store::connect(split.clone(), URL_SECS, Metrics::new())
        .await
        .unwrap();
    let put = store.presign_put(&issued(None, now()), now()).unwrap();
    assert!(
        url_of(&put)
            .as_str()
            .starts_with("https://files.example.com/media-bucket/staging/upl_")
    );
    let key = sealed();
    assert_eq!(
        store.public_url(&key),
        format!("https://files.example.com/media-bucket/{}", key.as_str())
    );

    let virtual_host = Storage {
        path_style: false,
        ..split.clone()
    };
    let store = Store::connect(virtual_host, URL_SECS, Metrics::new())
        .await
        .unwrap();
    assert_eq!(
        store.public_url(&key),
        format!("https://media-bucket.files.example.com/{}", key.as_str())
    );

    let cdn = Storage {
        public_base_url: Some(Url::parse("https://cdn.example.com/m/").unwrap()),
        ..split
    };
    let store = Store::connect(cdn, URL_SECS, Metrics::new()).await.unwrap();
    assert_eq!(
        store.public_url(&key),
        format!("https://cdn.example.com/m/{}", key.as_str())
    );
}

#[tokio::test]
async fn a_url_ends_with_its_upload_and_is_never_signed_dead() {
    let store = Store::connect(options(None), URL_SECS, Metrics::new())
        .await
        .unwrap();
    let upload = issued(None, now());
    let end = upload.upload().expires_at;
    for (left_ms, secs) in [
        (86_400_000, Some(900)),
        (30_500, Some(30)),
        (1_000, Some(1)),
        (0, None),
        (-1, None),
    ] {
        let now = end - TimeDelta::milliseconds(left_ms);
        match (store.presign_put(&upload, now), secs) {
            (Ok(request), Some(secs)) => {
                let stated: i64 = query(&url_of(&request), "X-Amz-Expires")
                    .unwrap()
                    .parse()
                    .unwrap();
                assert!(
                    stated >= 1 && (secs..=secs + 1).contains(&stated),
                    "{left_ms}: {stated}"
                );
                assert!(request.expires_at <= end);
                assert_eq!(
                    request.expires_at,
                    now.trunc_subsecs(0) + TimeDelta::seconds(stated)
                );
            }
            (Err(error), None) => assert_eq!(error, PresignError::DeadlinePassed),
            (other, _) => panic!("{left_ms}: {other:?}"),
        }
    }
    let year = store
        .presign_get(&sealed(), &cat(), u32::MAX, now())
        .unwrap();
    assert_eq!(query(&url_of(&year), "X-Amz-Expires").unwrap(), "604800");
}

#[tokio::test]
async fn nothing_is_signed_for_another_bucket_or_outside_the_layout() {
    let store = Store::connect(options(None), URL_SECS, Metrics::new())
        .await
        .unwrap();
    let mut upload = issued(None, now()).into_upload();
    upload.bucket = "another".into();
    let issued = Issued::without_row(upload);
    let error = store.presign_put(&issued, now()).unwrap_err();
    assert!(
        matches!(&error, PresignError::Store(error) if error.code == "other-bucket"),
        "{error:?}"
    );
    let foreign = FinalKey::recorded("staging/upl_x".into(), "x".into());
    assert_eq!(
        store
            .presign_get(&foreign, &cat(), 60, now())
            .unwrap_err()
            .code,
        "outside-layout"
    );
}

#[tokio::test]
async fn neither_the_request_nor_its_options_show_a_secret() {
    let store = Store::connect(options(None), URL_SECS, Metrics::new())
        .await
        .unwrap();
    let request = store.presign_put(&issued(None, now()), now()).unwrap();
    let signature = query(&url_of(&request), "X-Amz-Signature").unwrap();
    let shown = format!("{request:?} {:?}", store.options);
    assert!(
        !shown.contains(&signature)
            && !shown.contains("https://")
            && !shown.contains(super::SECRET)
    );
}
