//! What every subcommand works with: the configuration, an engine that is left in order, and the signals that end it.

use std::{sync::Arc, time::Duration};

use pgrecall_config::Config;
use pgrecall_postgres::db::Scope;
use pgrecall_process::tasks::Tasks;
use serde::Serialize;
use shared::{
    engine::{Engine, WaitEnd, Waited},
    telemetry::{self, Telemetry},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{failure::Failure, noting::Noting, output, progress::Spinner};

/// How long the worker of a command may take to give its claims back.
const WORKER_STOP: Duration = Duration::from_secs(5);

/// What a command brings along for its engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worker {
    /// It only looks.
    None,
    /// It writes, and embeds what it wrote where nobody else would: in the embedded database.
    Inside,
    /// It embeds in any case.
    Always,
}

/// What every subcommand works with.
pub(super) struct Context {
    pub(super) config: Arc<Config>,
    pub(super) json: bool,
    /// Cancelled by SIGINT or SIGTERM.
    pub(super) shutdown: CancellationToken,
    tasks: Tasks,
    noting: Option<Noting>,
}

impl Context {
    /// Listens for signals from now on. A command that has a name in the audit log is noted there.
    pub(super) fn new(config: Config, json: bool, command: Option<String>) -> Self {
        let shutdown = CancellationToken::new();
        let tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("signals", pgrecall_process::tasks::cancel_on_signal(shutdown.clone()));
        let noting = command.filter(|_| config.server.audit_days > 0).map(|command| Noting::new(&config, command));
        Self { config: Arc::new(config), json, shutdown, tasks, noting }
    }

    /// What the audit log shall say of this command, beside its name.
    pub(super) fn noting(&self) -> Option<&Noting> {
        self.noting.as_ref()
    }

    /// Opens the engine, runs `body` with it, and leaves the database whatever came of it.
    pub(super) async fn with_engine<T>(
        &self,
        worker: Worker,
        body: impl AsyncFnOnce(&Engine, &Scope) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let begun = self.noting.as_ref().map(Noting::begin).transpose()?;
        let engine = self.open().await?;
        let tasks = Tasks::new(self.shutdown.child_token());
        match worker {
            Worker::None => {}
            Worker::Inside => embed_worker::spawn_if_private(&tasks, &engine),
            Worker::Always => embed_worker::spawn(&tasks, &engine),
        }
        let scope = engine.scope();
        let result = self.until_stopped(body(&engine, &scope)).await;
        let alive = tasks.stop(WORKER_STOP).await;
        if !alive.is_empty() {
            warn!(tasks = ?alive, "some tasks did not end in time; what they hold is released automatically");
        }
        if let Some((noting, begun)) = self.noting.as_ref().zip(begun) {
            noting.note(&engine, &scope, begun, result.as_ref().err()).await;
        }
        engine.close().await;
        result
    }

    /// Prints a result: as JSON if that was asked for, else the text.
    pub(super) fn print(&self, json: &impl Serialize, text: &str) -> Result<(), Failure> {
        if self.json { output::json(json) } else { output::line(text) }
    }

    /// Runs a future, unless a signal comes first.
    pub(super) async fn until_stopped<T>(&self, body: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        self.shutdown.run_until_cancelled(body).await.unwrap_or(Err(Failure::Stopped))
    }

    async fn open(&self) -> Result<Engine, Failure> {
        let spinner = Spinner::new();
        let told = spinner.clone();
        // On the heap: it is large, every subcommand has it inside, and together they would not fit on the stack.
        let opening = Box::pin(Engine::open(&self.config, move |step: &str| told.say(step)));
        self.until_stopped(spinner.over(async { Ok(opening.await?) })).await
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

/// Says on stderr why something is not embedded yet, if it is not. True when all is.
pub(super) fn explain_wait(waited: &Waited) -> bool {
    let (pending, failed) = (waited.pending, waited.failed);
    let why = match waited.ended {
        Some(WaitEnd::Done) | None if pending == 0 => None,
        Some(WaitEnd::EmbedderDown) => Some("the embedder is away; embedding continues automatically when it is back"),
        Some(WaitEnd::NoWorker) => Some("no worker is alive; start `mcp-server` or `embed-worker`"),
        Some(WaitEnd::Disabled) => Some("the provider is noop, so nothing is embedded"),
        _ => Some("it goes on in the background where a worker runs"),
    };
    if let Some(why) = why {
        eprintln!("{pending} still pending: {why}. Words find it already.");
    }
    if failed > 0 {
        eprintln!("{failed} could not be embedded; `mcp-server failures` says why.");
    }
    why.is_none() && failed == 0
}

/// Starts the log on stderr. Unless its filter was chosen, a host gets the news of the server without the protocol's, and a person at a
/// command only what is wrong. Only what is served is traced.
pub(super) fn start_telemetry(config: &Config, serving: bool) -> Telemetry {
    let mut log = config.log.clone();
    if log.filter == "info" {
        log.filter = if serving { "info,rmcp=warn" } else { "warn" }.to_owned();
    }
    let traces = config.traces.as_ref().filter(|_| serving);
    telemetry::init(&log, traces, "mcp-server").unwrap_or_else(|error| {
        eprintln!("there is no log: {error}");
        Telemetry::default()
    })
}
