//! The calls of a server: tools, resources, prompts and completions, over any transport.
//!
//! A concurrency limit gives each caller its share. A call that has a permit finds a free
//! connection to Postgres and a free slot of the embedder.

use std::time::{Duration, Instant};

use pgrecall_config::Config;
use pgrecall_store::metrics::{metrics, observe};
use shared::engine::concurrent_calls;

use pgrecall_callers::{
    caller::{Caller, CallerId, Weights},
    fair::{FairLimiter, Lane, Permit, Policy, Refused},
};

/// Calls of one caller that may wait, counted separately for reads and writes.
const MAX_WAITING: usize = 64;
/// Time that a call may wait. Hosts give up on a call after about a minute.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// Why a call does not run. Nothing was done, and other callers are not affected.
#[derive(Debug, thiserror::Error)]
pub enum Busy {
    /// Too many calls of the caller are waiting.
    #[error(
        "{0} of your calls are waiting already, so this one was refused and nothing was done: wait for their answers, then retry"
    )]
    QueueFull(usize),
    /// The call got no permit in time.
    #[error("this call waited for {0} s and was refused, and nothing was done: retry it, with fewer calls at once")]
    WaitedTooLong(u64),
}

/// The limiter of all calls. Cheap to clone.
#[derive(Clone)]
pub struct Calls {
    limiter: FairLimiter<CallerId>,
    weights: Weights,
}

impl Calls {
    /// Creates the limiter of a server with several callers.
    pub fn shared(config: &Config) -> Self {
        Self::new(config, true)
    }

    /// Creates the limiter of a server with one caller, which need not leave room for others.
    pub fn of_one(config: &Config) -> Self {
        Self::new(config, false)
    }

    fn new(config: &Config, shared: bool) -> Self {
        let permits = concurrent_calls(config);
        let policy = Policy { permits, shared, queue: MAX_WAITING, max_wait: MAX_WAIT, load: note_load };
        Self { limiter: FairLimiter::new(policy), weights: Weights::new(&config.server.weights) }
    }

    /// Waits for the caller's turn, which lasts until the permit is dropped.
    pub(crate) async fn turn(&self, caller: &Caller, lane: Lane) -> Result<Permit<CallerId>, Busy> {
        let asked = Instant::now();
        let permit = self.limiter.permit(&caller.id(), self.weights.of(caller), lane).await;
        observe(&metrics().call_wait_seconds, asked.elapsed());
        permit.map_err(|refused| match refused {
            Refused::QueueFull(waiting) => {
                metrics().refuse("calls_waiting");
                Busy::QueueFull(waiting)
            }
            Refused::WaitedTooLong { waited, own_share } => {
                metrics().refuse(if own_share { "own_share" } else { "call_wait" });
                Busy::WaitedTooLong(waited.as_secs())
            }
        })
    }
}

fn note_load(running: usize, waiting: usize) {
    let gauge = |count| i64::try_from(count).unwrap_or(i64::MAX);
    metrics().calls_running.set(gauge(running));
    metrics().calls_waiting.set(gauge(waiting));
}
