//! Builds the HTTP client, the SDK's client with its timeouts and retries, and the address that URLs are signed for.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use aws_sdk_s3::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};
use aws_smithy_http_client::Builder as HttpBuilder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use secrecy::ExposeSecret as _;

use crate::config::{AccessKey, Storage};
use crate::telemetry::metrics::Metrics;

use super::clock::StoreClock;
use super::setup_error::StoreSetupError;
use super::sigv4::Target;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// One client for the bucket and the sources of credentials. It follows no redirect.
pub(super) fn http_client(options: &Storage) -> SharedHttpClient {
    let plain = options
        .endpoint
        .as_ref()
        .is_some_and(|url| url.scheme() == "http")
        && options.credentials.is_some();
    if plain {
        // A machine without root certificates can still run the development bucket.
        return HttpBuilder::new().build_http();
    }
    HttpBuilder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

/// The provider of a static key pair.
pub(super) fn static_key(key: &AccessKey) -> SharedCredentialsProvider {
    let secret = key.secret.expose_secret();
    let keys = Credentials::new(&key.id, secret, None, None, "configuration");
    SharedCredentialsProvider::new(keys)
}

/// aws-config's default chain: environment, profile, web identity, container, instance metadata. Nothing is loaded yet.
pub(super) async fn default_chain(
    options: &Storage,
    http: &SharedHttpClient,
) -> Result<SharedCredentialsProvider, StoreSetupError> {
    let shared = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(options.region.clone()))
        .http_client(http.clone())
        .load()
        .await;
    shared
        .credentials_provider()
        .ok_or_else(|| StoreSetupError::Credentials {
            bucket: options.bucket.clone(),
            reason: "the default chain is empty".to_owned(),
        })
}

/// The SDK's client. Built from the options alone, so that no environment variable redirects it.
pub(super) fn build(
    options: &Storage,
    credentials: SharedCredentialsProvider,
    http: SharedHttpClient,
    metrics: Metrics,
) -> aws_sdk_s3::Client {
    let retries = RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(100))
        .with_max_backoff(Duration::from_secs(1));
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(Duration::from_millis(options.attempt_timeout_ms))
        .operation_timeout(Duration::from_millis(options.operation_timeout_ms))
        .build();
    let mut config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(options.region.clone()))
        .credentials_provider(credentials)
        .http_client(http)
        .interceptor(StoreClock(metrics))
        .force_path_style(options.path_style)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(retries)
        // A retry budget of its own: the SDK's default is shared by every client in the process.
        .retry_partition(RetryPartition::custom("store").build())
        .timeout_config(timeouts)
        // Every call has a limit of its own; a slow but moving read must not be cut by a guess.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(endpoint) = &options.endpoint {
        config = config.endpoint_url(endpoint.as_str());
    }
    aws_sdk_s3::Client::from_conf(config.build())
}

/// The configuration of a call that is sent once, within this time, and never retried.
pub(super) fn sent_once(limit: Duration) -> aws_sdk_s3::config::Builder {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT.min(limit))
        .operation_attempt_timeout(limit)
        .operation_timeout(limit)
        .build();
    aws_sdk_s3::config::Builder::new()
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
}

/// The time limit of a call that moves the object's bytes.
pub(super) fn limit_for(options: &Storage, size: u64) -> Duration {
    let moving_ms = size.saturating_mul(1000) / options.copy_bytes_per_sec.max(1);
    Duration::from_millis(options.copy_base_ms.saturating_add(moving_ms))
}

/// The address that clients use. The SDK's endpoint rules resolve it once (partitions, virtual hosts, names with dots).
pub(super) async fn target(options: &Storage) -> Result<Target, StoreSetupError> {
    let fail = |reason: String| StoreSetupError::Address {
        bucket: options.bucket.clone(),
        reason,
    };
    let bucket = options.bucket.as_str();
    if bucket.is_empty() || bucket.starts_with("arn:") || bucket.ends_with("--x-s3") {
        return Err(fail(
            "the bucket must be a general purpose bucket, by its name".into(),
        ));
    }
    let endpoint = options
        .public_endpoint
        .as_ref()
        .or(options.endpoint.as_ref());
    let params = Params::builder()
        .bucket(bucket)
        .region(options.region.as_str())
        .force_path_style(options.path_style)
        .set_endpoint(endpoint.map(|url| url.as_str().to_owned()))
        .build()
        .map_err(|error| fail(error.to_string()))?;
    let resolved = DefaultResolver::new()
        .resolve_endpoint(&params)
        .await
        .map_err(|error| fail(error.to_string()))?;
    Target::parse(resolved.url()).ok_or_else(|| {
        fail(format!(
            "{} is not a URL that a client can use",
            resolved.url()
        ))
    })
}
