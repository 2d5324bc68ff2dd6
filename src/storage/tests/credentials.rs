//! Lifetime and renewal of credentials, and failures of their source.

use crate::telemetry::metrics::Metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use chrono::{TimeDelta, Utc};

use super::super::identity::{SigningIdentity, pause};
use super::super::{PresignError, Store, StoreSetupError};
use super::fake_s3::{FakeS3, head};
use super::{URL_SECS, cat, issued, keys, options, query, sealed, store_signed_by, url_of};
use crate::config::{AccessKey, Storage};

/// Gives keys that end after `secs`, `good` times; then fails.
#[derive(Debug, Clone)]
struct Source {
    secs: i64,
    good: usize,
    asked: Arc<AtomicUsize>,
}

impl Source {
    fn new(secs: i64, good: usize) -> Source {
        let asked = Arc::default();
        Source { secs, good, asked }
    }

    fn answer(&self) -> Result<Credentials, CredentialsError> {
        if self.asked.fetch_add(1, Ordering::SeqCst) >= self.good {
            return Err(CredentialsError::provider_error("the source is down"));
        }
        Ok(keys(
            Some("token"),
            Some(Utc::now() + TimeDelta::seconds(self.secs)),
        ))
    }
}

impl ProvideCredentials for Source {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(self.answer())
    }
}

#[tokio::test]
async fn no_url_states_a_time_beyond_the_credentials_that_signed_it() {
    let store = store_signed_by(SharedCredentialsProvider::new(Source::new(90, 1))).await;
    let begun = Utc::now();
    let ends_at = begun + TimeDelta::seconds(90);
    let mut last = None;
    for second in 0..120 {
        let now = begun + TimeDelta::seconds(second);
        let put = store
            .presign_put(&issued(None, now), now)
            .map_err(|error| match error {
                PresignError::Store(error) => error,
                PresignError::DeadlinePassed => panic!("{error}"),
            });
        let get = store.presign_get(&sealed(), &cat(), 3600, now);
        for request in [put, get] {
            match request {
                Ok(request) => {
                    assert!(request.expires_at > now - TimeDelta::seconds(1));
                    assert!(request.expires_at <= ends_at - TimeDelta::seconds(60));
                    assert!(query(&url_of(&request), "X-Amz-Security-Token").is_some());
                    last = Some(second);
                }
                Err(error) => {
                    assert!(second >= 29, "{second}");
                    assert_eq!(error.code, "credentials-expired");
                }
            }
        }
    }
    assert!(
        last.is_some_and(|last| (28..=30).contains(&last)),
        "{last:?}"
    );
}

#[tokio::test]
async fn credentials_near_their_end_are_renewed_in_the_background() {
    let source = Source::new(3, usize::MAX);
    let store = store_signed_by(SharedCredentialsProvider::new(source.clone())).await;
    let first = store.signer.current().ends_before_margin();
    let renewed = async {
        while store.signer.current().ends_before_margin() == first {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), renewed)
        .await
        .expect("renewed");
    assert!(store.signer.current().ends_before_margin() > first);
    drop(store);
    let asked = source.asked.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(source.asked.load(Ordering::SeqCst), asked);
}

#[tokio::test]
async fn a_failing_source_leaves_the_old_credentials_in_service() {
    let source = Source::new(3, 1);
    let provider = SharedCredentialsProvider::new(source.clone());
    let identity = SigningIdentity::start(provider, 900, "b").await.unwrap();
    let first = identity.current().ends_before_margin();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(
        source.asked.load(Ordering::SeqCst) >= 2,
        "it was asked again"
    );
    assert_eq!(identity.current().ends_before_margin(), first);
}

#[test]
fn renewal_is_one_lifetime_early_and_backs_off_without_end() {
    let now = Utc::now();
    let ahead = Duration::from_secs(960);
    let after = |secs: i64, failures| pause(now, now + TimeDelta::seconds(secs), ahead, failures);
    assert_eq!(after(960 + 600, 0), Duration::from_secs(600));
    assert_eq!(after(36 * 3600, 0), Duration::from_secs(3600));
    assert_eq!(after(900, 0), Duration::from_secs(60));
    assert_eq!(after(80, 0), Duration::from_secs(10));
    assert_eq!(after(-5, 0), Duration::from_secs(1));
    for failures in 1..100 {
        let most = Duration::from_secs(60.min(1 << failures.min(6)));
        let pause = after(900, failures);
        assert!(pause >= most / 2 && pause <= most, "{failures}: {pause:?}");
    }
}

#[tokio::test]
async fn missing_credentials_are_one_line_at_start() {
    let source = SharedCredentialsProvider::new(Source::new(90, 0));
    let error = SigningIdentity::start(source, 900, "media-bucket")
        .await
        .err()
        .unwrap();
    let line = error.to_string();
    assert!(matches!(error, StoreSetupError::Credentials { .. }));
    assert!(
        line.contains("media-bucket") && line.contains("the source is down"),
        "{line}"
    );
    assert!(!line.contains('\n'));
}

#[tokio::test]
async fn a_separate_signer_signs_and_the_other_identity_calls() {
    let fake = FakeS3::start(vec![head("200 OK", &["content-length: 0"])]).await;
    let split = Storage {
        signer_credentials: Some(AccessKey {
            id: "AKIDSIGNER".into(),
            secret: "other".into(),
        }),
        ..options(Some(&fake.url))
    };
    let store = Store::connect(split, URL_SECS, Metrics::new())
        .await
        .unwrap();
    let now = Utc::now();
    let url = url_of(&store.presign_put(&issued(None, now), now).unwrap());
    assert!(
        query(&url, "X-Amz-Credential")
            .unwrap()
            .starts_with("AKIDSIGNER/")
    );
    store.ping().await.unwrap();
    let sent = fake.requests().remove(0);
    assert!(
        sent.contains("credential=akidexample/") && !sent.contains("akidsigner"),
        "{sent}"
    );
}

#[tokio::test]
async fn a_bucket_that_has_no_address_is_refused_at_start() {
    for bucket in [
        "",
        "arn:aws:s3:eu-central-1:1:accesspoint/x",
        "fast--euc1-az1--x-s3",
    ] {
        let bad = Storage {
            bucket: bucket.into(),
            ..options(None)
        };
        assert!(
            matches!(
                Store::connect(bad, URL_SECS, Metrics::new()).await,
                Err(StoreSetupError::Address { .. })
            ),
            "{bucket}"
        );
    }
    let dotted = Storage {
        bucket: "media.with.dots".into(),
        path_style: false,
        ..options(Some("http://127.0.0.1:9000"))
    };
    let line = Store::connect(dotted, URL_SECS, Metrics::new())
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(line.contains("media.with.dots.127.0.0.1:9000"), "{line}");
}
