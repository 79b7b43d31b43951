//! The environment of a subcommand: the configuration, the signals, and an engine that is always
//! closed.

use std::{sync::Arc, time::Duration};

use pgrecall_config::{Config, LogFormat};
use pgrecall_postgres::db::Scope;
use pgrecall_process::tasks::Tasks;
use serde::Serialize;
use shared::{
    engine::{Engine, WaitEnd, Waited},
    telemetry::{self, Telemetry},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{failure::Failure, noting::Noting, output, program::named, progress::Spinner};

/// Time in which a command's worker must give its claims back.
const WORKER_STOP: Duration = Duration::from_secs(5);

/// Whether a command runs a worker next to its engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worker {
    /// No worker runs.
    None,
    /// A worker runs if the database is private, where possibly no other process embeds the new
    /// records.
    Inside,
    /// A worker runs in any case.
    Always,
}

/// The environment of a subcommand.
pub(super) struct Context {
    pub(super) config: Arc<Config>,
    pub(super) json: bool,
    /// Cancelled by SIGINT or SIGTERM.
    pub(super) shutdown: CancellationToken,
    tasks: Tasks,
    noting: Option<Noting>,
}

impl Context {
    /// Creates a context, which listens for signals from now on.
    ///
    /// A command that has a name in the audit log gets an entry there.
    pub(super) fn new(config: Config, json: bool, command: Option<String>) -> Self {
        let shutdown = CancellationToken::new();
        let tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("signals", pgrecall_process::tasks::cancel_on_signal(shutdown.clone()));
        let noting = command.filter(|_| config.server.audit_days > 0).map(|command| Noting::new(&config, command));
        Self { config: Arc::new(config), json, shutdown, tasks, noting }
    }

    /// Returns the command's audit entry, to which details can be added.
    pub(super) fn noting(&self) -> Option<&Noting> {
        self.noting.as_ref()
    }

    /// Opens the engine, runs `body` with it, and closes the engine whatever the result.
    pub(super) async fn with_engine<T>(
        &self,
        worker: Worker,
        body: impl AsyncFnOnce(&Engine, &Scope) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let begun = self.noting.as_ref().map(Noting::begin).transpose()?;
        // The future is boxed because it is large and every subcommand contains it; together they
        // would overflow the stack.
        let open = async |say: &dyn Fn(&str)| Ok(Box::pin(Engine::open(&self.config, say)).await?);
        let engine = self.with_steps(open).await?;
        let tasks = Tasks::new(self.shutdown.child_token());
        match worker {
            Worker::None => {}
            Worker::Inside => embed_worker::spawn_if_private(&tasks, &engine),
            Worker::Always => embed_worker::spawn(&tasks, &engine),
        }
        let scope = engine.scope();
        let result = self.until_stopped(body(&engine, &scope)).await;
        let alive = tasks.stop(WORKER_STOP).await;
        // A person who pressed Ctrl-C knows that something was cut off.
        if !alive.is_empty() && !self.shutdown.is_cancelled() {
            warn!(tasks = ?alive, "some tasks did not end in time; what they hold is released automatically");
        }
        if let Some((noting, begun)) = self.noting.as_ref().zip(begun) {
            noting.note(&engine, &scope, begun, result.as_ref().err()).await;
        }
        engine.close().await;
        result
    }

    /// Prints a result: as JSON with `--json`, otherwise as text.
    pub(super) fn print(&self, json: &impl Serialize, text: &str) -> Result<(), Failure> {
        if self.json { output::json(json) } else { output::line(&named(text)) }
    }

    /// Runs a future until it ends or a signal comes.
    pub(super) async fn until_stopped<T>(&self, body: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        self.shutdown.run_until_cancelled(body).await.unwrap_or(Err(Failure::Stopped))
    }

    /// Runs `work` until it ends or a signal comes, and shows the steps that it reports.
    pub(super) async fn with_steps<T>(
        &self,
        work: impl AsyncFnOnce(&dyn Fn(&str)) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let spinner = Spinner::new();
        let say = |step: &str| spinner.say(step);
        self.until_stopped(spinner.over(work(&say))).await
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

/// Reports on stderr why something is not embedded yet. Returns true if everything is.
pub(super) fn explain_wait(waited: &Waited) -> bool {
    let (pending, failed) = (waited.pending, waited.failed);
    let reason = waited.reason.as_deref().unwrap_or("the worker gives no reason");
    let why = match waited.ended {
        Some(WaitEnd::Done) | None if pending == 0 => None,
        Some(WaitEnd::EmbedderDown) => {
            Some(format!("{reason}; when that is fixed, a running `mcp-server` or `embed-worker` embeds them"))
        }
        Some(WaitEnd::NoWorker) => Some(reason.to_owned()),
        Some(WaitEnd::Disabled) => Some("the provider is noop, so nothing is embedded".to_owned()),
        _ => Some("embedding continues in the background where a worker runs".to_owned()),
    };
    if let Some(why) = &why {
        eprintln!("{pending} still pending: {}. Keyword search finds it already.", named(&output::shown(why)));
    }
    if failed > 0 {
        eprintln!("{}", named(&format!("{failed} could not be embedded; `mcp-server failures` says why.")));
    }
    why.is_none() && failed == 0
}

/// Starts the log on stderr, and the traces of a server.
///
/// Unless the user chose a filter, a server logs its own events without those of the protocol, and
/// any other command logs only warnings and errors, and in the same form as its other messages.
pub(super) fn start_telemetry(config: &Config, serving: bool) -> Telemetry {
    let mut log = config.log.clone();
    if log.filter == "info" {
        log.filter = if serving { "info,rmcp=warn" } else { "warn" }.to_owned();
    }
    if log.format == LogFormat::Auto && !serving {
        log.format = LogFormat::Text;
    }
    let traces = config.traces.as_ref().filter(|_| serving);
    telemetry::init(&log, traces, "mcp-server").unwrap_or_else(|error| {
        eprintln!("there is no log: {error}");
        Telemetry::default()
    })
}
