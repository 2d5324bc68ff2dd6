//! How often somebody may ask: so many requests at once, and so many a second for ever.
//!
//! Kept in memory, so each broker counts for itself; the memory is bounded, because whoever has not asked for longest is forgotten,
//! which gives nobody more than it would have had at the beginning.

use std::convert::Infallible;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderValue;
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use quick_cache::sync::Cache;

/// Of how many the last requests are remembered.
const MOST_KEYS: usize = 65_536;

/// How often somebody may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So many requests a second for ever; 0: any number.
    pub per_sec: u32,
    /// So many at once.
    pub burst: u32,
}

impl Rate {
    /// No limit.
    pub const ANY: Rate = Rate {
        per_sec: 0,
        burst: 0,
    };
}

/// What is told of a limit with an answer, in the words of draft-ietf-httpapi-ratelimit-headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// `RateLimit-Policy`.
    pub policy: HeaderValue,
    /// `RateLimit`.
    pub limit: HeaderValue,
    /// After how many seconds the next request is allowed; `None`: this one is.
    pub retry_after_secs: Option<u32>,
}

/// A limit for everybody of a kind.
pub struct Limiter {
    name: &'static str,
    rate: Rate,
    policy: HeaderValue,
    hasher: RandomState,
    states: RateLimiter<u64, States, DefaultClock, StateInformationMiddleware>,
}

impl Limiter {
    /// The limit with this name in its headers; `None` where there is none.
    pub fn new(name: &'static str, rate: Rate) -> Option<Limiter> {
        let per_sec = NonZeroU32::new(rate.per_sec)?;
        let burst = NonZeroU32::new(rate.burst).unwrap_or(per_sec);
        let rate = Rate {
            burst: burst.get(),
            ..rate
        };
        let window_secs = rate.burst.div_ceil(rate.per_sec);
        let policy = format!("\"{name}\";q={burst};w={window_secs}");
        let quota = Quota::per_second(per_sec).allow_burst(burst);
        let states = RateLimiter::new(quota, States::new(), DefaultClock::default());
        Some(Limiter {
            name,
            rate,
            policy: HeaderValue::from_str(&policy).ok()?,
            hasher: RandomState::new(),
            states,
        })
    }

    /// Counts one request of whoever this is.
    pub fn count(&self, who: impl Hash) -> Standing {
        // Two that share a number share a limit: with 64 bits that nobody can choose it doesn't happen.
        let key = self.hasher.hash_one(who);
        let (left, secs, retry_after_secs) = match self.states.check_key(&key) {
            Ok(state) => {
                let left = state.remaining_burst_capacity();
                (
                    left,
                    (self.rate.burst - left.min(self.rate.burst)).div_ceil(self.rate.per_sec),
                    None,
                )
            }
            Err(until) => {
                let secs = whole_secs(until.wait_time_from(self.states.clock().now()));
                (0, secs, Some(secs))
            }
        };
        let limit = format!("\"{}\";r={left};t={secs}", self.name);
        Standing {
            policy: self.policy.clone(),
            limit: HeaderValue::from_str(&limit).unwrap_or_else(|_| HeaderValue::from_static("")),
            retry_after_secs,
        }
    }
}

fn whole_secs(time: Duration) -> u32 {
    let secs = time.as_millis().div_ceil(1_000).max(1);
    u32::try_from(secs).unwrap_or(u32::MAX)
}

/// The states of those who asked last.
struct States(Cache<u64, Arc<InMemoryState>>);

impl States {
    fn new() -> States {
        States(Cache::new(MOST_KEYS))
    }
}

impl StateStore for States {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let made = || Ok::<_, Infallible>(Arc::default());
        let Ok(state) = self.0.get_or_insert_with(key, made);
        state.measure_and_replace(&NotKeyed::NonKey, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(per_sec: u32, burst: u32) -> Limiter {
        Limiter::new("owner", Rate { per_sec, burst }).unwrap()
    }

    #[test]
    fn a_burst_is_allowed_then_refused_with_the_time_to_wait_and_nobody_else_is() {
        let limiter = limiter(1, 10);
        for left in (0..10).rev() {
            let standing = limiter.count("user:1");
            assert_eq!(standing.retry_after_secs, None);
            assert_eq!(standing.policy, "\"owner\";q=10;w=10");
            assert_eq!(
                standing.limit,
                format!("\"owner\";r={left};t={}", 10 - left).as_str()
            );
        }
        let refused = limiter.count("user:1");
        assert_eq!(refused.retry_after_secs, Some(1));
        assert_eq!(refused.limit, "\"owner\";r=0;t=1");
        assert_eq!(limiter.count("user:2").retry_after_secs, None);
        assert!(Limiter::new("owner", Rate::ANY).is_none());
    }

    #[test]
    fn more_callers_than_it_remembers_cost_no_more_memory_and_a_busy_one_stays_limited() {
        let limiter = limiter(1, 5);
        let mut allowed = 0;
        for n in 0..4 * MOST_KEYS {
            limiter.count(n);
            if n % 64 == 0 {
                allowed += usize::from(limiter.count("busy").retry_after_secs.is_none());
            }
        }
        assert!(limiter.states.into_state_store().0.len() <= MOST_KEYS + 1_024);
        // 4,096 requests; a slow machine gives back one each second.
        assert!(allowed < 500, "{allowed}");
    }
}
