//! The circuit breaker: remembers that an embedder is down, so that further calls fail at once.
//!
//! A pure state machine: its caller passes the time and the random numbers in, and runs the probes
//! that the breaker schedules. The breaker opens at the first failure that no text is to blame for,
//! because the second query must not wait another 30 s to learn the same.

use std::time::{Duration, Instant};

use super::{EmbedError, FailureClass};

/// The schedule of the probes of an open breaker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerPolicy {
    /// The time from the failure to the first probe.
    pub first_retry: Duration,
    /// The longest time between two probes; each probe doubles the wait up to this.
    pub max_retry: Duration,
    /// The longest time for which an embedder that sends `Retry-After` is left alone.
    pub max_retry_after: Duration,
}

impl BreakerPolicy {
    /// The policy of a worker, which has time: a probe about every six seconds.
    ///
    /// A backlog flows again within ten seconds of the embedder's return, and two probes are at
    /// least five seconds apart.
    pub fn steady() -> Self {
        let six_or_so = Duration::from_millis(6_300);
        Self { first_retry: six_or_so, max_retry: six_or_so, ..Self::default() }
    }
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self {
            first_retry: Duration::from_secs(1),
            max_retry: Duration::from_secs(30),
            max_retry_after: Duration::from_secs(600),
        }
    }
}

/// The state of a breaker.
#[derive(Debug, Clone, PartialEq)]
pub enum BreakerState {
    /// No failure is known: calls pass.
    Closed,
    /// The embedder failed: calls are refused at once until a probe succeeds.
    Open {
        /// When the embedder began to fail.
        since: Instant,
        /// The latest failure, as a sentence.
        reason: String,
        /// The class of the latest failure: [`FailureClass::Misconfigured`] needs a person, the
        /// others only time.
        class: FailureClass,
        /// When the next probe is due.
        retry_at: Instant,
    },
}

impl BreakerState {
    /// Whether calls pass.
    pub fn is_closed(&self) -> bool {
        matches!(self, BreakerState::Closed)
    }
}

/// The circuit breaker of one embedder.
#[derive(Debug)]
pub struct Breaker {
    policy: BreakerPolicy,
    state: BreakerState,
    probes: u32,
}

impl Breaker {
    /// Makes a closed breaker.
    pub fn new(policy: BreakerPolicy) -> Self {
        Self { policy, state: BreakerState::Closed, probes: 0 }
    }

    /// Returns the current state.
    pub fn state(&self) -> &BreakerState {
        &self.state
    }

    /// Lets a call pass, or refuses it with [`EmbedError::BreakerOpen`].
    pub fn admit(&self, now: Instant) -> Result<(), EmbedError> {
        let BreakerState::Open { since, reason, retry_at, .. } = &self.state else { return Ok(()) };
        Err(EmbedError::BreakerOpen {
            reason: reason.clone(),
            open_for: now.saturating_duration_since(*since),
            retry_in: retry_at.saturating_duration_since(now),
        })
    }

    /// Returns the time until the next probe: `None` if the breaker is closed, zero if a probe is
    /// due.
    pub fn probe_due_in(&self, now: Instant) -> Option<Duration> {
        match &self.state {
            BreakerState::Closed => None,
            BreakerState::Open { retry_at, .. } => Some(retry_at.saturating_duration_since(now)),
        }
    }

    /// Records that a probe begins, and schedules the next one, which must not wait for a probe
    /// that hangs.
    pub fn probe_begins(&mut self, now: Instant, jitter: f64) {
        self.probes = self.probes.saturating_add(1);
        let delay = self.retry_delay(jitter);
        if let BreakerState::Open { retry_at, .. } = &mut self.state {
            *retry_at = now + delay;
        }
    }

    /// Closes the breaker: the embedder embedded a text, or refused one that is itself to blame.
    pub fn succeeded(&mut self) {
        self.state = BreakerState::Closed;
        self.probes = 0;
    }

    /// Records that the embedder as a whole failed. Returns true if this opened the breaker.
    ///
    /// The caller then logs the failure and starts the probes. Calls that were under way when the
    /// breaker opened may fail later; they change nothing.
    pub fn call_failed(&mut self, error: &EmbedError, now: Instant, jitter: f64) -> bool {
        if !self.state.is_closed() {
            return false;
        }
        self.probes = 0;
        let retry_at = now + self.retry_delay(jitter).max(self.asked_for(error));
        self.state = BreakerState::Open { since: now, reason: error.to_string(), class: error.class(), retry_at };
        true
    }

    /// Records that a probe failed. If another call has closed the breaker since, nothing changes.
    pub fn probe_failed(&mut self, error: &EmbedError, now: Instant) {
        let asked_for = self.asked_for(error);
        if let BreakerState::Open { reason, class, retry_at, .. } = &mut self.state {
            (*reason, *class) = (error.to_string(), error.class());
            *retry_at = (*retry_at).max(now + asked_for);
        }
    }

    /// Returns the wait that the embedder asks for, within the policy's limit.
    fn asked_for(&self, error: &EmbedError) -> Duration {
        error.retry_after().unwrap_or_default().min(self.policy.max_retry_after)
    }

