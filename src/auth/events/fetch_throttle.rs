//! Limits the fetches of certificates by their senders' addresses: a forged message can name any certificate, but can't choose the
//! address that it comes from.
//!
//! Each sender has one fetch of its own at a time. If it fails, the sender has none for [`FORGIVEN`]. Meanwhile it and all such senders share
//! one fetch per [`BETWEEN_SHARED`], so that a genuine message from an attacker's address (behind a proxy that is not trusted) can
//! still be verified.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// How long after a failed fetch a sender has no fetch of its own.
const FORGIVEN: Duration = Duration::from_secs(30);
/// How long after a failed fetch the same certificate is not fetched again.
const NOT_THERE: Duration = Duration::from_secs(30);
/// The least time from one shared fetch to the next.
const BETWEEN_SHARED: Duration = Duration::from_secs(1);
/// The most own fetches per second of all senders together.
const OWN_A_SECOND: u32 = 10;
/// Fetches that may run at the same time.
const MAX_RUNNING: usize = 16;
/// The most senders and the most names that are kept; the oldest are evicted.
const MAX_KEPT: usize = 1_024;

/// The sender of a message: a number for its address or network.
pub type Sender = u64;

/// The recent fetches and their results.
#[derive(Default)]
pub(super) struct FetchThrottle {
    /// Senders whose own fetch is running or failed, and since when.
    spent: HashMap<Sender, Instant>,
    /// Certificates whose fetch failed, and when.
    absent: HashMap<String, Instant>,
    last_shared: Option<Instant>,
    /// When the current second began, and its number of own fetches.
    own: Option<(Instant, u32)>,
}

impl FetchThrottle {
    /// Whether this certificate may be fetched while `running` other fetches run; counts the fetch if so.
    pub(super) fn start(
        &mut self,
        name: &str,
        sender: Sender,
        running: usize,
        now: Instant,
    ) -> bool {
        let since = |then: &Instant| now.saturating_duration_since(*then);
        if running >= MAX_RUNNING
            || self
                .absent
                .get(name)
                .is_some_and(|it| since(it) < NOT_THERE)
        {
            return false;
        }
        let spent = self.spent.get(&sender);
        if spent.is_none_or(|it| since(it) >= FORGIVEN) && self.own_is_left(now) {
            keep(&mut self.spent, sender, now);
            return true;
        }
        let shared = self.last_shared.as_ref();
        let free = shared.is_none_or(|it| since(it) >= BETWEEN_SHARED);
        if free {
            self.last_shared = Some(now);
        }
        free
    }

    /// Records the end of a fetch.
    pub(super) fn ended(&mut self, name: &str, sender: Sender, good: bool, now: Instant) {
        if good {
            self.spent.remove(&sender);
        } else {
            keep(&mut self.spent, sender, now);
            keep(&mut self.absent, name.to_owned(), now);
        }
    }

    fn own_is_left(&mut self, now: Instant) -> bool {
        let (began, count) = match self.own {
            Some((began, count)) if now.saturating_duration_since(began).as_secs() == 0 => {
                (began, count)
            }
            _ => (now, 0),
        };
        self.own = Some((began, (count + 1).min(OWN_A_SECOND)));
        count < OWN_A_SECOND
    }
}

fn keep<K: Hash + Eq + Clone>(all: &mut HashMap<K, Instant>, key: K, now: Instant) {
    if all.len() >= MAX_KEPT && !all.contains_key(&key) {
        let oldest = all.iter().min_by_key(|(_, then)| **then);
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            all.remove(&key);
        }
    }
    all.insert(key, now);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn sender_whose_fetch_failed_shares_fetches_and_gets_its_own_back_later() {
        let (mut throttle, now) = (FetchThrottle::default(), Instant::now());
        assert!(throttle.start("a", 1, 0, now));
        throttle.ended("a", 1, false, now);
        assert!(throttle.start("b", 1, 0, now), "the shared one");
        throttle.ended("b", 1, false, now);
        assert!(!throttle.start("c", 1, 0, now));
        assert!(
            throttle.start("c", 2, 0, now),
            "the own one of another sender"
        );
        throttle.ended("c", 2, true, now);
        assert!(throttle.start("d", 2, 0, now), "it found a certificate");
        throttle.ended("d", 2, false, now);
        assert!(!throttle.start("d", 3, 0, now), "this fetch failed");
        assert!(
            throttle.start("e", 1, 0, now + SECOND),
            "the shared one again"
        );
        assert!(!throttle.start("f", 1, 0, now + SECOND));
        assert!(throttle.start("f", 1, 0, now + SECOND + FORGIVEN));
        assert!(throttle.start("d", 3, 0, now + NOT_THERE));
        assert!(!throttle.start("g", 4, MAX_RUNNING, now));
    }

    #[test]
    fn fetches_and_entries_of_many_senders_are_bounded() {
        let (mut throttle, now) = (FetchThrottle::default(), Instant::now());
        for half in [0, 1] {
            let mut made = 0;
            for sender in 0..2_000 {
                let (name, at) = (format!("{half}-{sender}"), now + half * SECOND);
                if throttle.start(&name, u64::from(half) * 10_000 + sender, 0, at) {
                    throttle.ended(&name, sender, false, at);
                    made += 1;
                }
            }
            assert_eq!(made, OWN_A_SECOND + 1, "and the shared one");
        }
        for sender in 0..10_000 {
            throttle.ended(&sender.to_string(), sender, false, now);
        }
        assert_eq!(
            (throttle.spent.len(), throttle.absent.len()),
            (MAX_KEPT, MAX_KEPT)
        );
    }
}
