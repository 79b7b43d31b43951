//! Background tasks that have a name, are waited for, and cannot die unseen.
//!
//! A program keeps one [`Tasks`]. What happens when a task panics is decided where it is spawned: it is missed and logged
//! ([`Tasks::spawn`]), the program stops in order ([`Tasks::spawn_required`]), or it begins again ([`Tasks::spawn_restarting`]).
//! A stop that runs late knows the names of those that still hold it up. Bare `tokio::spawn` is banned in `clippy.toml`.

use std::{any::Any, collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::signal::unix::{SignalKind, signal};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

/// The name of a task's span.
pub const SPAN: &str = "task";
/// The wait before a task that panicked begins again: doubled after each panic, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Long enough that a task which cannot live does not fill the log, short enough that nobody waits for it.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The tasks of one program. Clones share them.
#[derive(Debug, Clone)]
pub struct Tasks {
    token: CancellationToken,
    tracker: TaskTracker,
    state: Arc<Mutex<State>>,
    first_pause: Duration,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    alive: BTreeMap<u64, &'static str>,
}

impl Tasks {
    /// No tasks yet. All of them are asked to end when `token` is cancelled, and a required task that fails cancels it.
    pub fn new(token: CancellationToken) -> Self {
        Self { token, tracker: TaskTracker::new(), state: Arc::default(), first_pause: FIRST_PAUSE }
    }

    /// What tells every task to end. A task selects on it in each of its waits.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Runs a task that the program can live without; a panic in it is logged.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.run(name, async move {
            if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
                tracing::error!(
                    task = name,
                    panic = message(&*panic),
                    "a task ended by a panic and is missing from now on"
                );
            }
        });
    }

    /// Runs a task without which the program is no use. If it panics, or ends before it was asked to, everything is asked to end.
    pub fn spawn_required(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let token = self.token.clone();
        self.run(name, async move {
            match AssertUnwindSafe(task).catch_unwind().await {
                Ok(()) if token.is_cancelled() => return,
                Ok(()) => tracing::error!(task = name, "a task that must keep running has ended: stopping"),
                Err(panic) => {
                    tracing::error!(
                        task = name,
                        panic = message(&*panic),
                        "a task that must run ended by a panic: stopping"
                    );
                }
            }
            token.cancel();
        });
    }

    /// Runs a task that begins again after a panic, with a growing pause, until the stop. It is over when it returns.
    pub fn spawn_restarting<F, T>(&self, name: &'static str, mut begin: F)
    where
        F: FnMut() -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let (token, first_pause) = (self.token.clone(), self.first_pause);
        self.run(name, async move {
            let mut pause = first_pause;
            loop {
                let begun = Instant::now();
                // The closure is inside, so that a panic before the first await counts as one of the task.
                let Err(panic) = AssertUnwindSafe(async { begin().await }).catch_unwind().await else { return };
                if begun.elapsed() > LONGEST_PAUSE {
                    pause = first_pause;
                }
                let seconds = pause.as_secs();
                tracing::error!(
                    task = name,
                    panic = message(&*panic),
                    seconds,
                    "a task ended by a panic and begins again"
                );
                if token.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                    return;
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
    }

    /// The names of the tasks that run now, the oldest first.
    pub fn alive(&self) -> Vec<&'static str> {
        self.state.lock().alive.values().copied().collect()
    }

    /// Asks every task to end and waits, at most so long. Returns the names of those that are still alive, which the caller
    /// logs; they die with the runtime.
    pub async fn stop(&self, timeout: Duration) -> Vec<&'static str> {
        self.token.cancel();
        self.tracker.close();
        match tokio::time::timeout(timeout, self.tracker.wait()).await {
            Ok(()) => Vec::new(),
            Err(_) => self.alive(),
        }
    }

    fn run(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let here = Present::enter(&self.state, name);
        let span = tracing::info_span!(SPAN, task = name);
        self.tracker.spawn(
            async move {
                let _here = here;
                task.await;
            }
            .instrument(span),
        );
    }
}

/// A task's place in the list of the living, which it leaves however it ends.
struct Present {
    state: Arc<Mutex<State>>,
    id: u64,
}

