//! A concurrency limit with fair shares between callers: for calls of the server, for HTTP
//! requests, and for lookups of keys.
//!
//! Each caller has its own wait queue, and the next permit goes to the caller that uses the fewest.
//! Each caller holds at most its share of the permits and leaves the rest to others, so a call of
//! another caller starts immediately, however many calls the first one makes (decision 25).
//! [`state`] decides, without a clock and without tasks; this file waits.

mod state;

use std::{collections::HashMap, hash::Hash, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::oneshot, time::timeout};

use self::state::{Requested, State, Ticket};

/// The kind of work that a permit is for. Within a caller's share, writes leave room for reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The work only reads.
    Read,
    /// The work changes something.
    Write,
}

/// How permits are shared.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// The number of permits.
    pub permits: usize,
    /// Whether there are several callers, so that each leaves room for others.
    pub shared: bool,
    /// The most requests of a caller that may wait in each lane.
    pub queue: usize,
    /// How long each request may wait.
    pub max_wait: Duration,
    /// Called with the number of permits in use and the number of waiting requests, whenever one of
    /// them changes.
    pub load: fn(usize, usize),
}

/// Why a request got no permit. Other callers are not affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The caller's queue is full, with this many requests.
    QueueFull(usize),
    /// The request waited for as long as it may.
    WaitedTooLong {
        /// How long that was.
        waited: Duration,
        /// Whether the caller's own requests took its whole share.
        own_share: bool,
    },
}

/// A limiter. Clones share its state.
pub struct FairLimiter<K>(Arc<Mutex<Shared<K>>>);

struct Shared<K> {
    state: State<K>,
    waiting: HashMap<Ticket, oneshot::Sender<()>>,
}

/// A permit to run. Dropping it gives the permit back.
pub struct Permit<K: Clone + Eq + Hash> {
    of: FairLimiter<K>,
    caller: K,
    lane: Lane,
}

impl<K> Clone for FairLimiter<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Clone + Eq + Hash> FairLimiter<K> {
    /// Creates a limiter with all of its permits free.
    pub fn new(policy: Policy) -> Self {
        Self(Arc::new(Mutex::new(Shared { state: State::new(policy), waiting: HashMap::new() })))
    }

    /// Waits for a permit for a caller of this weight.
    pub async fn permit(&self, caller: &K, weight: u32, lane: Lane) -> Result<Permit<K>, Refused> {
        let (ticket, turn, max_wait) = {
            let mut shared = self.0.lock();
            let requested = shared.state.request(caller, weight, lane).map_err(Refused::QueueFull)?;
            shared.tell();
            let Requested::Waits(ticket) = requested else { return Ok(self.granted(caller, lane)) };
            let (grant, turn) = oneshot::channel();
            shared.waiting.insert(ticket, grant);
            (ticket, turn, shared.state.policy.max_wait)
        };
        let mut waits = Waits { of: self, caller, lane, ticket: Some(ticket) };
        match timeout(max_wait, turn).await {
            Ok(Ok(())) => {
                waits.ticket = None;
                Ok(self.granted(caller, lane))
            }
            _ => {
                let own_share = self.0.lock().state.has_whole_share(caller, lane);
                Err(Refused::WaitedTooLong { waited: max_wait, own_share })
            }
        }
    }

    fn granted(&self, caller: &K, lane: Lane) -> Permit<K> {
        Permit { of: self.clone(), caller: caller.clone(), lane }
    }
}

impl<K: Clone + Eq + Hash> Shared<K> {
    /// Grants the free permits to the requests whose turn it is.
    fn grant(&mut self) {
        while let Some(ticket) = self.state.next() {
            if let Some(grant) = self.waiting.remove(&ticket) {
                // A receiver that was dropped at this moment gives the permit back: see [`Waits`].
                let _ = grant.send(());
            }
        }
        self.tell();
    }

    fn tell(&self) {
        (self.state.policy.load)(self.state.running(), self.state.waiting());
    }
}

