//! Background tasks that have a name, are waited for at shutdown, and never die unnoticed.
//!
//! A program has one [`Tasks`]. The function that spawns a task decides what a panic does: the
//! panic is only logged ([`Tasks::spawn`]), the program shuts down in order
//! ([`Tasks::spawn_required`]), or the task is restarted ([`Tasks::spawn_restarting`]). A shutdown
//! that times out reports the names of the tasks that are still running. `clippy.toml` bans a bare
//! `tokio::spawn`.

use std::{any::Any, collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::signal::unix::{SignalKind, signal};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

/// The name of the span that each task runs in.
pub const SPAN: &str = "task";
/// The delay before a task is restarted after a panic. It doubles with each panic, up to
/// [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Maximum delay before a restart: long enough that a task which always panics does not flood the
/// log, and short enough that nobody waits for long. A task that ran for longer than this restarts
/// with the first delay.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The tasks of one program. Clones share them.
#[derive(Debug, Clone)]
pub struct Tasks {
    token: CancellationToken,
    tracker: TaskTracker,
    alive: Arc<Mutex<Alive>>,
    first_pause: Duration,
}

/// The names of the running tasks. A task that starts later has a higher number.
type Alive = BTreeMap<u64, &'static str>;

impl Tasks {
    /// Creates an empty set of tasks. Canceling `token` asks all tasks to end; a required task that
    /// fails cancels it.
    pub fn new(token: CancellationToken) -> Self {
        Self { token, tracker: TaskTracker::new(), alive: Arc::default(), first_pause: FIRST_PAUSE }
    }

    /// Returns the token that asks every task to end. A task selects on it in each of its waits.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Runs a task that the program can do without. A panic in it is logged.
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

    /// Runs a task that the program cannot do without. If it panics, or returns before the token is
    /// canceled, it cancels the token.
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

    /// Runs a task that is restarted after each panic, with a growing delay, until the token is
    /// canceled. The task ends when it returns.
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
                // `begin` is called inside the future, so that its own panic is caught as well.
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

    /// Returns the names of the running tasks, oldest first.
    pub fn alive(&self) -> Vec<&'static str> {
        self.alive.lock().values().copied().collect()
    }

    /// Asks every task to end and waits for at most `timeout`. Returns the names of the tasks that
    /// are still running, for the caller to log; they end with the runtime.
    pub async fn stop(&self, timeout: Duration) -> Vec<&'static str> {
        self.token.cancel();
        self.tracker.close();
        match tokio::time::timeout(timeout, self.tracker.wait()).await {
            Ok(()) => Vec::new(),
            Err(_) => self.alive(),
        }
    }

    fn run(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let here = Present::enter(&self.alive, name);
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

/// A task's entry in the list of running tasks. Dropping it removes the entry, however the task
/// ends.
struct Present {
    alive: Arc<Mutex<Alive>>,
    id: u64,
}

impl Present {
    fn enter(alive: &Arc<Mutex<Alive>>, name: &'static str) -> Self {
        let mut locked = alive.lock();
        let id = locked.last_key_value().map_or(0, |(last, _)| last + 1);
        locked.insert(id, name);
        Self { alive: Arc::clone(alive), id }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.alive.lock().remove(&self.id);
    }
}

/// Returns the message of a panic.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Runs a future that the shutdown does not wait for, because it ends with the object that it
/// serves. A panic in it is logged.
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

/// Cancels `token` on the first SIGINT or SIGTERM. The second one exits the process immediately.
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

/// Drives a database connection until its client is dropped or the connection breaks, and logs a
/// break. Dropping the returned handle does not stop it.
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

    /// Longer than any of these tests needs, even on a busy machine.
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
