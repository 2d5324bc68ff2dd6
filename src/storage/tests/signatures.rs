//! Signatures compared with the SDK's presigner.

use crate::telemetry::metrics::Metrics;
use std::collections::BTreeSet;
use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::presigning::PresigningConfig;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use secrecy::ExposeSecret as _;
use url::Url;

use super::super::Store;
use super::super::sigv4::{UnsignedRequest, Window, presign};
use super::{URL_SECS, cat, issued, keys, layout, now, options, query, sealed, store_with, url_of};
use crate::config::Storage;
use crate::domain::checksum::{Checksum, ChecksumAlgorithm};

const ENDPOINTS: [Option<&str>; 9] = [
    None,
    Some("http://127.0.0.1:9000"),
    Some("http://localhost:8080"),
    Some("http://[::1]:9000"),
    Some("http://store.example:80/"),
    Some("https://s3.example.com:8443"),
    Some("https://s3.example.com:443"),
    Some("https://gateway.example/s3/"),
    Some("https://Gateway.Example"),
];
const TOKEN: &str = "IQoJb3JpZ2luX2VjE+/=token//with==signs";

/// Each address, with and without a session token.
fn variants() -> Vec<(Storage, Option<&'static str>)> {
    let mut all = Vec::new();
    for endpoint in ENDPOINTS {
        for path_style in [true, false] {
            for (bucket, region) in [
                ("media-bucket", "eu-central-1"),
                ("media-bucket", "us-east-1"),
                ("media.with.dots", "cn-north-1"),
            ] {
                for session_token in [None, Some(TOKEN)] {
                    let options = Storage {
                        bucket: bucket.into(),
                        region: region.into(),
                        path_style,
                        ..options(endpoint)
                    };
                    all.push((options, session_token));
                }
            }
        }
    }
    // No client takes a host like `media.with.dots.127.0.0.1`; another test says that we refuse it too.
    all.retain(|(o, _)| {
        o.path_style || !o.bucket.contains('.') || !is_address(o.endpoint.as_ref())
    });
    all
}

fn is_address(endpoint: Option<&Url>) -> bool {
    !matches!(
        endpoint.and_then(Url::host),
        None | Some(url::Host::Domain(_))
    )
}

pub(super) fn checksums() -> Vec<Option<Checksum>> {
    let of =
        |a: ChecksumAlgorithm| Checksum::from_digest(a, &vec![0xfb; a.digest_bytes()]).unwrap();
    let every = ChecksumAlgorithm::ALL.into_iter().map(of).map(Some);
    std::iter::once(None).chain(every).collect()
}

fn at(start: DateTime<Utc>, secs: u64) -> PresigningConfig {
    PresigningConfig::builder()
        .start_time(start.into())
        .expires_in(Duration::from_secs(secs))
        .build()
        .unwrap()
}

/// Same address, same parameters, and so the same signature.
fn assert_same(ours: &Url, theirs: &str) {
    let theirs = Url::parse(theirs).unwrap();
    let parameters =
        |url: &Url| -> BTreeSet<(String, String)> { url.query_pairs().into_owned().collect() };
    let bare = |url: &Url| format!("{}{}", url.origin().ascii_serialization(), url.path());
    assert_eq!(bare(ours), bare(&theirs));
    assert_eq!(parameters(ours), parameters(&theirs), "{theirs}");
    assert!(query(ours, "X-Amz-Signature").is_some_and(|signature| signature.len() == 64));
}

async fn sdk_put(store: &Store, key: &str, size: i64, checksum: Option<&Checksum>) -> String {
    let put = store
        .client
        .put_object()
        .bucket(&store.options.bucket)
        .key(key)
        .content_length(size)
        .content_type("image/jpeg");
    let put = match checksum.map(|found| (found.algorithm(), found.value())) {
        None => put,
        Some((ChecksumAlgorithm::Sha256, value)) => put.checksum_sha256(value),
        Some((ChecksumAlgorithm::Crc32, value)) => put.checksum_crc32(value),
        Some((ChecksumAlgorithm::Crc32c, value)) => put.checksum_crc32_c(value),
        Some((ChecksumAlgorithm::Crc64Nvme, value)) => put.checksum_crc64_nvme(value),
        Some((ChecksumAlgorithm::Md5, value)) => put.content_md5(value),
    };
    put.presigned(at(now(), 900))
        .await
        .unwrap()
        .uri()
        .to_owned()
}

#[tokio::test]
async fn put_signature_equals_the_sdks_for_every_address_token_and_checksum() {
    for (options, token) in variants() {
        let provider = SharedCredentialsProvider::new(keys(token, None));
        let store = store_with(options, provider).await;
        for checksum in checksums() {
            let mut upload = issued(checksum.clone(), now()).into_upload();
            upload.bucket = store.options.bucket.clone();
            let key = layout().staging_key(upload.id);
            let issued = crate::policy::evidence::Issued::without_row(upload);
            let ours = store.presign_put(&issued, now()).unwrap();
            let theirs = sdk_put(&store, key.as_str(), 183_442, checksum.as_ref()).await;
            assert_same(&url_of(&ours), &theirs);
        }
    }
}

#[tokio::test]
async fn get_signature_equals_the_sdks_with_overrides_and_odd_keys() {
    let object_keys = [
        "media/a.jpg",
        "media/a b+c%2F~(ü).jpg",
        "media/…/'x'&y=z;*@:,$!.jpg",
    ];
    let disposition = "attachment; filename*=UTF-8''k%C3%A4tzchen.jpg";
    let window = Window {
        signed_at: now().trunc_subsecs(0),
        lifetime_secs: 60,
    };
    for (options, token) in variants() {
        let provider = SharedCredentialsProvider::new(keys(token, None));
        let store = store_with(options, provider).await;
        for key in object_keys {
            let request = UnsignedRequest {
                method: "GET",
                key,
                headers: &[],
                query: &[
                    ("response-content-disposition", disposition),
                    ("response-content-type", "image/jpeg; x=\"a b\""),
                    ("x-id", "GetObject"),
                ],
            };
            let identity = store.signer.current();
            let ours = presign(
                &store.target,
                &identity.day_key(window.signed_at, &store.options.region),
                identity.encoded_session_token(),
                &request,
                &window,
            );
            let theirs = store
                .client
                .get_object()
                .bucket(&store.options.bucket)
                .key(key)
                .response_content_disposition(disposition)
                .response_content_type("image/jpeg; x=\"a b\"")
                .presigned(at(now(), 60))
                .await
                .unwrap();
            assert_same(&Url::parse(ours.expose_secret()).unwrap(), theirs.uri());
        }
    }
}

#[tokio::test]
async fn the_derived_key_changes_with_the_day() {
    let store = Store::connect(
        options(Some("http://127.0.0.1:9000")),
        URL_SECS,
        Metrics::new(),
    )
    .await
    .unwrap();
    for day in [0, 1, 0, 400] {
        let now = now() + TimeDelta::days(day);
        let ours = store.presign_get(&sealed(), &cat(), 60, now).unwrap();
        let get = store
            .client
            .get_object()
            .bucket("media-bucket")
            .key(sealed().as_str())
            .response_content_disposition("inline; filename=\"cat.jpg\"")
            .response_content_type("image/jpeg");
        let theirs = get.presigned(at(now, 60)).await.unwrap();
        assert_same(&url_of(&ours), theirs.uri());
    }
}
