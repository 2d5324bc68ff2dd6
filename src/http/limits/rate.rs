//! Request rates by key: a burst, and a sustained number of requests a second.
//!
//! State is kept in memory, so each broker counts for itself. Memory is bounded: the least recently used keys are evicted, and an
//! evicted key starts again with a full burst.

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

/// Keys whose state is kept.
const MAX_KEYS: usize = 65_536;

/// A request rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Sustained requests a second; 0: no limit.
    pub per_sec: u32,
    /// Requests at once; 0: the same as `per_sec`.
    pub burst: u32,
}

/// The result of counting one request, with its headers of draft-ietf-httpapi-ratelimit-headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateStatus {
    /// `RateLimit-Policy`.
    pub policy: HeaderValue,
    /// `RateLimit`.
    pub limit: HeaderValue,
    /// Seconds until the next request is allowed; `None` if this one is allowed.
    pub retry_after_secs: Option<u32>,
}

/// Applies one rate to each key.
pub struct Limiter {
    name: &'static str,
    rate: Rate,
    policy: HeaderValue,
    hasher: RandomState,
    states: RateLimiter<u64, States, DefaultClock, StateInformationMiddleware>,
}

impl Limiter {
    /// `name` is the name of the limit in its headers. `None` if the rate is unlimited.
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

    /// Counts one request of this key.
    pub fn count(&self, key: impl Hash) -> RateStatus {
        // Keys that share a hash share a limit; with a random 64-bit hash this is negligible.
        let key = self.hasher.hash_one(key);
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
        RateStatus {
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

/// The state of the most recently used keys.
struct States(Cache<u64, Arc<InMemoryState>>);

impl States {
    fn new() -> States {
        States(Cache::new(MAX_KEYS))
    }
}

impl StateStore for States {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let new_state = || Ok::<_, Infallible>(Arc::default());
        let Ok(state) = self.0.get_or_insert_with(key, new_state);
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
    fn burst_is_allowed_then_rejected_with_retry_time_for_that_key_only() {
        let limiter = limiter(1, 10);
        for left in (0..10).rev() {
            let status = limiter.count("user:1");
            assert_eq!(status.retry_after_secs, None);
            assert_eq!(status.policy, "\"owner\";q=10;w=10");
            assert_eq!(
                status.limit,
                format!("\"owner\";r={left};t={}", 10 - left).as_str()
            );
        }
        let refused = limiter.count("user:1");
        assert_eq!(refused.retry_after_secs, Some(1));
        assert_eq!(refused.limit, "\"owner\";r=0;t=1");
        assert_eq!(limiter.count("user:2").retry_after_secs, None);
        let unlimited = Rate {
            per_sec: 0,
            burst: 10,
        };
        assert!(Limiter::new("owner", unlimited).is_none());
    }

    #[test]
    fn memory_is_bounded_and_busy_key_stays_limited() {
        let limiter = limiter(1, 5);
        let mut allowed = 0;
        for n in 0..4 * MAX_KEYS {
            limiter.count(n);
            if n % 64 == 0 {
                allowed += usize::from(limiter.count("busy").retry_after_secs.is_none());
            }
        }
        assert!(limiter.states.into_state_store().0.len() <= MAX_KEYS + 1_024);
        // 4,096 requests; a slow machine regains one each second.
        assert!(allowed < 500, "{allowed}");
    }
}
