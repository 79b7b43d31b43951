//! The breaker at work: one background probe while it is open, and a signal when it closes.
//!
//! The probe has a thread of its own and not a slot: while an embedder hangs, every slot may hang with it. Its thread lives
//! only while the breaker is open.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    Breaker, BreakerPolicy, BreakerState, Change, EmbedError, FailureClass, Purpose,
    client::{Core, PLAIN_WORD},
};

/// The first probe's time; each failed one doubles it, up to the client's own timeout or a minute. Short at first, so that an
/// embedder that hangs and recovers is found soon; longer later, since one that loads its model needs it.
const FIRST_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// A breaker that many threads share.
#[derive(Debug)]
pub(super) struct Health {
    gate: Mutex<Gate>,
    changed: Condvar,
    closed: watch::Sender<bool>,
}

#[derive(Debug)]
struct Gate {
    breaker: Breaker,
    probing: bool,
    stopped: bool,
}

/// Dropped with the last client: the probe's thread ends.
#[derive(Debug)]
pub(super) struct StopProbe(pub(super) Arc<Health>);

impl Drop for StopProbe {
    fn drop(&mut self) {
        self.0.gate().stopped = true;
        self.0.changed.notify_all();
    }
}

impl Health {
    pub(super) fn new(policy: BreakerPolicy) -> Self {
        let gate = Gate { breaker: Breaker::new(policy), probing: false, stopped: false };
        Self { gate: Mutex::new(gate), changed: Condvar::new(), closed: watch::Sender::new(true) }
    }

    pub(super) fn admit(&self) -> Result<(), EmbedError> {
        self.gate().breaker.admit(Instant::now())
    }

    pub(super) fn state(&self) -> BreakerState {
        self.gate().breaker.state().clone()
    }

    pub(super) async fn closed(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self.closed.subscribe().wait_for(|&closed| closed).await;
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until a probe is due. `None` ends the probe's thread: the breaker closed, or the client is gone.
    fn next_probe(&self) -> Option<u32> {
        let mut gate = self.gate();
        loop {
            let due_in = if gate.stopped { None } else { gate.breaker.probe_due_in(Instant::now()) };
            match due_in {
                None => {
                    gate.probing = false;
                    return None;
                }
                Some(Duration::ZERO) => {
                    gate.breaker.half_open();
                    return Some(gate.breaker.failed_probes());
                }
                Some(wait) => {
                    gate = self.changed.wait_timeout(gate, wait).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }
}

impl Core {
    /// Notes that the embedder works.
    pub(super) fn succeeded(&self) {
        let mut gate = self.health.gate();
        let (&BreakerState::Open { since, .. } | &BreakerState::HalfOpen { since, .. }) = gate.breaker.state() else {
            return;
        };
        gate.breaker.succeeded();
        self.health.changed.notify_all();
        self.health.closed.send_replace(true);
        drop(gate);
        tracing::info!(embedder = %self.model(), down_seconds = since.elapsed().as_secs(), "the embedder answers again");
    }

    /// Notes an error, and opens the breaker; one that only a text is to blame for changes nothing.
    pub(super) fn failed(self: &Arc<Self>, error: &EmbedError) {
        if !opens(error) {
            return;
        }
        let mut gate = self.health.gate();
        if gate.breaker.call_failed(error, Instant::now(), random_unit()) == Change::Opened {
            if !gate.probing && !gate.stopped {
                gate.probing = self.start_probe();
            }
            if !gate.probing {
                // Open with nobody to close it would be open for ever: let the next call find out instead.
                gate.breaker.succeeded();
                return;
            }
            self.health.closed.send_replace(false);
            self.health.changed.notify_all();
            drop(gate);
            let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            tracing::warn!(embedder = %self.model(), cause, "the embedder is left alone until a probe succeeds: {error}");
        }
    }

    fn start_probe(self: &Arc<Self>) -> bool {
        let (core, health) = (Arc::downgrade(self), self.health.clone());
        let thread = thread::Builder::new().name(format!("embed-{}-p", self.name()));
        let started = thread.spawn(move || probe_until_closed(&core, &health));
        started
            .inspect_err(|error| tracing::error!(%error, "the system gives no thread for the embedder's probe"))
            .is_ok()
    }
}

/// The probe's thread. It holds the client weakly while it sleeps, so that a client can go while its embedder is down.
fn probe_until_closed(core: &Weak<Core>, health: &Health) {
    while let Some(failed_probes) = health.next_probe() {
        let Some(core) = core.upgrade() else { return };
        let doubled = FIRST_TIMEOUT.saturating_mul(1u32.checked_shl(failed_probes).unwrap_or(u32::MAX));
        let timeout = doubled.min(MAX_TIMEOUT).min(core.timeout());
        match core.embed(Purpose::Query, &[PLAIN_WORD.to_owned()], Instant::now() + timeout) {
            Err(error) if opens(&error) => {
                tracing::debug!(embedder = %core.model(), failed_probes, "the embedder is still down: {error}");
                health.gate().breaker.probe_failed(&error, Instant::now(), random_unit());
            }
            _ => core.succeeded(),
        }
    }
}

/// Whether an error is the embedder's and not a text's.
fn opens(error: &EmbedError) -> bool {
    matches!(error.class(), FailureClass::Transient | FailureClass::Misconfigured)
}

/// A random number in `0.0..=1.0`, good enough to keep probes out of step.
fn random_unit() -> f64 {
    RandomState::new().hash_one(0u8) as f64 / u64::MAX as f64
}
