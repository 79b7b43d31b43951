//! A rate limit on the wrong credentials that one address may send.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use pgrecall_process::ttl_map::TtlMap;

/// The most addresses whose failures are counted.
const MAX_ADDRESSES: usize = 10_000;

/// The failures of each address, as a token bucket: one minute's failures may come at once, and the
/// bucket refills continuously.
pub(super) struct Failures {
    per_minute: f64,
    by_address: Mutex<TtlMap<IpAddr, Count>>,
}

#[derive(Clone, Copy)]
struct Count {
    failures: f64,
    at: Instant,
}

impl Failures {
    pub(super) fn new(per_minute: NonZeroU32) -> Self {
        Self { per_minute: per_minute.get().into(), by_address: Mutex::new(TtlMap::new(MAX_ADDRESSES)) }
    }

    /// Returns how long an address must wait, if it has failed too often.
    pub(super) fn is_blocked(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let by_address = self.by_address.lock();
        let over = self.left(*by_address.get_expired(&address)?, now) + 1.0 - self.per_minute;
        (over > 0.0).then(|| Duration::from_secs_f64(over * 60.0 / self.per_minute))
    }

    /// Counts a failure.
    pub(super) fn count(&self, address: IpAddr, now: Instant) {
        let mut by_address = self.by_address.lock();
        let before = by_address.get_expired(&address).map_or(0.0, |count| self.left(*count, now));
        let failures = (before + 1.0).min(self.per_minute);
        let ttl = Duration::from_secs_f64(failures * 60.0 / self.per_minute);
        by_address.insert(address, Count { failures, at: now }, ttl);
    }

    fn left(&self, count: Count, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(count.at).as_secs_f64() / 60.0;
        (count.failures - passed * self.per_minute).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn an_address_that_fails_too_often_waits_and_the_others_do_not() {
        let failures = Failures::new(NonZeroU32::new(60).unwrap());
        let (one, other, start) = (Ipv4Addr::LOCALHOST.into(), Ipv4Addr::BROADCAST.into(), Instant::now());
        for _ in 0..60 {
            assert_eq!(failures.is_blocked(one, start), None);
            failures.count(one, start);
        }
        let wait = failures.is_blocked(one, start).expect("a minute's failures have come");
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(failures.is_blocked(other, start), None);
        assert_eq!(failures.is_blocked(one, start + wait), None);
        failures.count(one, start + wait);
        assert!(failures.is_blocked(one, start + wait).is_some());
        assert_eq!(failures.is_blocked(one, start + Duration::from_secs(90)), None);
    }
}