impl Present {
    fn enter(state: &Arc<Mutex<State>>, name: &'static str) -> Self {
        let mut locked = state.lock();
        let id = locked.next;
        locked.next += 1;
        locked.alive.insert(id, name);
        Self { state: Arc::clone(state), id }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.state.lock().alive.remove(&self.id);
    }
}

/// The text that `panic!` was given.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Runs a future that the program's stop does not wait for: it ends when its owner is dropped. A panic in it is logged.
#[expect(
    clippy::disallowed_methods,
    reason = "it ends with what it serves, and whoever must wait for it has the handle"
)]
pub fn detached(name: &'static str, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
            tracing::error!(task = name, panic = message(&*panic), "a task ended by a panic");
        }
    })
}

/// Cancels a token on the first SIGINT or SIGTERM. The second ends the program at once, for a person who cannot wait.
pub async fn cancel_on_signal(token: CancellationToken) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::warn!("signals cannot be listened for: the program ends at once on Ctrl-C");
        return;
    };
    for again in [false, true] {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if again {
            leave_at_once();
        }
        token.cancel();
    }
}

#[expect(clippy::disallowed_methods, reason = "a person asked twice; the kernel and Postgres release what is held")]
fn leave_at_once() -> ! {
    std::process::exit(130)
}

/// Serves a database connection until its client is dropped or it breaks, which is logged. The handle ends with it, and
/// dropping the handle leaves it running.
pub fn connection<E: std::error::Error + Send>(
    name: &'static str,
    connection: impl Future<Output = Result<(), E>> + Send + 'static,
) -> JoinHandle<()> {
    detached(name, async move {
        if let Err(error) = connection.await {
            let cause = error.source().map(ToString::to_string);
            tracing::warn!(connection = name, %error, cause, "a database connection was lost");
        }
    })
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    /// More than any of these tests needs, on a machine however busy.
    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_stop_waits_for_every_task() {
        let tasks = Tasks::new(CancellationToken::new());
        let token = tasks.token().clone();
        tasks.spawn("polite", async move { token.cancelled().await });
        assert_eq!(tasks.alive(), ["polite"]);
        assert!(tasks.stop(SOON).await.is_empty());
        assert!(tasks.alive().is_empty());
    }

    #[tokio::test]
    async fn a_stop_that_runs_late_names_its_culprits() {
        let tasks = Tasks::new(CancellationToken::new());
        let token = tasks.token().clone();
        tasks.spawn("deaf", std::future::pending());
        tasks.spawn("polite", async move { token.cancelled().await });
        assert_eq!(tasks.stop(Duration::from_millis(50)).await, ["deaf"]);
    }

    #[tokio::test]
    async fn a_panic_ends_its_task_only() {
        let tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("clumsy", async { panic!("dropped it") });
        tasks.tracker.close();
        tokio::time::timeout(SOON, tasks.tracker.wait()).await.unwrap();
        assert!(!tasks.token().is_cancelled());
    }

    #[tokio::test]
    async fn a_required_task_that_fails_stops_the_others() {
        let tasks = Tasks::new(CancellationToken::new());
        let token = tasks.token().clone();
        tasks.spawn("other", async move { token.cancelled().await });
        tasks.spawn_required("heart", async { panic!("stopped beating") });
        tokio::time::timeout(SOON, tasks.token().cancelled()).await.unwrap();
        assert!(tasks.stop(SOON).await.is_empty());
    }

    #[tokio::test]
    async fn a_restarting_task_begins_again_after_a_panic() {
        let tasks = Tasks { first_pause: Duration::ZERO, ..Tasks::new(CancellationToken::new()) };
        let (done, finished) = oneshot::channel();
        let (mut runs, mut done) = (0, Some(done));
        tasks.spawn_restarting("stubborn", move || {
            runs += 1;
            assert!(runs > 2, "not yet");
            let done = done.take();
            async move {
                if let Some(done) = done {
                    let _ = done.send(runs);
                }
            }
        });
        assert_eq!(tokio::time::timeout(SOON, finished).await.unwrap().unwrap(), 3);
        assert!(tasks.stop(SOON).await.is_empty());
    }
}
