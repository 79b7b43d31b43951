//! The asynchronous side: calls that block run on threads of this client, and no caller waits past its time.
//!
//! A call in flight cannot be cancelled, so it is abandoned: its thread ends with the call's own deadline, and what it still
//! brings is dropped. Calls queue for a slot behind a bounded channel. Every answer is checked here, whatever the provider.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot, watch};

use super::{
    BreakerPolicy, BreakerState, EmbedError, Embedder, ModelId, Purpose,
    probe::StopProbe,
    slots::{Core, Flight, Job, PLAIN_WORD},
};

/// The time between two probes while a call takes long.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// The embedder hangs after this many unanswered probes in a row. An embedder that serves one request at a time lets a probe wait behind our
/// own long call, so fewer say nothing.
const MISSED_PROBES: u32 = 4;
/// After this many quick answers in a row that follow missed ones, the embedder has dropped our call. One may have come between two calls.
const QUICK_PROBES: u32 = 2;

/// How a client treats its embedder.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// In the threads' names: `embed-NAME-0`.
    pub name: &'static str,
    /// A call's whole wait: queue, embedding and check.
    pub timeout: Duration,
    /// Calls under way at once, each on a thread of its own.
    pub slots: usize,
    /// Calls that may wait for a slot; a further one waits to be queued, within its time.
    pub queue: usize,
    /// The dimension that vectors must have; `None` takes that of the first answer.
    pub dimension: Option<usize>,
    /// When a failed embedder is tried again.
    pub breaker: BreakerPolicy,
    /// After this time of a call, probes find out whether the embedder hangs. If it hung and has recovered, the call is sent again.
    /// `None`: the call's timeout is short enough to wait for.
    pub patience: Option<Duration>,
}

impl ClientOptions {
    /// For queries: people wait, so a few pass at once.
    pub fn query(timeout: Duration) -> Self {
        let breaker = BreakerPolicy::default();
        Self { name: "query", timeout, slots: 4, queue: 64, dimension: None, breaker, patience: None }
    }

    /// For the worker's batches, `slots` of them at once.
    pub fn worker(timeout: Duration, slots: usize) -> Self {
        let (breaker, patience) = (BreakerPolicy::steady(), Some(Duration::from_secs(30)));
        Self { name: "worker", timeout, slots, queue: slots, dimension: None, breaker, patience }
    }
}

/// An embedder with a time limit, a check and a breaker. Clones share all of it.
#[derive(Debug, Clone)]
pub struct EmbedClient {
    jobs: mpsc::Sender<Job>,
    core: Arc<Core>,
    /// Ends the probe's thread with the last clone.
    _stop_probe: Arc<StopProbe>,
}

impl EmbedClient {
    /// Starts the slots' threads. They end when the last clone is gone and their call, if any, is over; nobody waits for them.
    ///
    /// # Panics
    /// Where the system gives the process no thread.
    pub fn new(embedder: Arc<dyn Embedder>, options: ClientOptions) -> Self {
        let (jobs, waiting) = mpsc::channel(options.queue.max(1));
        let slots = options.slots.max(1);
        let core = Core::new(embedder, options, waiting);
        for slot in 0..slots {
            core.start_slot(slot).expect("the system gives a new process its first threads");
        }
        let stop_probe = Arc::new(StopProbe(core.health.clone()));
        Self { jobs, core, _stop_probe: stop_probe }
    }

    /// The vectors of `texts`, in their order and of length 1.
    ///
    /// # Errors
    /// Any [`EmbedError`], within the configured time.
    pub async fn embed(&self, purpose: Purpose, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.call(purpose, texts, false).await
    }

    /// Asks the embedder for one word's vector, even while the breaker is open, and returns its dimension.
    ///
    /// # Errors
    /// Any [`EmbedError`] but `BreakerOpen`.
    pub async fn probe(&self) -> Result<usize, EmbedError> {
        let vectors = self.call(Purpose::Query, vec![PLAIN_WORD.to_owned()], true).await?;
        Ok(vectors[0].len())
    }

    /// The vectors' dimension, once one has come or where the options name it.
    pub fn dimension(&self) -> Option<usize> {
        self.core.dimension.get().copied()
    }

    /// What the breaker thinks of the embedder.
    pub fn breaker(&self) -> BreakerState {
        self.core.health.state()
    }

