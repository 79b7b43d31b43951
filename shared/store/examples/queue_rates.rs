//! The queue behind a pipe, for `scripts/bench queue`: the library's own functions, timed.
//!
//! usage: `queue_rates HOME RUNTIME`
//!
//! Starts or joins the private Postgres of the home, and prints `{"space": 1}` once it stands. Each line of stdin is then a command,
//! answered by one line: see [`Command`]. Each job is about another source, and none of them needs to be there: a job that has nothing to
//! embed ends at once. While this runs, so does the Postgres that the other queues are measured on.
#![expect(clippy::print_stdout, reason = "stdout is the answer")]

use std::collections::HashMap;
use std::env;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use pgrecall_postgres::db::worker::Run;
use pgrecall_postgres::db::{Db, Role, Scope, Transaction, migrate};
use pgrecall_postgres::dsn::Dsn;
use pgrecall_postgres::session;
use pgrecall_record::model::{ModelId, Provider};
use pgrecall_record::source::SourceKind;
use pgrecall_runtime::Runtime;
use pgrecall_runtime::embedded::Embedded;
use pgrecall_store::queue::{self, Claim, Claims, EmbedderStatus, Flows, Next, Notifier, Vacuum};
use pgrecall_store::spaces::{self, SpaceId};
use pgrecall_store::vectors::{self, Outcome};
use serde_json::{Value, json};
use tokio::sync::{Mutex, Notify, mpsc};
use tokio::task::JoinSet;
use tokio_postgres::types::Type;
use tokio_util::sync::CancellationToken;

/// 32 producers, and a few to spare.
const CONNECTIONS: usize = 36;
const DIMENSION: usize = 384;
/// A lease that outlasts any round.
const LEASE_SECONDS: f64 = 3600.0;
/// Jobs that are waited for before the latencies count.
const WARM_UP: usize = 50;

/// One line of stdin.
#[derive(serde::Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Command {
    /// Enqueues this many jobs, so many in a statement, on a session and with nothing around them. Answers `{"seconds"}`.
    Enqueue { jobs: usize, at_once: usize },
    /// The same as a write does it: in a transaction that takes on the caller's role and scope first. Answers `{"seconds"}`.
    Write { jobs: usize, at_once: usize },
    /// Claims, and settles as done, until nothing is left. Answers `{"seconds", "done"}`.
    Drain { at_once: i64 },
    /// Enqueues and drains, again and again. Answers `{"claims", "jobs", "seconds"}`: those of the drains.
    Turn { seconds: f64, jobs: usize, at_once: i64 },
    /// One job after the other, each enqueued when the last one ran and a pause was over. Answers `{"enqueue_to_start_ms",
    /// "commit_to_start_ms"}`, a list each.
    Latency { jobs: usize, pause_ms: u64 },
    /// Enqueues one by one on many connections. Answers `{"seconds"}`.
    Produce { producers: usize, jobs: i64, wake: Wake },
    /// Claims so many jobs and beats the lease. Answers `{"held", "beats"}`; gives them back afterwards.
    Beat { held: i64, beats: usize },
}

/// When producers send a wake-up.
#[derive(Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wake {
    Never,
    /// As the engine does it.
    AfterCommit,
}

struct Rates {
    db: Db,
    scope: Scope,
    space: SpaceId,
    worker: i64,
    claims: Claims,
    /// How many were enqueued so far: the next one's source.
    enqueued: AtomicI64,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    // In a task, as in the programs: the thread that waits for the end is woken from another one at each answer.
    let mut serving = JoinSet::new();
    serving.spawn(serve());
    serving.join_next().await.context("it was just begun")??
}

