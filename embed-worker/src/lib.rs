//! The worker: embeds the stored texts.
//!
//! [`run`] keeps one session to Postgres, which listens for notifications and holds the locks that
//! show that the worker lives. While the session lasts, [`pipeline`] loops claim, embed and store,
//! [`health`] watches the embedder, and [`sweeps`] reap, reconcile and count. When the session
//! breaks, all of them end, their jobs return to the queue, and `run` opens another session.

pub mod batch;
mod call;
mod call_size;
mod claim_runner;
mod failure_history;
pub mod health;
pub mod listener;
pub mod observe;
pub mod pipeline;
pub mod program;
pub mod sweeps;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use anyhow::Context;
use pgrecall_embedder::{ClientOptions, EmbedClient, Embedder};
use pgrecall_process::tasks::Tasks;
use pgrecall_store::metrics::metrics;
use pgrecall_store::queue::{self, Claims, EmbedderStatus, Vacuum};
use pgrecall_store::spaces::{self, Space};
use shared::engine::{Engine, EngineError};
use tokio_util::sync::CancellationToken;

use self::call_size::CallSizes;
use self::failure_history::FailureHistory;
use self::health::Health;
use self::listener::{Session, Wake};
use self::observe::Report;

/// Delay between two attempts to open a session.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);
/// Delay before a worker that failed is restarted.
const RESTART_DELAY: Duration = Duration::from_secs(10);
/// How long a stop waits for the stores in progress. It does not wait for a call to the embedder:
/// the call's result is dropped, and its jobs are given back.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a stop may take to return the jobs to the queue.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);

/// The state that all parts of a running worker share.
#[derive(Clone)]
pub struct Worker {
    /// The database and the configuration.
    pub engine: Engine,
    /// The id of this worker's lease row.
    pub id: i64,
    /// The position up to which this worker's loops have claimed.
    pub claims: Arc<Claims>,
    /// Counts the jobs that this worker's loops end, to decide when the queue is vacuumed.
    pub vacuum: Arc<Vacuum>,
    /// The client of the embedder, which calls it on named threads behind a bounded channel.
    pub client: EmbedClient,
    /// Whether the embedder can be used, and which space it fills.
    pub health: Arc<Health>,
    /// The texts that got no answer before.
    pub(crate) history: Arc<FailureHistory>,
    /// The size of a call that the embedder takes.
    pub(crate) sizes: Arc<CallSizes>,
    /// The number of loops that wait for jobs.
    pub(crate) idle_loops: Arc<AtomicUsize>,
    /// Wakes the loops.
    pub wake: Wake,
    /// Stops this worker's loops.
    pub stop: CancellationToken,
    /// Ends the session, which returns all jobs of this worker to the queue. The same token as
    /// `stop`, except for the loops of an old model: their `stop` ends only them.
    pub session: CancellationToken,
}

/// Runs a worker until `shutdown` is canceled. With the private Postgres it first waits until its
/// process is elected as the one that embeds.
pub async fn run(engine: Engine, shutdown: CancellationToken) -> anyhow::Result<()> {
    run_observed(engine, shutdown, Report::new(None)).await
}

/// Runs a worker as [`run`] does, and publishes the embedder's status in `report` while the worker
/// has a session.
pub async fn run_observed(engine: Engine, shutdown: CancellationToken, report: Report) -> anyhow::Result<()> {
    let mut trouble = false;
    let mut held = Vec::new();
    while !shutdown.is_cancelled() {
        let served = serve(&engine, &shutdown, &report, &mut held).await;
        report.send_replace(None);
        match served {
            Ok(()) => trouble = false,
            Err(error) => {
                // Logged once per outage: a database that is away for an hour is one event, not
                // 3,600.
                if !std::mem::replace(&mut trouble, true) {
                    tracing::warn!(error = format!("{error:#}"), "the worker lost its database; reconnecting");
                }
                engine.db().reconnect().await.ok();
            }
        }
        shutdown.run_until_cancelled(tokio::time::sleep(RECONNECT_DELAY)).await;
    }
    Ok(())
}

/// Runs a worker inside this process until its tasks are stopped. A worker that fails is restarted
/// after a pause.
pub fn spawn(tasks: &Tasks, engine: &Engine) {
    let (engine, stop) = (engine.clone(), tasks.token().clone());
    tasks.spawn_restarting("worker", move || {
        let (engine, stop) = (engine.clone(), stop.clone());
        async move {
            while let Err(error) = run(engine.clone(), stop.clone()).await {
                tracing::error!(error = format!("{error:#}"), "the worker failed; restarting");
                if stop.run_until_cancelled(tokio::time::sleep(RESTART_DELAY)).await.is_none() {
                    return;
                }
            }
        }
    });
}

