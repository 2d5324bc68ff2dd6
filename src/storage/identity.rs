//! The credentials that sign URLs: loaded at the start, renewed in the background long before they expire.
//!
//! The SDK keeps credentials until ten seconds before their end, so a URL that it signs may be dead long before the time it
//! states. Here they are renewed one URL lifetime ahead, and a URL never states more than its signer has left.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use chrono::{DateTime, Utc};

use super::setup_error::StoreSetupError;
use super::sigv4::{DayKey, day_of, encode_query};

/// A URL expires this long before its credentials: clocks differ, and a request takes time.
const EXPIRY_MARGIN: Duration = Duration::from_secs(60);
const LOAD_TIMEOUT: Duration = Duration::from_secs(15);
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Credentials are loaded at least once an hour, to notice a suspended machine or early rotated keys in time.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// Credentials, and what is derived from them. It has no `Debug`.
pub(super) struct Identity {
    credentials: Credentials,
    encoded_session_token: Option<String>,
    ends_at: Option<DateTime<Utc>>,
    day: ArcSwapOption<DayKey>,
}

impl Identity {
    pub(super) fn new(credentials: Credentials) -> Identity {
        Identity {
            encoded_session_token: credentials
                .session_token()
                .map(|token| encode_query(token).to_string()),
            ends_at: credentials.expiry().map(DateTime::from),
            day: ArcSwapOption::empty(),
            credentials,
        }
    }

    /// The latest expiry of a URL that it signs; `None` if the credentials don't expire.
    pub(super) fn ends_before_margin(&self) -> Option<DateTime<Utc>> {
        self.ends_at.map(|end| end - EXPIRY_MARGIN)
    }

    pub(super) fn encoded_session_token(&self) -> Option<&str> {
        self.encoded_session_token.as_deref()
    }

    /// The derived key of that day: kept, because deriving it costs four HMACs. One region only: a store has one.
    pub(super) fn day_key(&self, at: DateTime<Utc>, region: &str) -> Arc<DayKey> {
        if let Some(kept) = self.day.load_full().filter(|kept| kept.day == day_of(at)) {
            return kept;
        }
        let fresh = Arc::new(DayKey::derive(
            self.credentials.access_key_id(),
            self.credentials.secret_access_key(),
            at,
            region,
        ));
        self.day.store(Some(fresh.clone()));
        fresh
    }
}

/// The current identity, and the task that renews it until this is dropped.
pub(super) struct SigningIdentity {
    current: Arc<ArcSwap<Identity>>,
    renewal: Option<tokio::task::AbortHandle>,
}

impl SigningIdentity {
    /// Loads credentials and, where they end, starts to renew them `ahead_secs` before.
    pub(super) async fn start(
        provider: SharedCredentialsProvider,
        ahead_secs: u32,
        bucket: &str,
    ) -> Result<SigningIdentity, StoreSetupError> {
        let first = Identity::new(load_first(&provider, bucket).await?);
        let ends = first.ends_at.is_some();
        let current = Arc::new(ArcSwap::from_pointee(first));
        let ahead = Duration::from_secs(u64::from(ahead_secs)) + EXPIRY_MARGIN;
        let renewal =
            ends.then(|| tokio::spawn(renew(current.clone(), provider, ahead)).abort_handle());
        Ok(SigningIdentity { current, renewal })
    }

    /// The current identity. It may have expired if its source is down.
    pub(super) fn current(&self) -> arc_swap::Guard<Arc<Identity>> {
        self.current.load()
    }
}

impl Drop for SigningIdentity {
    fn drop(&mut self) {
        if let Some(renewal) = &self.renewal {
            renewal.abort();
        }
    }
}

/// Loads credentials once, in bounded time, with the sources' own words on failure.
async fn load_first(
    provider: &SharedCredentialsProvider,
    bucket: &str,
) -> Result<Credentials, StoreSetupError> {
    load(provider)
        .await
        .map_err(|reason| StoreSetupError::Credentials {
            bucket: bucket.to_owned(),
            reason,
        })
}

async fn load(provider: &SharedCredentialsProvider) -> Result<Credentials, String> {
    match tokio::time::timeout(LOAD_TIMEOUT, provider.provide_credentials()).await {
        Ok(Ok(credentials)) => Ok(credentials),
        Ok(Err(error)) => {
            let chain = std::iter::successors(Some(&error as &dyn std::error::Error), |error| {
                error.source()
            });
            let words: Vec<String> = chain.map(ToString::to_string).collect();
            Err(words.join(": ").replace(char::is_control, " "))
        }
        Err(_) => Err(format!("no answer within {} s", LOAD_TIMEOUT.as_secs())),
    }
}

async fn renew(
    current: Arc<ArcSwap<Identity>>,
    provider: SharedCredentialsProvider,
    ahead: Duration,
) {
    let mut failures = 0;
    loop {
        let ends_at = current.load().ends_at;
        let Some(ends_at) = ends_at else {
            return;
        };
        tokio::time::sleep(pause(Utc::now(), ends_at, ahead, failures)).await;
        match load(&provider).await {
            // A source may return the same or older credentials: the later expiry wins.
            Ok(fresh) => {
                failures = 0;
                let fresh = Identity::new(fresh);
                if fresh.ends_at.is_none_or(|later| later > ends_at) {
                    current.store(Arc::new(fresh));
                }
            }
            Err(reason) => {
                failures += 1;
                tracing::warn!(%reason, %ends_at, failures, "the signing credentials were not renewed; the old ones serve until their end");
            }
        }
    }
}

/// The time until the next load: until `ahead` before the expiry, then with a backoff.
pub(super) fn pause(
    now: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    ahead: Duration,
    failures: u32,
) -> Duration {
    let left = (ends_at - now).to_std().unwrap_or_default();
    let due = left.saturating_sub(ahead);
    if failures > 0 {
        let backoff = SHORTEST_PAUSE.saturating_mul(1 << failures.min(6));
        // Jitter: brokers that lost the same source must not retry in step.
        return backoff
            .min(LONGEST_PAUSE)
            .mul_f64(rand::random_range(0.5..=1.0));
    }
    if due > Duration::ZERO {
        return due.clamp(SHORTEST_PAUSE, LONGEST_SLEEP);
    }
    (left / 8).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}
