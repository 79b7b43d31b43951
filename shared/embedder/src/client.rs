//! The asynchronous client: blocking calls run on its own threads, and no caller waits past its
//! timeout.
//!
//! A call in flight cannot be cancelled, so the client abandons it: its thread ends at the call's
//! deadline, and a late answer is dropped. Calls wait for a slot in a bounded channel. The client
//! checks every answer, whatever the provider.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot, watch};

use super::{
    BreakerPolicy, BreakerState, EmbedError, Embedder, ModelId, Purpose,
    probe::StopProbe,
    slots::{Core, InFlightCall, Job, PROBE_TEXT},
};

/// The time between two probes while a call takes long.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// After this many unanswered probes in a row, the embedder counts as hung. An embedder that serves
/// one request at a time lets a probe wait behind our own long call, so fewer prove nothing.
const MISSED_PROBES: u32 = 4;
/// After this many quick answers in a row that follow slow or missing ones, the embedder has
/// dropped our call. It may have answered a single one between two calls.
const QUICK_PROBES: u32 = 2;
/// After this many quick answers in a row, and no other, the embedder hangs on the texts of the
/// call. Halving a call that was only slow costs little, while a single text would fail.
const QUICK_PROBES_OF_A_BATCH: u32 = 3;
const QUICK_PROBES_OF_ONE_TEXT: u32 = 12;

/// The options of a client.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// The name in the names of the threads: `embed-NAME-0`.
    pub name: &'static str,
    /// The timeout of a call: queue, embedding and check together.
    pub timeout: Duration,
    /// The calls under way at once, each on its own thread.
    pub slots: usize,
    /// The calls that may wait for a slot. A further call waits to be queued, within its timeout.
    pub queue: usize,
    /// The dimension that vectors must have. `None`: that of the first answer.
    pub dimension: Option<usize>,
    /// When a failed embedder is probed.
    pub breaker: BreakerPolicy,
    /// The time after which probes check whether the embedder hangs during a call.
    ///
    /// If it hung and has recovered, the call fails with [`EmbedError::LostCall`] and its caller
    /// can retry. If it answers every probe quickly and the call not at all, the call fails with
    /// [`EmbedError::OnlyThese`]. `None`: no probes, because the call's timeout is short enough to
    /// wait for.
    pub patience: Option<Duration>,
    /// Whether a passage that is refused is cut and sent in parts. It costs more calls, which a
    /// worker has time for.
    pub cuts_passages: bool,
}

impl ClientOptions {
    /// The options for queries: people wait, so several run at once.
    pub fn query(timeout: Duration) -> Self {
        let breaker = BreakerPolicy::default();
        Self {
            name: "query",
            timeout,
            slots: 4,
            queue: 64,
            dimension: None,
            breaker,
            patience: None,
            cuts_passages: false,
        }
    }

    /// The options for the worker's batches, `slots` of them at once.
    pub fn worker(timeout: Duration, slots: usize) -> Self {
        let (breaker, patience) = (BreakerPolicy::steady(), Some(Duration::from_secs(30)));
        Self { name: "worker", timeout, slots, queue: slots, dimension: None, breaker, patience, cuts_passages: true }
    }
}

/// An embedder with a timeout, checked answers and a circuit breaker. Clones share all of them.
#[derive(Debug, Clone)]
pub struct EmbedClient {
    jobs: mpsc::Sender<Job>,
    core: Arc<Core>,
    /// Ends the probes' thread when the last clone is dropped.
    _stop_probe: Arc<StopProbe>,
}

impl EmbedClient {
    /// Starts the threads of the slots.
    ///
    /// A thread ends when the last clone is gone and its call, if any, is over; nothing waits for
    /// it.
    ///
    /// # Panics
    /// If the system gives the process no thread.
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

    /// Embeds `texts`: returns their vectors in the same order, scaled to length 1.
    ///
    /// # Errors
    /// Any [`EmbedError`], within the configured timeout.
    pub async fn embed(&self, purpose: Purpose, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.call(purpose, texts, false).await
    }

    /// Embeds one word, even while the breaker is open, and returns the dimension of its vector.
    ///
    /// # Errors
    /// Any [`EmbedError`] except `BreakerOpen`.
    pub async fn probe(&self) -> Result<usize, EmbedError> {
        let vectors = self.call(Purpose::Query, vec![PROBE_TEXT.to_owned()], true).await?;
        Ok(vectors[0].len())
    }

    /// Returns the dimension of the vectors, once an answer has arrived or if the options set it.
    pub fn dimension(&self) -> Option<usize> {
        self.core.dimension.get().copied()
    }

    /// Returns the state of the breaker.
    pub fn breaker(&self) -> BreakerState {
        self.core.health.state()
    }

    /// Waits until calls pass. A worker claims no jobs before that.
    pub async fn available(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self.passing().wait_for(|&passing| passing).await;
    }

    /// Returns a watch of whether calls pass.
    pub fn passing(&self) -> watch::Receiver<bool> {
        self.core.health.closed()
    }

    /// Returns how many passages were cut because the embedder refused them as they were.
    pub fn cut_passages(&self) -> usize {
        self.core.lengths.learned()
    }

    /// Returns the embedder behind this client.
    pub fn embedder(&self) -> &Arc<dyn Embedder> {
        &self.core.embedder
    }