/// Runs a worker inside this process if the database is the private one, for which nobody starts an
/// `embed-worker`.
pub fn spawn_if_private(tasks: &Tasks, engine: &Engine) {
    if engine.is_embedded() {
        spawn(tasks, engine);
    }
}

/// Runs one session, from connecting to its end: the shutdown, a broken connection, or a lost
/// lease. `held` lists the lease rows of sessions that ended while the database was away; their
/// jobs are returned first, without waiting for their leases to expire.
async fn serve(
    engine: &Engine,
    shutdown: &CancellationToken,
    report: &Report,
    held: &mut Vec<i64>,
) -> anyhow::Result<()> {
    let jobs = &engine.config().apigateway.embed_jobs;
    let session = Session::open(engine.session_dsn()).await.context("connecting the worker's session")?;
    let session = Arc::new(session);
    if engine.is_embedded() && !session.lead(shutdown).await.context("waiting for the lock of the embedding worker")? {
        return Ok(());
    }
    let lease = jobs.lease_duration.as_secs_f64();
    let name = format!("{}-{}", hostname(), std::process::id());
    let locked = engine.is_embedded();
    while let Some(id) = held.last() {
        queue::leave(engine.db(), *id).await.context("giving the last session's jobs back")?;
        held.pop();
    }
    let id = queue::register(engine.db(), &name, lease, locked).await.context("registering the worker")?;
    held.push(id);
    if locked {
        session.connection.lock_worker(id).await.context("locking the worker's row")?;
    }
    // From here on, a poll misses no job.
    session.connection.listen().await.context("listening for jobs")?;
    let space = engine.ensure_space().await.context("finding the embedding space")?;
    tracing::info!(worker.id = id, space = space.id.0, "the worker is at work");
    let worker = Worker::new(engine, id, &space, engine.embedder(), session.wake(), shutdown.child_token());
    let answers = spaces::read_serving(engine.db()).await.context("finding the active space")?;
    let old = answers.filter(|answers| answers.active && answers.id != space.id);
    let old = old.and_then(|answers| of_the_old_model(&worker, &answers));
    let tasks = start(&worker, old.clone(), report);
    tasks.spawn("listener", listener::check_echo(worker.clone(), Arc::clone(&session)));
    if let Some(old) = old {
        maintain_old_space(old, &tasks);
    }
    tokio::select! {
        () = worker.stop.cancelled() => {}
        () = session.connection.closed() => tracing::warn!(worker.id = id, "the worker's session broke; its jobs return to the queue"),
    }
    worker.stop.cancel();
    let alive = tasks.stop(DRAIN_TIMEOUT).await;
    if !alive.is_empty() {
        tracing::warn!(tasks = ?alive, "some of the worker's tasks did not stop in time; their jobs return to the queue");
    }
    // A database that does not answer must not delay the process's exit: its jobs return when the
    // lease expires.
    tokio::time::timeout(LEAVE_TIMEOUT, queue::leave(engine.db(), id))
        .await
        .context("giving the worker's jobs back in time")?
        .context("giving the worker's jobs back")?;
    held.retain(|left| *left != id);
    Ok(())
}

impl Worker {
    /// Creates a worker that fills `space`, with an embedder client of as many slots as are
    /// configured.
    pub fn new(
        engine: &Engine,
        id: i64,
        space: &Space,
        embedder: Arc<dyn Embedder>,
        wake: Wake,
        stop: CancellationToken,
    ) -> Self {
        let jobs = &engine.config().apigateway.embed_jobs;
        // The client knows the space's dimension, so it rejects the vectors of a model with another
        // dimension.
        let dimension = space.dimension.and_then(|numbers| usize::try_from(numbers).ok());
        let provider = embedder.model().provider;
        let options = ClientOptions { dimension, ..ClientOptions::worker(jobs.embed_timeout, jobs.workers) };
        let client = EmbedClient::new(embedder, options);
        let health = Arc::new(Health::new(space.clone(), provider));
        let claims = Arc::new(Claims::new(id).of_at_most(pipeline::MAX_PASSAGES_PER_CLAIM));
        let session = stop.clone();
        let (vacuum, history, sizes, idle_loops) = (Arc::default(), Arc::default(), Arc::default(), Arc::default());
        let engine = engine.clone();
        Self { engine, id, claims, vacuum, client, health, history, sizes, idle_loops, wake, stop, session }
    }
}

