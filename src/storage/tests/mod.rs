//! Tests of `storage`: signatures compared with the SDK's, the meaning of each answer, and the lifetime of credentials.

mod answers;
mod copies;
mod credentials;
mod fake_s3;
mod listing;
mod reading;
mod requests;
mod signatures;

use std::sync::LazyLock;

use crate::telemetry::metrics::Metrics;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::ExposeSecret as _;
use url::Url;

use super::{PresignedRequest, ServedAs, Store, client};
use crate::config::{AccessKey, Storage};
use crate::domain::checksum::Checksum;
use crate::domain::field::FieldName;
use crate::domain::file_name::FileName;
use crate::domain::ids::UploadId;
use crate::domain::media_type::MediaType;
use crate::domain::object_key::{FinalKey, Layout, StagingKey};
use crate::domain::upload::{Status, Upload};
use crate::policy::evidence::Issued;

/// The longest lifetime of a URL, in seconds.
const URL_SECS: u32 = 900;
const SECRET: &str = "s3cr3t/Key+of=the-signer";

fn options(endpoint: Option<&str>) -> Storage {
    Storage {
        bucket: "media-bucket".into(),
        region: "eu-central-1".into(),
        endpoint: endpoint.map(|url| Url::parse(url).unwrap()),
        public_endpoint: None,
        path_style: true,
        credentials: Some(AccessKey {
            id: "AKIDEXAMPLE".into(),
            secret: SECRET.into(),
        }),
        signer_credentials: None,
        public_base_url: None,
        attempt_timeout_ms: 300,
        operation_timeout_ms: 1000,
        copy_base_ms: 500,
        copy_bytes_per_sec: 20_000_000,
        layout: layout(),
        trusts_checksums: true,
        read_to_prove: false,
        expected_bucket_owner: None,
    }
}

fn layout() -> Layout {
    Layout {
        location: "media/".into(),
        staging_prefix: "staging/".into(),
    }
}

/// A store with another source of credentials than the options can name.
async fn store_signed_by(provider: SharedCredentialsProvider) -> Store {
    store_with(options(Some("http://127.0.0.1:9")), provider).await
}

async fn store_with(options: Storage, provider: SharedCredentialsProvider) -> Store {
    let http = client::http_client(&options);
    let client = client::build(&options, provider.clone(), http, Metrics::new());
    Store::assemble(options, URL_SECS, client, provider, None, Metrics::new())
        .await
        .unwrap()
}

fn keys(token: Option<&str>, ends_at: Option<DateTime<Utc>>) -> Credentials {
    let token = token.map(str::to_owned);
    Credentials::new(
        "AKIDEXAMPLE",
        SECRET,
        token,
        ends_at.map(Into::into),
        "test",
    )
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 123_456_789).unwrap()
}

fn issued(checksum: Option<Checksum>, now: DateTime<Utc>) -> Issued {
    Issued::without_row(Upload {
        id: UploadId::new(now, &[7; 10]),
        status: Status::Pending,
        version: 0,
        field: FieldName::parse("Product.image").unwrap(),
        owner: "user:1".into(),
        bucket: "media-bucket".into(),
        filename: FileName::parse("cat.jpg").unwrap(),
        content_type: MediaType::parse("image/jpeg").unwrap(),
        size: 183_442,
        checksum,
        created_at: now,
        expires_at: now + TimeDelta::hours(24),
        url_lifetime_secs: 900,
        confirmation: None,
        errors: Vec::new(),
        object_id: None,
        attach_at_confirm: false,
        grant: None,
        attached_at: None,
        detached_at: None,
        remove_after: None,
        object_removed_at: None,
    })
}

fn staged() -> StagingKey {
    layout().staging_key(UploadId::new(now(), &[7; 10]))
}

/// A picture of a cat.
fn cat() -> ServedAs<'static> {
    static NAME: LazyLock<FileName> = LazyLock::new(|| FileName::parse("cat.jpg").unwrap());
    ServedAs {
        media_type: MediaType::parse("image/jpeg").unwrap(),
        filename: &NAME,
    }
}

fn sealed() -> FinalKey {
    layout().final_key(
        "products/",
        MediaType::parse("image/jpeg").unwrap(),
        &[9; 20],
    )
}

fn url_of(request: &PresignedRequest) -> Url {
    Url::parse(request.url.expose_secret()).unwrap()
}

/// One value of a URL's query.
fn query(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    pairs
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.into_owned())
}
