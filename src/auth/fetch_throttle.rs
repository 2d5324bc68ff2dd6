//! Which certificates are asked for. Anybody may claim that a message is signed with one that nobody has seen, and chooses its name;
//! what nobody chooses is where a message comes from.
//!
//! So each sender has a fetch of its own, and has it again at once if it brought a certificate, but only after [`FORGIVEN`] if it
//! didn't. Meanwhile it shares what all such senders have together, one fetch each [`BETWEEN_SHARED`]: a genuine message that
//! comes from the address of a stranger, as behind a proxy that is not trusted, still has its chance.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// How long a sender whose fetch brought nothing has none of its own.
const FORGIVEN: Duration = Duration::from_secs(30);
/// How long a name that had no certificate is not asked for again.
const NOT_THERE: Duration = Duration::from_secs(30);
/// The least time from one shared fetch to the next.
const BETWEEN_SHARED: Duration = Duration::from_secs(1);
/// How many of their own all senders together have a second, however many they are.
const OWN_A_SECOND: u32 = 10;
/// How many fetches may be under way.
const UNDER_WAY: usize = 16;
/// How many senders and how many names are remembered; of more, the oldest are forgotten.
const REMEMBERED: usize = 1_024;

/// Whom a message comes from: a number that each address or network has for itself.
pub type Sender = u64;

/// Which fetches were made, and what they came to.
#[derive(Default)]
pub(super) struct Fetches {
    /// Senders whose own fetch is under way or brought nothing, since then.
    spent: HashMap<Sender, Instant>,
    /// Names that had no certificate then.
    absent: HashMap<String, Instant>,
    last_shared: Option<Instant>,
    /// When the current second began, and how many own fetches it has had.
    own: Option<(Instant, u32)>,
}

impl Fetches {
    /// Whether this name may be asked for, while so many others are; counts it if so.
    pub(super) fn may(
        &mut self,
        name: &str,
        sender: Sender,
        under_way: usize,
        now: Instant,
    ) -> bool {
        let since = |then: &Instant| now.saturating_duration_since(*then);
        if under_way >= UNDER_WAY
            || self
                .absent
                .get(name)
                .is_some_and(|it| since(it) < NOT_THERE)
        {
            return false;
        }
        let spent = self.spent.get(&sender);
        if spent.is_none_or(|it| since(it) >= FORGIVEN) && self.own_is_left(now) {
            remember(&mut self.spent, sender, now);
            return true;
        }
        let shared = self.last_shared.as_ref();
        let free = shared.is_none_or(|it| since(it) >= BETWEEN_SHARED);
        if free {
            self.last_shared = Some(now);
        }
        free
    }

    /// Notes the end of a fetch.
    pub(super) fn ended(&mut self, name: &str, sender: Sender, good: bool, now: Instant) {
        if good {
            self.spent.remove(&sender);
        } else {
            remember(&mut self.spent, sender, now);
            remember(&mut self.absent, name.to_owned(), now);
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

fn remember<K: Hash + Eq + Clone>(all: &mut HashMap<K, Instant>, key: K, now: Instant) {
    if all.len() >= REMEMBERED && !all.contains_key(&key) {
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
    fn a_sender_without_luck_shares_with_its_like_and_is_forgiven_later() {
        let (mut fetches, now) = (Fetches::default(), Instant::now());
        assert!(fetches.may("a", 1, 0, now));
        fetches.ended("a", 1, false, now);
        assert!(fetches.may("b", 1, 0, now), "the shared one");
        fetches.ended("b", 1, false, now);
        assert!(!fetches.may("c", 1, 0, now));
        assert!(fetches.may("c", 2, 0, now), "another's own");
        fetches.ended("c", 2, true, now);
        assert!(fetches.may("d", 2, 0, now), "it brought a certificate");
        fetches.ended("d", 2, false, now);
        assert!(!fetches.may("d", 3, 0, now), "a name that is not there");
        assert!(fetches.may("e", 1, 0, now + SECOND), "the shared one again");
        assert!(!fetches.may("f", 1, 0, now + SECOND));
        assert!(fetches.may("f", 1, 0, now + SECOND + FORGIVEN));
        assert!(fetches.may("d", 3, 0, now + NOT_THERE));
        assert!(!fetches.may("g", 4, UNDER_WAY, now));
    }

    #[test]
    fn of_senders_without_number_few_have_a_fetch_and_few_are_remembered() {
        let (mut fetches, now) = (Fetches::default(), Instant::now());
        for half in [0, 1] {
            let mut made = 0;
            for sender in 0..2_000 {
                let (name, at) = (format!("{half}-{sender}"), now + half * SECOND);
                if fetches.may(&name, u64::from(half) * 10_000 + sender, 0, at) {
                    fetches.ended(&name, sender, false, at);
                    made += 1;
                }
            }
            assert_eq!(made, OWN_A_SECOND + 1, "and the shared one");
        }
        for sender in 0..10_000 {
            fetches.ended(&sender.to_string(), sender, false, now);
        }
        assert_eq!(
            (fetches.spent.len(), fetches.absent.len()),
            (REMEMBERED, REMEMBERED)
        );
    }
}