impl<K: Clone + Eq + Hash> Drop for Permit<K> {
    fn drop(&mut self) {
        let mut shared = self.of.0.lock();
        shared.state.release(&self.caller, self.lane);
        shared.grant();
    }
}

/// A waiting request. It may be dropped before it gets its permit, or at the moment that it gets
/// one.
struct Waits<'a, K: Clone + Eq + Hash> {
    of: &'a FairLimiter<K>,
    caller: &'a K,
    lane: Lane,
    /// `None` once a [`Permit`] owns the permit.
    ticket: Option<Ticket>,
}

impl<K: Clone + Eq + Hash> Drop for Waits<'_, K> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut shared = self.of.0.lock();
        if shared.waiting.remove(&ticket).is_some() {
            shared.state.cancel(self.caller, self.lane, ticket);
        } else {
            shared.state.release(self.caller, self.lane);
        }
        shared.grant();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(permits: usize) -> Policy {
        Policy { permits, shared: true, queue: 64, max_wait: Duration::from_secs(30), load: |_, _| () }
    }

    fn limiter(permits: usize) -> FairLimiter<&'static str> {
        FairLimiter::new(policy(permits))
    }

    fn load(limiter: &FairLimiter<&'static str>) -> (usize, usize) {
        let shared = limiter.0.lock();
        (shared.state.running(), shared.state.waiting())
    }

    #[tokio::test]
    async fn with_64_calls_of_one_caller_another_ones_call_starts_next() {
        let calls = limiter(1);
        let held = calls.permit(&"greedy", 1, Lane::Read).await.unwrap();
        let waiting: Vec<_> = (0..64).map(|_| calls.permit(&"greedy", 1, Lane::Read)).collect();
        let mut waiting = Box::pin(futures_util::future::join_all(waiting));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        assert_eq!(calls.permit(&"greedy", 1, Lane::Read).await.err(), Some(Refused::QueueFull(64)));
        let mut other = Box::pin(calls.permit(&"other", 1, Lane::Read));
        assert!(futures_util::poll!(other.as_mut()).is_pending());
        drop(held);
        assert!(futures_util::poll!(other.as_mut()).is_ready_and_ok());
    }

    #[tokio::test]
    async fn one_that_goes_away_gives_its_turn_on_whether_it_had_it_already_or_not() {
        let calls = limiter(1);
        let held = calls.permit(&"one", 1, Lane::Read).await.unwrap();
        let mut first = Box::pin(calls.permit(&"two", 1, Lane::Read));
        let mut second = Box::pin(calls.permit(&"three", 1, Lane::Read));
        let mut third = Box::pin(calls.permit(&"four", 1, Lane::Read));
        for waiting in [&mut first, &mut second, &mut third] {
            assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        }
        drop(second);
        assert_eq!(load(&calls), (1, 2));
        // The first one gets the permit, but is dropped without taking it.
        drop(held);
        drop(first);
        assert!(futures_util::poll!(third.as_mut()).is_ready_and_ok());
        drop(third);
        assert_eq!(load(&calls), (0, 0));
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let policy = Policy { max_wait: Duration::from_millis(20), ..policy(1) };
        let calls = FairLimiter::new(policy);
        let _held = calls.permit(&"one", 1, Lane::Read).await.unwrap();
        let refused = calls.permit(&"two", 1, Lane::Read).await.err();
        assert_eq!(refused, Some(Refused::WaitedTooLong { waited: policy.max_wait, own_share: false }));
        let refused = calls.permit(&"one", 1, Lane::Read).await.err();
        assert_eq!(refused, Some(Refused::WaitedTooLong { waited: policy.max_wait, own_share: true }));
        assert_eq!(load(&calls), (1, 0));
    }

    trait IsReady {
        fn is_ready_and_ok(&self) -> bool;
    }

    impl<T, E> IsReady for std::task::Poll<Result<T, E>> {
        fn is_ready_and_ok(&self) -> bool {
            matches!(self, std::task::Poll::Ready(Ok(_)))
        }
    }
}
