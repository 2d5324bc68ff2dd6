//! A bucket, accessed with the AWS SDK and the owner's keys, to check the broker's answers.

use std::collections::BTreeMap;

use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;
use aws_sdk_s3::{Client, Config};
use bytes::Bytes;

use super::{setting, unique};

/// An S3 server's endpoint and the keys of its administrator.
#[derive(Clone)]
pub struct S3Server {
    /// Scheme, host and port.
    pub endpoint: String,
    /// The access key's id.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
}

impl S3Server {
    /// The server that `tests/run` started; `None` when the suite runs on the embedded bucket.
    pub fn external() -> Option<S3Server> {
        let needed = |name| setting(name).unwrap_or_else(|| panic!("{name} is not set"));
        Some(S3Server {
            endpoint: setting("BYTEPASS_TEST_S3_ENDPOINT")?,
            access_key: needed("BYTEPASS_TEST_S3_ACCESS_KEY"),
            secret_key: needed("BYTEPASS_TEST_S3_SECRET_KEY"),
        })
    }

    /// A client of this server: path style, `us-east-1`, no added checksums, no retries.
    pub fn client(&self) -> Client {
        use aws_smithy_http_client::{Builder, tls};
        let http = Builder::new()
            .tls_provider(tls::Provider::Rustls(
                tls::rustls_provider::CryptoMode::Ring,
            ))
            .build_https();
        let keys = Credentials::new(&self.access_key, &self.secret_key, None, None, "tests");
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&self.endpoint)
            .region(Region::new("us-east-1"))
            .credentials_provider(keys)
            .force_path_style(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
            .http_client(http)
            .build();
        Client::from_conf(config)
    }
}

/// One bucket and a client that may do everything in it.
pub struct TestBucket {
    /// The server it is on.
    pub server: S3Server,
    /// Its name.
    pub name: String,
    /// The SDK's client, for what the helpers below don't have.
    pub client: Client,
}

impl TestBucket {
    /// A fresh bucket on the server that `tests/run` started; `None` on the embedded bucket.
    pub async fn create() -> Option<TestBucket> {
        let bucket = TestBucket::at(S3Server::external()?, &unique("test-"));
        bucket
            .client
            .create_bucket()
            .bucket(&bucket.name)
            .send()
            .await
            .expect("the test server makes buckets");
        Some(bucket)
    }

    /// A bucket that exists already.
    pub fn at(server: S3Server, name: &str) -> TestBucket {
        TestBucket {
            client: server.client(),
            server,
            name: name.to_owned(),
        }
    }

    /// Every key that begins so, in order, with its size in bytes.
    pub async fn list(&self, prefix: &str) -> BTreeMap<String, u64> {
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(&self.name)
            .prefix(prefix)
            .into_paginator()
            .send();
        let mut found = BTreeMap::new();
        while let Some(page) = pages.next().await {
            for object in page.expect("the bucket can be listed").contents() {
                let size = u64::try_from(object.size().unwrap_or(0)).expect("a size");
                found.insert(object.key().expect("a key").to_owned(), size);
            }
        }
        found
    }

    /// The object's headers with its checksums; `None` when it is not there.
    pub async fn head(&self, key: &str) -> Option<HeadObjectOutput> {
        let answer = self
            .client
            .head_object()
            .bucket(&self.name)
            .key(key)
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await;
        match answer {
            Ok(found) => Some(found),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_not_found()) => None,
            Err(error) => panic!("HEAD {key}: {error:?}"),
        }
    }

    /// The object's bytes; `None` when it is not there.
    pub async fn get(&self, key: &str) -> Option<Bytes> {
        let answer = self
            .client
            .get_object()
            .bucket(&self.name)
            .key(key)
            .send()
            .await;
        match answer {
            Ok(found) => Some(found.body.collect().await.expect("a body").into_bytes()),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_no_such_key()) => None,
            Err(error) => panic!("GET {key}: {error:?}"),
        }
    }

    /// Writes an object past the broker, as an operator or an attacker with the keys could.
    pub async fn put(&self, key: &str, bytes: &[u8], content_type: &str) {
        self.client
            .put_object()
            .bucket(&self.name)
            .key(key)
            .content_type(content_type)
            .body(ByteStream::from(bytes.to_vec()))
            .send()
            .await
            .expect("the bucket takes it");
    }
}
