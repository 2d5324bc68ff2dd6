//! Tokens that were verified a moment ago. An ES256 check costs 65 µs, a look-up here about one.
//!
//! Only the token's SHA-256 is kept, never the token. An entry counts while the issuer's key set is the one that verified
//! it, at most 60 s, never past `exp`, and never before the moment it was made (a clock may be set back).

use std::sync::Arc;

use quick_cache::sync::Cache;
use ring::digest::{SHA256, digest};

use crate::domain::principal::Principal;

/// The longest life of an entry, in seconds.
const MAX_LIFE_SECS: f64 = 60.0;
/// The most entries; the least used ones make room.
const MAX_ENTRIES: usize = 20_000;

/// The SHA-256 of a whole token, or of a whole key set.
pub(super) type Fingerprint = [u8; 32];

pub(super) fn fingerprint(bytes: &[u8]) -> Fingerprint {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// Whose keys verified a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The broker's own, which don't change while it runs.
    Own,
    /// A configured issuer's.
    Issuer {
        /// Its place in the configuration.
        place: usize,
        /// The key set that verified the token.
        generation: u64,
    },
}

/// A verified caller, and what the verification hangs on.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) principal: Arc<Principal>,
    /// Whose keys verified the token.
    pub(super) origin: Origin,
    from_secs: f64,
    until_secs: f64,
}

/// The memory. Failures are never in it.
pub(super) struct Remembered {
    entries: Cache<Fingerprint, Entry>,
}

impl Remembered {
    pub(super) fn new() -> Remembered {
        Remembered {
            entries: Cache::new(MAX_ENTRIES),
        }
    }

    /// The entry of a token, if its time is now.
    pub(super) fn get(&self, token: &Fingerprint, now_secs: f64) -> Option<Entry> {
        let entry = self.entries.get(token)?;
        (entry.from_secs <= now_secs && now_secs < entry.until_secs).then_some(entry)
    }

    /// Remembers a token that was verified now and ends at `expires_secs`.
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

    /// Forgets one token: its entry belongs to keys that are gone.
    pub(super) fn forget(&self, token: &Fingerprint) {
        self.entries.remove(token);
    }
}
