//! The S3 API: presign, seal, inspect, list and remove. Only `broker` calls this module.
//!
//! Every unclear answer of the bucket is a [`StoreError`], which never confirms, rejects or removes anything. Guarantees: a PUT is signed only for an [`Issued`](crate::policy::evidence::Issued) upload's
//! staging key, without network, and never beyond the credentials that sign it; a copy is exactly one HTTP request; every call
//! ends within its time; no key outside the layout's prefixes is touched. Only failing credentials are logged here.

mod client;
mod clock;
mod disposition;
mod error;
mod hash;
mod identity;
mod inspect;
mod list;
mod multipart_uploads;
mod presign;
mod remove;
mod seal;
mod setup_error;
mod sigv4;

#[cfg(test)]
mod tests;

pub use disposition::ServedAs;
pub use error::StoreError;
pub use inspect::SizeAndEtag;
pub use list::{Listed, ListedPage, Staged, StagedPage};
pub use multipart_uploads::{Unfinished, UnfinishedMarker, UnfinishedPage};
pub use presign::{PresignError, PresignedRequest};
pub use seal::CopyAnswer;
pub use setup_error::StoreSetupError;

use std::future::Future;
use std::time::Instant;

use aws_credential_types::provider::SharedCredentialsProvider;
use tracing::Instrument as _;

use crate::config::Storage;
use crate::domain::object_key::{FinalKey, StagingKey};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces;
use identity::SigningIdentity;
use sigv4::Target;

/// One bucket: the client that calls it, the public address that URLs are signed for, and the signing identities.
pub struct Store {
    options: Storage,
    client: aws_sdk_s3::Client,
    target: Target,
    signer: SigningIdentity,
    /// Signs downloads if the signer of uploads may only put objects.
    reader: Option<SigningIdentity>,
    public_base: String,
    metrics: Metrics,
}

impl Store {
    /// Resolves credentials and addresses. The bucket itself isn't asked anything ([`Store::ping`] does that). Must run
    /// inside a tokio runtime, which also runs the renewal of credentials until the store is dropped: that long before their
    /// end as the longest URL lives, in seconds.
    pub async fn connect(
        options: Storage,
        longest_url_lifetime_secs: u32,
        metrics: Metrics,
    ) -> Result<Store, StoreSetupError> {
        let http = client::http_client(&options);
        let calls = match &options.credentials {
            Some(key) => client::static_key(key),
            None => client::default_chain(&options, &http).await?,
        };
        let (signer, reader) = match &options.signer_credentials {
            Some(key) => (client::static_key(key), Some(calls.clone())),
            None => (calls.clone(), None),
        };
        let client = client::build(&options, calls, http, metrics.clone());
        let ahead_secs = longest_url_lifetime_secs;
        Store::assemble(options, ahead_secs, client, signer, reader, metrics).await
    }

    async fn assemble(
        options: Storage,
        ahead_secs: u32,
        client: aws_sdk_s3::Client,
        signer: SharedCredentialsProvider,
        reader: Option<SharedCredentialsProvider>,
        metrics: Metrics,
    ) -> Result<Store, StoreSetupError> {
        let target = client::target(&options).await?;
        let start = |provider| SigningIdentity::start(provider, ahead_secs, &options.bucket);
        let signer = start(signer).await?;
        let reader = match reader {
            Some(provider) => Some(start(provider).await?),
            None => None,
        };
        let public_base = match &options.public_base_url {
            Some(base) => base.as_str().trim_end_matches('/').to_owned(),
            None => target.base(),
        };
        Ok(Store {
            options,
            client,
            target,
            signer,
            reader,
            public_base,
            metrics,
        })
    }

    /// Counts and times a call, successful or not.
    async fn measured<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let (begun, span) = (Instant::now(), traces::s3(operation));
        let answer = call.instrument(span.clone()).await;
        let code = match &answer {
            Ok(_) => "ok",
            Err(error) => {
                traces::s3_failed(&span, &error.code);
                &error.code
            }
        };
        self.metrics.s3_call(operation, code, begun.elapsed());
        answer
    }

    /// Refuses a staging key outside the layout: a bug or a foreign row must not reach other objects of the bucket.
    fn guard_staging(&self, operation: &'static str, key: &StagingKey) -> Result<(), StoreError> {
        let inside = below(key.as_str(), &self.options.layout.staging_prefix);
        inside
            .then_some(())
            .ok_or_else(|| StoreError::outside(operation))
    }

    /// Refuses a final key that is not below the location, or that is below the staging prefix (the location may be empty).
    fn guard_final(&self, operation: &'static str, key: &FinalKey) -> Result<(), StoreError> {
        let layout = &self.options.layout;
        let inside = below(key.as_str(), &layout.location)
            && !key.as_str().starts_with(&layout.staging_prefix);
        inside
            .then_some(())
            .ok_or_else(|| StoreError::outside(operation))
    }
}

/// Whether the key is below the prefix and has no empty or dotted segments, which some stores resolve.
fn below(key: &str, prefix: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.');
    key.strip_prefix(prefix).is_some() && key.split('/').all(plain)
}