    /// Returns the wait for the next probe, which doubles each time. A jitter of a fifth up or down
    /// spreads the probes of many processes.
    fn retry_delay(&self, jitter: f64) -> Duration {
        let doubled = self.policy.first_retry.saturating_mul(1u32.checked_shl(self.probes).unwrap_or(u32::MAX));
        doubled.min(self.policy.max_retry).mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn down() -> EmbedError {
        EmbedError::Timeout { embedder: "test".into(), waited: Duration::from_secs(30) }
    }

    fn busy(seconds: u64) -> EmbedError {
        let retry_after = Some(Duration::from_secs(seconds));
        EmbedError::Busy { url: "http://test".into(), status: 429, detail: "wait".into(), retry_after }
    }

    const EVEN: f64 = 0.5;

    fn due(breaker: &Breaker, now: Instant) -> f64 {
        breaker.probe_due_in(now).expect("open").as_secs_f64()
    }

    #[test]
    fn first_failure_opens_and_success_closes() {
        let now = Instant::now();
        let mut breaker = Breaker::new(BreakerPolicy::default());
        assert!(breaker.admit(now).is_ok());
        assert!(breaker.call_failed(&down(), now, EVEN));
        assert!(matches!(breaker.admit(now), Err(EmbedError::BreakerOpen { .. })));
        breaker.succeeded();
        assert!(breaker.admit(now).is_ok());
    }

    #[test]
    fn waits_double_up_to_the_maximum_and_start_anew_after_a_recovery() {
        let now = Instant::now();
        let mut breaker = Breaker::new(BreakerPolicy::default());
        breaker.call_failed(&down(), now, EVEN);
        let mut waits = vec![due(&breaker, now)];
        for _ in 0..40 {
            breaker.probe_begins(now, EVEN);
            assert!(breaker.admit(now).is_err(), "a probe under way lets nobody else through");
            breaker.probe_failed(&down(), now);
            waits.push(due(&breaker, now));
        }
        assert_eq!(waits[..7], [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
        assert_eq!(waits.last(), Some(&30.0));
        breaker.succeeded();
        breaker.call_failed(&down(), now, EVEN);
        assert_eq!(due(&breaker, now), 1.0);
    }

    #[test]
    fn late_failures_of_other_calls_do_not_push_the_probe_away() {
        let now = Instant::now();
        let mut breaker = Breaker::new(BreakerPolicy::default());
        breaker.call_failed(&down(), now, EVEN);
        for _ in 0..10 {
            assert!(!breaker.call_failed(&down(), now + Duration::from_millis(500), EVEN));
        }
        assert_eq!(due(&breaker, now), 1.0);
    }

    #[test]
    fn probe_that_fails_after_another_call_succeeded_changes_nothing() {
        let now = Instant::now();
        let mut breaker = Breaker::new(BreakerPolicy::default());
        breaker.call_failed(&down(), now, EVEN);
        breaker.probe_begins(now, EVEN);
        breaker.succeeded();
        breaker.probe_failed(&down(), now);
        assert!(breaker.state().is_closed());
    }

    #[test]
    fn embedder_names_its_own_time_within_bounds() {
        let now = Instant::now();
        let mut breaker = Breaker::new(BreakerPolicy::default());
        breaker.call_failed(&busy(7), now, EVEN);
        assert_eq!(due(&breaker, now), 7.0);
        breaker.probe_failed(&busy(86_400), now);
        assert_eq!(due(&breaker, now), 600.0);
        breaker.probe_begins(now, EVEN);
        breaker.probe_failed(&busy(0), now);
        assert_eq!(due(&breaker, now), 2.0);
    }

    #[test]
    fn a_steady_probe_is_never_the_second_within_five_seconds_and_never_later_than_eight() {
        let now = Instant::now();
        for jitter in [0.0, 1.0] {
            let mut breaker = Breaker::new(BreakerPolicy::steady());
            breaker.call_failed(&down(), now, jitter);
            for _ in 0..40 {
                assert!((5.0..8.0).contains(&due(&breaker, now)), "{}", due(&breaker, now));
                breaker.probe_begins(now, jitter);
            }
        }
    }

    #[test]
    fn jitter_stays_within_a_fifth() {
        let now = Instant::now();
        for (jitter, expected) in [(0.0, 0.8), (1.0, 1.2)] {
            let mut breaker = Breaker::new(BreakerPolicy::default());
            breaker.call_failed(&down(), now, jitter);
            assert!((due(&breaker, now) - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn open_state_tells_since_when_and_why() {
        let start = Instant::now();
        let mut breaker = Breaker::new(BreakerPolicy::default());
        breaker.call_failed(&down(), start, EVEN);
        breaker.probe_begins(start, EVEN);
        breaker.probe_failed(&busy(1), start + Duration::from_secs(1));
        let BreakerState::Open { since, reason, class, .. } = breaker.state() else { panic!("{:?}", breaker.state()) };
        assert_eq!(*since, start);
        assert_eq!(*class, FailureClass::Transient);
        assert!(reason.contains("slow down"), "{reason}");
    }
}
