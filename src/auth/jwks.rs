//! The keys of an issuer that publishes them at a URL: fetched when needed, never twice in 30 s, used for a while when
//! the issuer is down, and then not any more.
//!
//! Guarantees: one fetch at a time, and at least [`BETWEEN_FETCHES`] from one to the next, whatever bearers send and
//! whether it succeeded; a key that the issuer removed is refused within [`FRESH`]; keys that could not be asked for again
//! within [`USABLE`] verify nothing. A fetch outlives the caller that started it, so hanging up can't starve the others.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use super::authenticator::AuthError;
use super::jwk;
use super::keys::{Key, KeySet};
use crate::auth::token_cache::{Fingerprint, fingerprint};
use crate::outbound::{AddressRule, Limits, Outbound};

/// From this age on a fetch runs in the background, so that busy brokers never wait for one.
const REFRESH_EARLY: Duration = Duration::from_secs(240);
/// From this age on callers wait for a fetch.
const FRESH: Duration = Duration::from_secs(300);
/// From this age on the keys are not used.
const USABLE: Duration = Duration::from_secs(3600);
/// The least time from one fetch to the next.
const BETWEEN_FETCHES: Duration = Duration::from_secs(30);
/// What one fetch may take.
const LIMITS: Limits = Limits {
    max_bytes: 64 * 1024,
    deadline: Duration::from_secs(2),
};

/// A clock that only goes forward. A test may give its own.
pub type Ticks = Arc<dyn Fn() -> Instant + Send + Sync>;

/// The keys as the issuer published them at one moment.
struct Snapshot {
    keys: KeySet,
    document: Fingerprint,
    generation: u64,
    fetched_at: Instant,
}

struct Gate {
    last_fetch: Option<Instant>,
    last_failed: bool,
    running: Option<Shared<BoxFuture<'static, ()>>>,
}

/// The keys behind one URL.
pub(super) struct RemoteKeys {
    issuer: String,
    url: String,
    outbound: Outbound,
    ticks: Ticks,
    current: ArcSwapOption<Snapshot>,
    gate: Mutex<Gate>,
}

impl RemoteKeys {
    pub(super) fn new(issuer: &str, url: &str, outbound: Outbound, ticks: Ticks) -> RemoteKeys {
        RemoteKeys {
            issuer: issuer.to_owned(),
            url: url.to_owned(),
            outbound,
            ticks,
            current: ArcSwapOption::empty(),
            gate: Mutex::new(Gate {
                last_fetch: None,
                last_failed: false,
                running: None,
            }),
        }
    }

    /// Whether the keys of this generation are still the ones to use, without asking anybody.
    pub(super) fn still_serves(&self, generation: u64) -> bool {
        let current = self.current.load();
        current
            .as_ref()
            .is_some_and(|snapshot| snapshot.generation == generation && self.age(snapshot) < FRESH)
    }

    /// The key with this id and the generation of its set. Waits for a fetch where one is due and allowed.
    pub(super) async fn find(
        self: &Arc<Self>,
        kid: Option<&str>,
    ) -> Result<(Arc<Key>, u64), AuthError> {
        let age = self.current.load().as_ref().map(|it| self.age(it));
        if age.is_none_or(|age| age >= REFRESH_EARLY) {
            let fetch = self.fetch_or_join();
            if let Some(fetch) = fetch
                && age.is_none_or(|age| age >= FRESH)
            {
                fetch.await;
            }
        }
        if let Some(found) = self.look_up(kid)? {
            return Ok(found);
        }
        // An id that is not there may be a key that is newer than our copy.
        if let Some(fetch) = self.fetch_or_join() {
            fetch.await;
            if let Some(found) = self.look_up(kid)? {
                return Ok(found);
            }
        }
        match self.gate().last_failed {
            true => Err(AuthError::KeysUnavailable),
            false => Err(AuthError::Invalid {
                reason: "the token's key is unknown",
            }),
        }
    }

    fn look_up(&self, kid: Option<&str>) -> Result<Option<(Arc<Key>, u64)>, AuthError> {
        let current = self.current.load();
        match current.as_ref() {
            Some(snapshot) if self.age(snapshot) < USABLE => {
                let key = snapshot.keys.find(kid);
                Ok(key.map(|key| (key, snapshot.generation)))
            }
            _ => Err(AuthError::KeysUnavailable),
        }
    }

    fn age(&self, snapshot: &Snapshot) -> Duration {
        (self.ticks)().saturating_duration_since(snapshot.fetched_at)
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        // Nothing that holds the lock can panic half-way, so a poisoned gate is still a good one.
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fetch that is running, or a new one where the last is long enough ago.
    fn fetch_or_join(self: &Arc<Self>) -> Option<Shared<BoxFuture<'static, ()>>> {
        let mut gate = self.gate();
        if let Some(running) = &gate.running
            && running.peek().is_none()
        {
            return Some(running.clone());
        }
        let now = (self.ticks)();
        let too_soon = |last: Instant| now.saturating_duration_since(last) < BETWEEN_FETCHES;
        if gate.last_fetch.is_some_and(too_soon) {
            return None;
        }
        gate.last_fetch = Some(now);
        gate.last_failed = true;
        let this = Arc::clone(self);
        let task = tokio::spawn(async move { this.fetch(now).await });
        let running = task.map(|_| ()).boxed().shared();
        gate.running = Some(running.clone());
        Some(running)
    }

    async fn fetch(&self, began: Instant) {
        let outcome = self.fetch_keys().await;
        let failed = match outcome {
            Ok(document) => self.store(&document, began).err(),
            Err(reason) => Some(reason),
        };
        if let Some(reason) = &failed {
            tracing::warn!(issuer = %self.issuer, %reason, "the key set could not be fetched");
        }
        let mut gate = self.gate();
        gate.last_failed = failed.is_some();
        gate.running = None;
    }

    async fn fetch_keys(&self) -> Result<Vec<u8>, String> {
        let rule = AddressRule::AnyButLinkLocal;
        let answer = self.outbound.get(&self.url, rule, LIMITS).await;
        match answer.map_err(|error| error.to_string())? {
            fetched if fetched.status == 200 => Ok(fetched.body),
            fetched => Err(format!("the status is {} and not 200", fetched.status)),
        }
    }

    /// Makes a document the current key set. Remembered tokens hang on the generation, so it changes with the document.
    fn store(&self, document: &[u8], began: Instant) -> Result<(), String> {
        let parsed = jwk::parse(document).map_err(str::to_owned)?;
        let document = fingerprint(document);
        let before = self.current.load();
        let generation = match before.as_ref() {
            Some(before) if before.document == document => before.generation,
            Some(before) => before.generation + 1,
            None => 1,
        };
        if before.as_ref().map(|before| before.generation) != Some(generation) {
            let (issuer, keys) = (&self.issuer, parsed.keys.len());
            tracing::info!(%issuer, keys, generation, "the key set changed");
            for reason in &parsed.left_out {
                tracing::warn!(%issuer, %reason, "a published key is not used");
            }
        }
        self.current.store(Some(Arc::new(Snapshot {
            keys: parsed.keys,
            document,
            generation,
            fetched_at: began,
        })));
        Ok(())
    }
}
