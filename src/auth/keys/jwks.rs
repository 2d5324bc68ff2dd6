//! The key set of an issuer that publishes it at a URL, fetched when needed.
//!
//! Guarantees: one fetch at a time, and at least [`BETWEEN_FETCHES`] from one to the next, whatever tokens name and whether it
//! succeeded; a key that the issuer removed is refused within [`FRESH`]; while the issuer is down, its last keys are used until
//! [`USABLE`]. A fetch outlives the request that started it, so a client that disconnects can't starve the others.
//!
//! Not moka's `try_get_with`: its fetch ends with the caller that drives it, and the next waiter starts another one at once; it
//! serves no stale value while it refreshes; and its clock can't be set by a test.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use super::{Key, KeySet, jwk};
use crate::auth::AuthError;
use crate::auth::token_cache::{Fingerprint, fingerprint};
use crate::outbound::{AddressRule, Limits, Outbound};

/// From this age on a fetch runs in the background, so that requests of a busy broker don't wait for one.
const REFRESH_EARLY: Duration = Duration::from_secs(240);
/// From this age on requests wait for a fetch.
const FRESH: Duration = Duration::from_secs(300);
/// From this age on the keys are not used.
const USABLE: Duration = Duration::from_secs(3600);
/// The least time from one fetch to the next.
const BETWEEN_FETCHES: Duration = Duration::from_secs(30);
/// The bounds of one fetch.
const LIMITS: Limits = Limits {
    max_bytes: 64 * 1024,
    deadline: Duration::from_secs(2),
};

/// A monotonic clock. Tests pass their own.
pub type Ticks = Arc<dyn Fn() -> Instant + Send + Sync>;

/// The key set as fetched at one moment.
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

/// The key set at one URL.
pub(in crate::auth) struct RemoteKeys {
    issuer: String,
    url: String,
    outbound: Outbound,
    ticks: Ticks,
    current: ArcSwapOption<Snapshot>,
    gate: Mutex<Gate>,
}

impl RemoteKeys {
    pub(in crate::auth) fn new(
        issuer: &str,
        url: &str,
        outbound: Outbound,
        ticks: Ticks,
    ) -> RemoteKeys {
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

    /// Whether the keys of this generation are current and fresh. Starts no fetch.
    pub(in crate::auth) fn is_current(&self, generation: u64) -> bool {
        let current = self.current.load();
        current
            .as_ref()
            .is_some_and(|snapshot| snapshot.generation == generation && self.age(snapshot) < FRESH)
    }

    /// The key with this id, and the generation of its set. Waits for a fetch where one is due and allowed.
    pub(in crate::auth) async fn find(
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
        // An unknown id may be that of a key newer than this set.
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
        // No code can panic between two changes under this lock, so a poisoned gate is consistent.
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
            tracing::warn!(issuer = %self.issuer, %reason, "key set not fetched");
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
            fetched => Err(format!("the status is {}, not 200", fetched.status)),
        }
    }

    /// Makes a document the current key set. Cached tokens are valid for one generation, so it changes with the document.
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
            tracing::info!(%issuer, keys, generation, "key set changed");
            for reason in &parsed.skipped {
                tracing::warn!(%issuer, %reason, "published key skipped");
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