    /// Waits until calls pass. A worker claims nothing before.
    pub async fn available(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self.passing().wait_for(|&passing| passing).await;
    }

    /// Whether calls pass, and every change of that.
    pub fn passing(&self) -> watch::Receiver<bool> {
        self.core.health.closed()
    }

    /// The embedder behind this client.
    pub fn embedder(&self) -> &Arc<dyn Embedder> {
        &self.core.embedder
    }

    /// The model behind this client.
    pub fn model(&self) -> &ModelId {
        self.core.embedder.model()
    }

    async fn call(&self, purpose: Purpose, texts: Vec<String>, probe: bool) -> Result<Vec<Vec<f32>>, EmbedError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        if !probe {
            self.core.health.admit()?;
        }
        let waited = self.core.options.timeout;
        let deadline = Instant::now() + waited;
        let flight = Arc::new(Flight::default());
        let (reply, answer) = oneshot::channel();
        let job = Job { purpose, texts, deadline, probe, flight: flight.clone(), reply };
        let answered = async {
            self.jobs.send(job).await.map_err(|_| EmbedError::Stopped)?;
            answer.await.map_err(|_| EmbedError::Stopped)?
        };
        let embedder = || self.model().to_string();
        let answered = tokio::select! {
            answered = tokio::time::timeout_at(deadline.into(), answered) => answered,
            waited = self.passed_over(&flight) => {
                self.core.give_up(&flight);
                return Err(EmbedError::PassedOver { embedder: embedder(), waited });
            }
        };
        if let Ok(result) = answered {
            return result;
        }
        if flight.started.get().is_none() {
            // Its own other texts kept it busy: no sign that it is down.
            return Err(EmbedError::QueueFull { embedder: embedder(), waited });
        }
        let error = EmbedError::Timeout { embedder: embedder(), waited };
        self.core.failed(&error);
        Err(error)
    }

    /// Looks after a call that takes long. Returns when the embedder has hung and is well again: it answers others by then, and what
    /// it was asked before is lost.
    async fn passed_over(&self, flight: &Flight) -> Duration {
        let Some(patience) = self.core.options.patience else { return std::future::pending().await };
        let mut recovered = self.core.health.recovered();
        let mut looks = Looks::default();
        let mut look = tokio::time::interval(PROBE_INTERVAL.min(patience));
        // After a word that took long the next ones do not catch up: two quick ones back to back say no more than one.
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                _ = recovered.changed() => {}
            }
            let Some(&started) = flight.started.get() else { continue };
            if started.elapsed() < patience {
                continue;
            }
            // Of a call that had only just begun when the embedder recovered, the answer may well come.
            if recovered.borrow().is_some_and(|recovered| recovered >= started + patience) {
                return started.elapsed();
            }
            // While the breaker is open, its probes ask.
            if self.breaker().is_closed()
                && let Some(answer) = self.core.look(patience).await
            {
                match looks.saw(answer, patience / 6) {
                    Seen::Nothing => {}
                    Seen::IsAway(error) => self.core.failed(&error),
                    Seen::IsWellAgain => return started.elapsed(),
                }
            }
        }
    }
}

/// What the words said that were sent while a call took long.
#[derive(Debug, Default)]
struct Looks {
    /// Whether one had to wait.
    waited: bool,
    missed: u32,
    quick: u32,
}

enum Seen {
    Nothing,
    IsAway(EmbedError),
    IsWellAgain,
}

impl Looks {
    /// Takes what one look brought: how long the answer took, which is quick up to `quick`, or why there is none.
    fn saw(&mut self, answer: Result<Duration, EmbedError>, quick: Duration) -> Seen {
        match answer {
            Ok(took) if took <= quick => {
                self.missed = 0;
                self.quick += 1;
                if self.waited && self.quick >= QUICK_PROBES {
                    return Seen::IsWellAgain;
                }
            }
            Err(error) if !matches!(error, EmbedError::Timeout { .. }) => return Seen::IsAway(error),
            Ok(_) => *self = Self { waited: true, ..Self::default() },
            Err(error) => {
                *self = Self { waited: true, missed: self.missed + 1, quick: 0 };
                if self.missed >= MISSED_PROBES {
                    return Seen::IsAway(error);
                }
            }
        }
        Seen::Nothing
    }
}
