//! A bucket in a temporary folder, and three ways to talk to it: the SDK, an HTTP client, a bare socket.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Config, Credentials, Region, RequestChecksumCalculation,
};
use bytepass_dev_bucket::{DevBucket, DevBucketOptions};
use secrecy::SecretString;
use tempfile::TempDir;

use super::sign::{ACCESS_KEY, Presign, REGION, SECRET_KEY};

pub const BUCKET: &str = "media";
pub const OTHER: &str = "other";

pub struct Running {
    pub bucket: Option<DevBucket>,
    pub dir: TempDir,
}

pub fn options(data_dir: &Path) -> DevBucketOptions {
    DevBucketOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        data_dir: data_dir.to_owned(),
        region: REGION.to_owned(),
        access_key_id: ACCESS_KEY.to_owned(),
        secret_access_key: SecretString::from(SECRET_KEY),
        buckets: vec![BUCKET.to_owned(), OTHER.to_owned()],
        public_prefixes: vec!["media/products/".to_owned()],
    }
}

pub fn running() -> Running {
    let dir = tempfile::tempdir().unwrap();
    let bucket = DevBucket::start(options(dir.path())).unwrap();
    Running {
        bucket: Some(bucket),
        dir,
    }
}

impl Running {
    pub fn url(&self) -> String {
        self.bucket.as_ref().unwrap().url()
    }

    pub fn host(&self) -> String {
        self.bucket.as_ref().unwrap().addr().to_string()
    }

    pub fn presign<'a>(&self, method: &'a str, path: &'a str) -> Presign<'a> {
        Presign::new(method, self.host(), path)
    }

    pub fn restart(&mut self) {
        self.bucket.take().unwrap().stop();
        self.bucket = Some(DevBucket::start(options(self.dir.path())).unwrap());
    }

    /// The SDK as the broker configures it: no checksum unless a request needs it.
    pub fn sdk(&self) -> Client {
        self.sdk_with(RequestChecksumCalculation::WhenRequired)
    }

    pub fn sdk_with(&self, checksums: RequestChecksumCalculation) -> Client {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(self.url())
            .region(Region::new(REGION))
            .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .force_path_style(true)
            .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
            .request_checksum_calculation(checksums)
            .build();
        Client::from_conf(config)
    }

    /// Puts an object and answers its ETag without quotes.
    pub async fn put(&self, key: &str, bytes: &[u8]) -> String {
        let put = self.sdk().put_object().bucket(BUCKET).key(key);
        let put = put.body(bytes.to_vec().into()).send().await.unwrap();
        put.e_tag().unwrap().trim_matches('"').to_owned()
    }

    pub async fn read(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let answer = self.sdk().get_object().bucket(bucket).key(key).send().await;
        Some(answer.ok()?.body.collect().await.unwrap().to_vec())
    }

    /// Sends bytes and reads until the server closes or is silent for a second.
    pub fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.host()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            answer.extend_from_slice(&buffer[..length]);
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Files with bytes of objects or drafts: what a refusal must not leave.
    pub fn files(&self) -> usize {
        ["blobs", "incoming"]
            .iter()
            .flat_map(|folder| walkdir::WalkDir::new(self.dir.path().join(folder)))
            .filter(|entry| entry.as_ref().unwrap().file_type().is_file())
            .count()
    }

    pub async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let url = format!("{}{target}", self.url());
        let mut request = http().request(method.parse().unwrap(), url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.body(body.to_vec()).send().await.unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await.unwrap().to_vec(),
        }
    }
}

pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Status and the error's code, `403 AccessDenied`.
    pub fn code(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        let code = body.split("<Code>").nth(1).unwrap_or_default();
        let code = code.split("</Code>").next().unwrap_or_default();
        format!("{} {code}", self.status)
    }
}

/// A client that never follows a redirect.
pub fn http() -> reqwest::Client {
    // The first test of the process installs it; for the others it is there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}
