//! The probes of an open breaker, and the signal that it has closed.
//!
//! Probes run on their own threads and use no slot, because all slots may hang with the embedder.
//! One probe at a time is patient, since an embedder that loads its model starts over if its client
//! hangs up; quick probes run next to it and soon notice that a hung embedder has recovered. The
//! threads live only while the breaker is open.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{oneshot, watch};

use super::{
    Breaker, BreakerPolicy, BreakerState, EmbedError, Purpose,
    slots::{Core, PROBE_TEXT},
};

/// The timeout of a quick probe: less than the steady policy's time between two probes.
const QUICK_INTERVAL: Duration = Duration::from_secs(5);
/// The timeout of the patient probe, which leaves time to load a model; at most the client's own
/// timeout.
const SLOW_TIMEOUT: Duration = Duration::from_secs(120);

/// A breaker that many threads share.
#[derive(Debug)]
pub(super) struct Health {
    gate: Mutex<Gate>,
    changed: Condvar,
    closed: watch::Sender<bool>,
    /// When a probe last found that the embedder has recovered.
    recovered: watch::Sender<Option<Instant>>,
}

#[derive(Debug)]
struct Gate {
    breaker: Breaker,
    probing: bool,
    stopped: bool,
}

/// Ends the probes' thread when it is dropped with the last client.
#[derive(Debug)]
pub(super) struct StopProbe(pub(super) Arc<Health>);

impl Drop for StopProbe {
    fn drop(&mut self) {
        self.0.gate.lock().stopped = true;
        self.0.changed.notify_all();
    }
}

impl Health {
    pub(super) fn new(policy: BreakerPolicy) -> Self {
        let gate = Gate { breaker: Breaker::new(policy), probing: false, stopped: false };
        let (closed, recovered) = (watch::Sender::new(true), watch::Sender::new(None));
        Self { gate: Mutex::new(gate), changed: Condvar::new(), closed, recovered }
    }

    pub(super) fn admit(&self) -> Result<(), EmbedError> {
        self.gate.lock().breaker.admit(Instant::now())
    }

    pub(super) fn state(&self) -> BreakerState {
        self.gate.lock().breaker.state().clone()
    }

    /// Returns a watch of whether calls pass.
    pub(super) fn closed(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    /// Returns a watch of the time at which a probe last found that the embedder has recovered.
    pub(super) fn recovered(&self) -> watch::Receiver<Option<Instant>> {
        self.recovered.subscribe()
    }

    /// Sleeps until a probe is due. Returns false to end the probes: the breaker closed, or the
    /// client is gone.
    fn next_probe(&self) -> bool {
        let mut gate = self.gate.lock();
        loop {
            let due_in = if gate.stopped { None } else { gate.breaker.probe_due_in(Instant::now()) };
            match due_in {
                None => {
                    gate.probing = false;
                    return false;
                }
                Some(Duration::ZERO) => {
                    gate.breaker.probe_begins(Instant::now(), random_unit());
                    return true;
                }
                Some(wait) => {
                    self.changed.wait_for(&mut gate, wait);
                }
            }
        }
    }
}

impl Core {
    /// Records that the embedder works, and closes the breaker.
    pub(super) fn succeeded(&self) {
        let mut gate = self.health.gate.lock();
        let &BreakerState::Open { since, .. } = gate.breaker.state() else { return };
        gate.breaker.succeeded();
        self.health.changed.notify_all();
        self.health.closed.send_replace(true);
        drop(gate);
        tracing::info!(embedder = %self.model(), down_seconds = since.elapsed().as_secs(), "the embedder answers again");
    }

    /// Records an error, and opens the breaker. An error that only a text is to blame for changes
    /// nothing.
    pub(super) fn failed(self: &Arc<Self>, error: &EmbedError) {
        if !error.is_the_embedders() {
            return;
        }
        let mut gate = self.health.gate.lock();
        if gate.breaker.call_failed(error, Instant::now(), random_unit()) {
            if !gate.probing && !gate.stopped {
                gate.probing = self.start_probes();
            }
            if !gate.probing {
                // Without probes an open breaker would never close, so it stays closed and the next
                // call is the probe.
                gate.breaker.succeeded();
                return;
            }
            self.health.closed.send_replace(false);
            self.health.changed.notify_all();
            drop(gate);
            let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            tracing::warn!(embedder = %self.model(), cause, "the circuit breaker opened, and no text is sent until a probe succeeds: {error}");
        }
    }

    /// Embeds the probe word, and returns the time it took. `None`: the system gives no thread for
    /// it.
    pub(super) async fn look(self: &Arc<Self>, patience: Duration) -> Option<Result<Duration, EmbedError>> {
        let core = Arc::clone(self);
        let (reply, answer) = oneshot::channel();
        let look = move || {
            let begun = Instant::now();
            // The caller may have stopped waiting by now.
            let _ = reply.send(core.ask(patience).map(|()| begun.elapsed()));
        };
        thread::Builder::new().name(format!("embed-{}-w", self.name())).spawn(look).ok()?;
        answer.await.ok()
    }

    /// Embeds the probe word, outside the slots.
    fn ask(&self, timeout: Duration) -> Result<(), EmbedError> {
        let deadline = Instant::now() + timeout.min(self.options.timeout);
        self.embed(Purpose::Query, &[PROBE_TEXT.to_owned()], deadline).map(drop)
    }

    fn start_probes(self: &Arc<Self>) -> bool {
        let (core, health) = (Arc::downgrade(self), self.health.clone());
        let thread = thread::Builder::new().name(format!("embed-{}-p", self.name()));
        let started = thread.spawn(move || probe_until_closed(&core, &health));
        started
            .inspect_err(|error| tracing::error!(%error, "the system gives no thread for the embedder's probe"))
            .is_ok()
    }

    fn probe(self: Arc<Self>, timeout: Duration) {
        match self.ask(timeout) {
            Err(error) if error.is_the_embedders() => {
                tracing::debug!(embedder = %self.model(), "the embedder is still down: {error}");
                self.health.gate.lock().breaker.probe_failed(&error, Instant::now());
            }
            _ => {
                self.succeeded();
                self.health.recovered.send_replace(Some(Instant::now()));
            }
        }
    }
}

/// Sends the probes, on a thread of its own.
///
/// The thread holds the client weakly while it sleeps, so that the client can be dropped while its
/// embedder is down.
fn probe_until_closed(core: &Weak<Core>, health: &Health) {
    // At most one probe of each kind runs: an embedder that hangs must not collect threads.
    let kinds = [(SLOW_TIMEOUT, Arc::new(AtomicBool::new(false))), (QUICK_INTERVAL, Arc::new(AtomicBool::new(false)))];
    while health.next_probe() {
        let Some(core) = core.upgrade() else { return };
        let free = kinds.iter().find(|(_, busy)| !busy.swap(true, Ordering::AcqRel));
        let Some((timeout, busy)) = free else { continue };
        let (timeout, held) = (*timeout, Arc::clone(busy));
        let name = format!("embed-{}-p", core.name());
        let probe = move || {
            core.probe(timeout);
            held.store(false, Ordering::Release);
        };
        if thread::Builder::new().name(name).spawn(probe).is_err() {
            busy.store(false, Ordering::Release);
        }
    }
}

/// Returns a random number in `0.0..=1.0`, good enough to spread the probes of many processes.
fn random_unit() -> f64 {
    RandomState::new().hash_one(0u8) as f64 / u64::MAX as f64
}