fn start(worker: &Worker, old: Option<Worker>, report: &Report) -> Tasks {
    let tasks = Tasks::new(worker.stop.clone());
    let jobs = &worker.engine.config().apigateway.embed_jobs;
    tasks.spawn_required("heartbeat", heartbeat(worker.clone(), old, jobs.lease_duration, report.clone()));
    tasks.spawn_required("health", health::watch(worker.clone()));
    // Two loops per slot: one stores while the other embeds, so that the embedder does not wait for
    // Postgres.
    for _ in 0..2 * jobs.workers {
        tasks.spawn_required("pipeline", pipeline::run(worker.clone()));
    }
    tasks.spawn_required("pipeline of fresh records", pipeline::run_ahead(worker.clone()));
    tasks.spawn("reaper", sweeps::reap(worker.clone()));
    tasks.spawn("reconciler", sweeps::reconcile(worker.clone()));
    tasks.spawn("counter", sweeps::count(worker.clone()));
    tasks.spawn("retainer", sweeps::retain(worker.clone()));
    tasks.spawn("vacuum", sweeps::vacuum(worker.clone()));
    tasks
}

/// Creates the worker of the active space's model, which runs while the configured model's space is
/// filled. `None`: that model can no longer be used.
fn of_the_old_model(worker: &Worker, answers: &Space) -> Option<Worker> {
    let unusable = |error: &EngineError| {
        let error = error as &dyn Error;
        tracing::warn!(
            error,
            "the active model cannot be used; until the cutover new records are found by keywords only"
        );
    };
    let embedder = worker.engine.embedder_of(answers).inspect_err(unusable).ok()?;
    tracing::info!(
        space = answers.id.0,
        model = answers.model.model,
        "the active space is kept up to date until the cutover"
    );
    let beside =
        Worker::new(&worker.engine, worker.id, answers, embedder, worker.wake.clone(), worker.stop.child_token());
    Some(Worker { session: worker.stop.clone(), vacuum: Arc::clone(&worker.vacuum), ..beside })
}

/// Starts the loops that keep the active space up to date with new writes while the configured
/// model's space is filled. The old model may be unavailable already; then its jobs wait, and are
/// dropped with its space.
fn maintain_old_space(old: Worker, tasks: &Tasks) {
    tasks.spawn("health of the old model", health::watch(old.clone()));
    for _ in 0..2 {
        tasks.spawn("pipeline of the old model", pipeline::run(old.clone()));
    }
    tasks.spawn("pipeline of the old model's fresh records", pipeline::run_ahead(old.clone()));
    tasks.spawn("reconciler of the old model", async move {
        // The reconciler returns when the space was replaced; the other loops have nothing to do
        // then.
        sweeps::reconcile(old.clone()).await;
        old.stop.cancel();
    });
}

/// Waits until the old model's space is replaced. `health.answers` reports a cutover by this worker
/// immediately; the old space's sweep may notice it only minutes later. Without an old model, the
/// wait never ends.
async fn is_over(worker: &Worker, old: Option<&Worker>) {
    let Some(old) = old else { return std::future::pending().await };
    old.stop.run_until_cancelled(worker.health.answers()).await;
}

/// Returns the embedder's status: that of the active space's embedder, and in addition the reason
/// why the target space's embedder does not work.
fn status(worker: &Worker, old: Option<&Worker>) -> EmbedderStatus {
    let said = worker.health.status().borrow().clone();
    let Some(old) = old else { return said };
    let EmbedderStatus { embedder, reason } = old.health.status().borrow().clone();
    let next = said.reason.map(|reason| format!("{}, the next one: {reason}", worker.client.model().name()));
    EmbedderStatus { embedder, reason: reason.or(next) }
}

/// Renews the lease after each third of its duration. A lost lease ends the session, because other
/// workers hold the jobs by then.
async fn heartbeat(worker: Worker, mut old: Option<Worker>, lease: Duration, report: Report) {
    let mut news = worker.health.status();
    let mut olds = old.as_ref().unwrap_or(&worker).health.status();
    loop {
        news.mark_unchanged();
        olds.mark_unchanged();
        let said = status(&worker, old.as_ref());
        match queue::heartbeat(worker.engine.db(), worker.id, lease.as_secs_f64(), &said).await {
            Ok(true) => {
                report.send_replace(Some(said));
            }
            Ok(false) => {
                metrics().leases_lost.inc();
                tracing::warn!(worker.id, "the worker lost its lease; another worker has its jobs");
                worker.stop.cancel();
                return;
            }
            Err(error) => {
                tracing::warn!(worker.id, error = &error as &dyn Error, "a heartbeat failed");
                if !error.is_transient() {
                    worker.stop.cancel();
                    return;
                }
                worker.engine.db().reconnect().await.ok();
            }
        }
        tokio::select! {
            () = worker.stop.cancelled() => return,
            // A change is published immediately, because someone may be waiting for it.
            () = health::news(&mut news, &mut olds) => {}
            () = is_over(&worker, old.as_ref()) => {
                old = None;
                olds = worker.health.status();
            }
            () = tokio::time::sleep(lease / 3) => {}
        }
    }
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "worker".to_owned(), |name| name.trim().to_owned())
}
