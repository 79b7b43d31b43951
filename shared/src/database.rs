//! Opens the engine in the background.
//!
//! A host expects `initialize` and `tools/list` to be answered at once, but starting Postgres takes
//! seconds. [`Database::start`] therefore returns at once, and each call that needs the engine
//! waits for it here, with a timeout. A failed start is not final: the next call tries again.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use parking_lot::Mutex;
use pgrecall_config::Config;
use pgrecall_process::tasks::Tasks;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::engine::{Engine, EngineError};

/// How long a call waits for a database that is starting. Hosts give up a call after about a
/// minute.
const OPEN_WAIT: Duration = Duration::from_secs(45);
/// How long a start that is under way, and the worker, which returns its claims, may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long closing the engine may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the engine is not available.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// The database is still starting.
    #[error("the database is still starting after {seconds} s ({step}): try again in a few seconds")]
    Starting {
        /// The seconds since the start began.
        seconds: u64,
        /// The current step of the start.
        step: String,
    },
    /// The start failed, for the reason in the sentence.
    #[error("{0}")]
    Failed(Arc<str>),
    /// This process shuts down.
    #[error("the server is shutting down")]
    Leaving,
}

/// The state of the start.
#[derive(Clone)]
enum State {
    /// No start has begun yet, or the last start failed.
    Closed(Option<Arc<str>>),
    Opening {
        since: Instant,
        step: Arc<str>,
    },
    Open(Engine),
}

/// Starts tasks that need an open engine: with a private database, the worker.
pub type OnOpen = fn(&Tasks, &Engine);

/// The engine of this process, open or not.
pub struct Database {
    config: Arc<Config>,
    on_open: OnOpen,
    state: watch::Sender<State>,
    /// Held while a start begins, so that two calls do not begin two starts.
    beginning: Mutex<()>,
    /// The start, and the worker.
    tasks: Tasks,
}

impl Database {
    /// Begins to open the engine, and returns at once.
    pub fn start(config: Arc<Config>, shutdown: CancellationToken, on_open: OnOpen) -> Arc<Self> {
        let (state, _) = watch::channel(State::Closed(None));
        let database =
            Arc::new(Self { config, on_open, state, beginning: Mutex::default(), tasks: Tasks::new(shutdown) });
        database.begin();
        database
    }

    /// Waits for the engine. `step` is called with each step of the start while the caller waits.
    pub async fn engine(self: &Arc<Self>, mut step: impl FnMut(&str)) -> Result<Engine, Unavailable> {
        if matches!(*self.state.borrow(), State::Closed(_)) {
            self.begin();
        }
        let mut state = self.state.subscribe();
        let waited = timeout(OPEN_WAIT, async {
            loop {
                match &*state.borrow_and_update() {
                    State::Open(engine) => return Ok(engine.clone()),
                    State::Closed(Some(why)) => return Err(Unavailable::Failed(why.clone())),
                    State::Closed(None) => {}
                    State::Opening { step: now, .. } => step(now),
                }
                tokio::select! {
                    changed = state.changed() => changed.map_err(|_| Unavailable::Leaving)?,
                    () = self.tasks.token().cancelled() => return Err(Unavailable::Leaving),
                }
            }
        });
        waited.await.unwrap_or_else(|_| Err(self.still_starting()))
    }

    /// Returns the engine if it is open, else the reason why it is not.
    pub fn opened(self: &Arc<Self>) -> Result<Engine, String> {
        let (why, closed) = match &*self.state.borrow() {
            State::Open(engine) => return Ok(engine.clone()),
            State::Opening { step, .. } => (step.to_string(), false),
            State::Closed(why) => (why.as_deref().unwrap_or("about to begin").to_owned(), true),
        };
        // A caller that asks for the engine needs it, so a failed start is retried.
        if closed {
            self.begin();
        }
        Err(why)
    }

    /// Stops the worker, which returns its claims, and closes the engine.
    pub async fn close(&self) {
        // Waits for a start under way as well: cut off, it would leave a Postgres that no process
        // has joined.
        let alive = self.tasks.stop(STOP_TIMEOUT).await;
        if !alive.is_empty() {
            warn!(tasks = ?alive, "some tasks did not end in time; what they hold is released automatically");
        }
        let state = self.state.send_replace(State::Closed(Some("the server is shutting down".into())));
        if let State::Open(engine) = state
            && timeout(CLOSE_TIMEOUT, engine.close()).await.is_err()
        {
            warn!("the database did not stop in time");
        }
    }

    fn still_starting(&self) -> Unavailable {
        match &*self.state.borrow() {
            State::Opening { since, step } => {
                Unavailable::Starting { seconds: since.elapsed().as_secs(), step: step.to_string() }
            }
            _ => Unavailable::Starting { seconds: OPEN_WAIT.as_secs(), step: "about to begin".to_owned() },
        }
    }

    /// Begins to open the engine, unless a start is under way or done.
    fn begin(self: &Arc<Self>) {
        let _one_at_a_time = self.beginning.lock();
        let closed = matches!(*self.state.borrow(), State::Closed(_));
        if closed && !self.tasks.token().is_cancelled() {
            self.state.send_replace(State::Opening { since: Instant::now(), step: "starting".into() });
            self.tasks.spawn("open", self.clone().open());
        }
    }

    async fn open(self: Arc<Self>) {
        let since = Instant::now();
        let progress = self.state.clone();
        let step = move |step: &str| {
            info!(step, "opening the database");
            progress.send_replace(State::Opening { since, step: step.into() });
        };
        // A panic must become an answer; otherwise the state would stay `Opening`, and no call
        // could retry.
        let why = match AssertUnwindSafe(Engine::open(&self.config, step)).catch_unwind().await {
            Ok(Ok(engine)) => {
                info!(
                    elapsed_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
                    "the database is open"
                );
                (self.on_open)(&self.tasks, &engine);
                self.state.send_replace(State::Open(engine));
                return;
            }
            Ok(Err(error)) => {
                log_failure("the database could not be opened", &error);
                error.to_string()
            }
            Err(_) => {
                error!("opening the database ended by a panic");
                "opening the database failed inside pgrecall; the log on stderr says where".to_owned()
            }
        };
        self.state.send_replace(State::Closed(Some(why.into())));
    }
}

/// Logs a failure with its causes, which the sentence for the caller omits.
pub fn log_failure(what: &str, error: &EngineError) {
    let causes: Vec<String> = std::iter::successors(std::error::Error::source(error), |cause| cause.source())
        .map(ToString::to_string)
        .collect();
    let causes = (!causes.is_empty()).then(|| causes.join(": "));
    error!(%error, causes, "{what}");
}
