//! The rate limit of each caller.

use std::num::NonZeroU32;

use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};

use super::{Reason, Refused};
use crate::caller::{Caller, CallerId};

/// The most callers that are remembered before those without recent requests are removed.
const MAX_CALLERS: usize = 10_000;

/// The rate limits of all callers.
pub(super) struct Rates {
    limiter: DefaultKeyedRateLimiter<CallerId>,
    clock: DefaultClock,
}

impl Rates {
    /// Allows `per_minute` requests per minute, a tenth of them at once.
    pub(super) fn new(per_minute: NonZeroU32) -> Self {
        let burst = NonZeroU32::new(per_minute.get() / 10).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(per_minute).allow_burst(burst);
        Self { limiter: RateLimiter::keyed(quota), clock: DefaultClock::default() }
    }

    /// Counts a request, and refuses it if the caller is over its limit.
    pub(super) fn check(&self, caller: &Caller) -> Result<(), Refused> {
        if self.limiter.len() > MAX_CALLERS {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&caller.id()).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            Refused::new(Reason::TooMany(wait), "too many requests: wait for as long as Retry-After says")
        })
    }
}