    /// Returns the model behind this client.
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
        let flight = Arc::new(InFlightCall::default());
        let (reply, answer) = oneshot::channel();
        let count = texts.len();
        let job = Job { purpose, texts, deadline, probe, flight: flight.clone(), reply };
        let answered = async {
            self.jobs.send(job).await.map_err(|_| EmbedError::Stopped)?;
            answer.await.map_err(|_| EmbedError::Stopped)?
        };
        let embedder = || self.model().to_string();
        let answered = tokio::select! {
            answered = tokio::time::timeout_at(deadline.into(), answered) => answered,
            error = self.passed_over(&flight, count) => {
                self.core.give_up(&flight);
                return Err(error);
            }
        };
        if let Ok(result) = answered {
            return result;
        }
        if flight.started.get().is_none() {
            // The embedder was busy with other texts of this client, which is no sign that it is
            // down.
            return Err(EmbedError::QueueFull { embedder: embedder(), waited });
        }
        let error = EmbedError::Timeout { embedder: embedder(), waited };
        self.core.failed(&error);
        Err(error)
    }

    /// Watches a call that takes long. Returns an error if the answer is lost: the embedder hung
    /// and has recovered, so that it answers new calls only, or it hangs on these texts alone.
    async fn passed_over(&self, flight: &InFlightCall, texts: usize) -> EmbedError {
        let Some(patience) = self.core.options.patience else { return std::future::pending().await };
        let lost = |started: Instant| {
            let (embedder, waited) = (self.model().to_string(), started.elapsed());
            EmbedError::LostCall { embedder, waited }
        };
        let mut recovered = self.core.health.recovered();
        let mut looks = ProbeHistory::default();
        let mut look = tokio::time::interval(PROBE_INTERVAL.min(patience));
        // After a slow probe, missed ticks are not made up: two quick probes back to back prove no
        // more than one.
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
            // If the embedder recovered when the call had only just begun, the answer may still
            // come.
            if recovered.borrow().is_some_and(|recovered| recovered >= started + patience) {
                return lost(started);
            }
            // While the breaker is open, its own probes ask the embedder.
            if self.breaker().is_closed()
                && let Some(answer) = self.core.look(patience).await
            {
                match looks.saw(answer, patience / 6, texts) {
                    Seen::Nothing => {}
                    Seen::IsAway(error) => self.core.failed(&error),
                    Seen::IsWellAgain => return lost(started),
                    Seen::HangsOnTheTexts => {
                        let (embedder, fault) = (self.model().to_string(), Box::new(lost(started)));
                        return EmbedError::OnlyThese { embedder, texts, fault };
                    }
                }
            }
        }
    }
}

/// The results of the probes that are sent while a call takes long.
#[derive(Debug, Default)]
struct ProbeHistory {
    /// Whether a probe was slow or got no answer.
    waited: bool,
    missed: u32,
    quick: u32,
}

enum Seen {
    Nothing,
    IsAway(EmbedError),
    IsWellAgain,
    HangsOnTheTexts,
}

impl ProbeHistory {
    /// Records the result of a probe during a call of `texts` texts: the time that its answer took,
    /// which is quick up to `quick`, or the error.
    fn saw(&mut self, answer: Result<Duration, EmbedError>, quick: Duration, texts: usize) -> Seen {
        let of_a_hang = if texts == 1 { QUICK_PROBES_OF_ONE_TEXT } else { QUICK_PROBES_OF_A_BATCH };
        match answer {
            Ok(took) if took <= quick => {
                self.missed = 0;
                self.quick += 1;
                if self.waited && self.quick >= QUICK_PROBES {
                    return Seen::IsWellAgain;
                }
                if !self.waited && self.quick >= of_a_hang {
                    return Seen::HangsOnTheTexts;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_during_a_call_tell_a_hang_over_its_texts_from_a_slow_or_absent_embedder() {
        let (fast, slow) = (Duration::from_millis(10), Duration::from_secs(9));
        let quick = Duration::from_secs(5);
        let missed = || Err(EmbedError::Timeout { embedder: "test".into(), waited: slow });
        let refused = || Err(EmbedError::Disabled);
        // The texts of the call, the answers to the probes, and what the last one shows.
        for (texts, answers, expected) in [
            (32, vec![Ok(fast); 2], "nothing"),
            (32, vec![Ok(fast); 3], "texts"),
            (1, vec![Ok(fast); 11], "nothing"),
            (1, vec![Ok(fast); 12], "texts"),
            (32, vec![Ok(slow), Ok(fast)], "nothing"),
            (32, vec![Ok(slow), Ok(fast), Ok(fast)], "well"),
            (1, vec![Ok(fast), Ok(slow), Ok(fast), Ok(fast)], "well"),
            (32, vec![Ok(slow); 9], "nothing"),
            (32, vec![Err(false); 3], "nothing"),
            (32, vec![Err(false); 4], "away"),
            (32, vec![Ok(fast), Err(true)], "away"),
        ] {
            let mut history = ProbeHistory::default();
            let mut seen = Seen::Nothing;
            for answer in &answers {
                let answer = answer.or_else(|is_refused| if is_refused { refused() } else { missed() });
                seen = history.saw(answer, quick, texts);
            }
            let got = match seen {
                Seen::Nothing => "nothing",
                Seen::IsAway(_) => "away",
                Seen::IsWellAgain => "well",
                Seen::HangsOnTheTexts => "texts",
            };
            assert_eq!(got, expected, "{texts} texts: {answers:?}");
        }
    }
}
