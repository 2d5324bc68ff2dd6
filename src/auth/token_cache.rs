//! A cache of verified tokens: an ES256 check costs 65 µs, a look-up here about 1 µs.
//!
//! It holds the token's SHA-256, never the token. An entry is valid while the issuer's key set is the one that verified it, for at
//! most 60 s, never after `exp`, and never before it was made (a clock may be set back).

use std::sync::Arc;

use quick_cache::sync::Cache;
use ring::digest::{SHA256, digest};

use crate::domain::principal::Principal;

/// The longest life of an entry, in seconds.
const MAX_LIFE_SECS: f64 = 60.0;
/// The most entries; quick_cache evicts the least used ones.
const MAX_ENTRIES: usize = 20_000;

/// The SHA-256 of a whole token, or of a whole key set.
pub(super) type Fingerprint = [u8; 32];

pub(super) fn fingerprint(bytes: &[u8]) -> Fingerprint {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// The keys that verified a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The broker's own, which are constant while it runs.
    Own,
    /// A configured issuer's.
    Issuer {
        /// Its index in the configuration.
        index: usize,
        /// The generation of the key set.
        generation: u64,
    },
}

/// A verified caller, and how long the verification is valid.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) principal: Arc<Principal>,
    /// The keys that verified the token.
    pub(super) origin: Origin,
    from_secs: f64,
    until_secs: f64,
}

/// The cache. Failures are not cached.
pub(super) struct TokenCache {
    entries: Cache<Fingerprint, Entry>,
}

impl TokenCache {
    pub(super) fn new() -> TokenCache {
        TokenCache {
            entries: Cache::new(MAX_ENTRIES),
        }
    }

    /// The entry of a token, if it is valid now.
    pub(super) fn get(&self, token: &Fingerprint, now_secs: f64) -> Option<Entry> {
        let entry = self.entries.get(token)?;
        (entry.from_secs <= now_secs && now_secs < entry.until_secs).then_some(entry)
    }

    /// Caches a token that was verified now and expires at `expires_secs`.
    pub(super) fn insert(
        &self,
        token: Fingerprint,
        principal: Arc<Principal>,
        origin: Origin,
        now_secs: f64,
        expires_secs: f64,
    ) {
        let entry = Entry {
            principal,
            origin,
            from_secs: now_secs,
            until_secs: expires_secs.min(now_secs + MAX_LIFE_SECS),
        };
        self.entries.insert(token, entry);
    }

    /// Removes the entry of a token, because its keys were replaced.
    pub(super) fn remove(&self, token: &Fingerprint) {
        self.entries.remove(token);
    }
}