async fn serve() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [home, runtime] = arguments.try_into().ok().context("HOME RUNTIME")?;
    let embedded = Embedded::join(Path::new(&home), &Runtime::at(Path::new(&runtime))).await?;
    let dsn = Dsn::parse(embedded.dsn())?;
    migrate::migrate(&dsn).await?;
    let db = Db::open(&dsn, &dsn, CONNECTIONS).await?;
    // Nothing is between us and the private Postgres.
    db.use_sessions(true);
    let model = ModelId::new(Provider::Local, None, "none");
    let space = spaces::ensure(&db, &Role::Worker, &model).await?;
    let space = spaces::learn_dimension(&db, &space, DIMENSION).await?.id;
    let worker = queue::register(&db, "bench", LEASE_SECONDS, false).await?;
    let scope = Scope { tenant: "bench".into(), owner: "bench".into(), persona: None };
    let claims = Claims::new(worker);
    let rates = Rates { db, scope, space, worker, claims, enqueued: AtomicI64::new(1) };
    answer(&json!({ "space": space.0 }))?;
    let (lines, mut waiting) = mpsc::channel(1);
    tokio::task::spawn_blocking(move || {
        for line in io::stdin().lock().lines() {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    while let Some(line) = waiting.recv().await {
        answer(&rates.run(serde_json::from_str(&line?)?).await?)?;
    }
    queue::leave(&rates.db, rates.worker).await?;
    rates.db.drop_connections();
    embedded.leave().await;
    Ok(())
}

fn answer(value: &Value) -> io::Result<()> {
    println!("{value}");
    io::stdout().flush()
}

impl Rates {
    async fn run(&self, command: Command) -> anyhow::Result<Value> {
        match command {
            Command::Enqueue { jobs, at_once } => {
                let mut session = self.db.worker().await?;
                session
                    .run("SELECT set_config('pgrecall.tenant', $1, false)", &[(&self.scope.tenant, Type::TEXT)])
                    .await?;
                let start = Instant::now();
                for first in (0..jobs).step_by(at_once) {
                    let (_, units) = self.next(at_once.min(jobs - first));
                    queue::enqueue(&mut session, self.flows(at_once), units).await?;
                }
                Ok(json!({ "seconds": start.elapsed().as_secs_f64() }))
            }
            Command::Write { jobs, at_once } => {
                let start = Instant::now();
                for first in (0..jobs).step_by(at_once) {
                    self.write(at_once.min(jobs - first)).await?;
                }
                Ok(json!({ "seconds": start.elapsed().as_secs_f64() }))
            }
            Command::Drain { at_once } => {
                let start = Instant::now();
                let (_, done) = self.drain(at_once, None).await?;
                Ok(json!({ "seconds": start.elapsed().as_secs_f64(), "done": done }))
            }
            Command::Turn { seconds, jobs, at_once } => self.turn(seconds, jobs, at_once).await,
            Command::Latency { jobs, pause_ms } => self.latency(jobs, Duration::from_millis(pause_ms)).await,
            Command::Produce { producers, jobs, wake } => self.produce(producers, jobs, wake).await,
            Command::Beat { held, beats } => self.beat(held, beats).await,
        }
    }

    /// The next sources, and the first of them.
    fn next(&self, count: usize) -> (i64, impl Iterator<Item = (i64, SourceKind, i32)>) {
        let count = count as i64;
        let first = self.enqueued.fetch_add(count, Ordering::Relaxed);
        (first, (first..first + count).map(|source| (source, SourceKind::Memory, 1)))
    }

    fn flows(&self, count: usize) -> Flows<'_> {
        Flows { scope: &self.scope, in_bulk: count > 1 }
    }

    /// Enqueues the next sources in one transaction with the caller's role and scope, as a write does after it wrote them. Returns the
    /// first of them.
    async fn write(&self, count: usize) -> anyhow::Result<i64> {
        let (first, units) = self.next(count);
        let flows = self.flows(count);
        let enqueue = async |mut transaction: Transaction| queue::enqueue(&mut transaction, flows, units).await;
        self.db.run_once(&self.scope, enqueue).await?;
        Ok(first)
    }

    async fn claim(&self, at_once: i64) -> anyhow::Result<Option<Claim>> {
        Ok(self.claims.claim(&self.db, self.space, at_once).await?)
    }

    /// A job that has nothing to do is settled by the store that its last vector would come with, which claims the next ones.
    async fn settle(&self, claim: &Claim, at_once: i64) -> anyhow::Result<Outcome> {
        let next = Next { claims: &self.claims, limit: at_once };
        Ok(vectors::store(&self.db, self.space, claim, &[], &claim.jobs, Some(next)).await?)
    }

    /// Until nothing is left, or the time is over. Returns how many claims found something, and how many jobs they ended.
    async fn drain(&self, at_once: i64, until: Option<Instant>) -> anyhow::Result<(usize, usize)> {
        let (mut claims, mut done) = (0, 0);
        let mut claimed = self.claim(at_once).await?;
        while let Some(claim) = &claimed {
            claims += 1;
            let goes_on = until.is_none_or(|until| Instant::now() < until);
            let outcome = self.settle(claim, if goes_on { at_once } else { 0 }).await?;
            done += outcome.settled;
            claimed = match outcome.next {
                None if goes_on => self.claim(at_once).await?,
                next => next,
            };
        }
        Ok((claims, done))
    }

    async fn turn(&self, seconds: f64, jobs: usize, at_once: i64) -> anyhow::Result<Value> {
        let vacuum = Vacuum::default();
        let turned = async {
            let until = Instant::now() + Duration::from_secs_f64(seconds);
            let (mut claims, mut done) = (0, 0);
            let mut draining = Duration::ZERO;
            while Instant::now() < until {
                self.write(jobs).await?;
                let start = Instant::now();
                let (found, ended) = self.drain(at_once, Some(until)).await?;
                draining += start.elapsed();
                claims += found;
                done += ended;
                vacuum.count(ended);
            }
            self.drain(1000, None).await?;
            Ok(json!({ "claims": claims, "jobs": done, "seconds": draining.as_secs_f64() }))
        };
        tokio::select! {
            turned = turned => turned,
            // As beside a worker's loops.
            () = vacuum.keep_on(self.db.dsn(), &self.db) => unreachable!("it has no end"),
        }
    }

    /// The loop of the worker's pipeline around a job that does nothing, woken by its own session.
    async fn latency(&self, jobs: usize, pause: Duration) -> anyhow::Result<Value> {
        let wake = Arc::new(Notify::new());
        let waker = Arc::clone(&wake);
        let session = session::connect(self.db.dsn(), move |_| waker.notify_one()).await?;
        session.listen().await?;
        let stop = CancellationToken::new();
        let (notifier, notifying) = Notifier::new(self.db.clone(), stop.clone());
        let started: Mutex<HashMap<i64, Instant>> = Mutex::default();
        let (ran, mut runs) = mpsc::channel(1);
        let worker = async {
            loop {
                let mut claimed = self.claim(100).await?;
                while let Some(claim) = &claimed {
                    let now = Instant::now();
                    started.lock().await.extend(claim.jobs.iter().map(|job| (job.source, now)));
                    let next = self.settle(claim, 100).await?.next;
                    ran.send(()).await?;
                    claimed = if next.is_some() { next } else { self.claim(100).await? };
                }
                queue::promote(&self.db).await?;
                tokio::time::timeout(Duration::from_secs(30), wake.notified()).await.ok();
            }
            #[expect(unreachable_code, reason = "names the type of the errors above")]
            anyhow::Ok(())
        };
        let (mut from_enqueue, mut from_commit) = (Vec::new(), Vec::new());
        let writer = async {
            for turn in 0..jobs + WARM_UP {
                tokio::time::sleep(pause).await;
                let begin = Instant::now();
                let source = self.write(1).await?;
                let committed = Instant::now();
                notifier.wake();
                runs.recv().await.context("the worker goes on")?;
                let at = started.lock().await.remove(&source).context("the job that ran is this one")?;
                if turn >= WARM_UP {
                    from_enqueue.push((at - begin).as_secs_f64() * 1e3);
                    from_commit.push(at.saturating_duration_since(committed).as_secs_f64() * 1e3);
                }
            }
            anyhow::Ok(())
        };
        tokio::select! {
            done = writer => done?,
            failed = worker => failed?,
            () = notifying => {}
        }
        stop.cancel();
        Ok(json!({ "enqueue_to_start_ms": from_enqueue, "commit_to_start_ms": from_commit }))
    }

    async fn produce(&self, producers: usize, jobs: i64, wake: Wake) -> anyhow::Result<Value> {
        let stop = CancellationToken::new();
        let (notifier, notifying) = Notifier::new(self.db.clone(), stop.clone());
        let left = AtomicI64::new(jobs);
        let producer = || async {
            while left.fetch_sub(1, Ordering::Relaxed) > 0 {
                self.write(1).await?;
                if wake == Wake::AfterCommit {
                    notifier.wake();
                }
            }
            anyhow::Ok(())
        };
        let start = Instant::now();
        let all = futures_util::future::try_join_all((0..producers).map(|_| producer()));
        tokio::select! {
            all = all => drop(all?),
            () = notifying => {}
        }
        stop.cancel();
        Ok(json!({ "seconds": start.elapsed().as_secs_f64() }))
    }

    async fn beat(&self, held: i64, beats: usize) -> anyhow::Result<Value> {
        let claim = self.claim(held).await?.context("jobs to hold were enqueued")?;
        let status = EmbedderStatus { embedder: "ok", reason: None };
        for _ in 0..beats {
            queue::heartbeat(&self.db, self.worker, LEASE_SECONDS, &status).await?;
        }
        queue::give_back(&self.db, claim.token, &claim.jobs).await?;
        Ok(json!({ "held": claim.jobs.len(), "beats": beats }))
    }
}
