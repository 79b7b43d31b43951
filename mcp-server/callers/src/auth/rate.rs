//! How often one caller may ask.

use std::num::NonZeroU32;

use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};

use super::{Caller, CallerId, Reason, Refused};

/// Callers that are kept in mind before those who have been quiet are forgotten.
const MAX_CALLERS: usize = 10_000;

/// The callers' rates.
pub(super) struct Rates {
    limiter: DefaultKeyedRateLimiter<CallerId>,
    clock: DefaultClock,
}

impl Rates {
    /// So many requests a minute; a tenth of them may come at once.
    pub(super) fn new(per_minute: NonZeroU32) -> Self {
        let burst = NonZeroU32::new(per_minute.get() / 10).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(per_minute).allow_burst(burst);
        Self { limiter: RateLimiter::keyed(quota), clock: DefaultClock::default() }
    }

    /// Counts a request.
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
