//! Runs the worker's pipeline around an embedder that records when it is busy, for
//! `scripts/bench queue`.
//!
//! usage: `embed_slot KIND`, where KIND is `local`, `none` (returns a vector immediately), or the
//! milliseconds that a call takes
//!
//! Opens the configured home, and prints `{"space": 1}`, the id of the space once its table exists.
//! For each line on stdin it embeds all sources that have no vector, with the loops of a worker
//! with one slot. It then prints `{"jobs", "calls", "seconds", "call_seconds", "idle_seconds"}`:
//! `seconds` from the beginning of the first call to the end of the last job, `call_seconds` to the
//! end of the last call, and `idle_seconds` the part of `call_seconds` in which the slot waited
//! between calls.
#![expect(clippy::print_stdout, reason = "stdout is the answer")]

use std::env;
use std::io::{self, BufRead, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use embed_worker::health;
use embed_worker::listener::Wake;
use embed_worker::{Worker, pipeline};
use pgrecall_config::Config;
use pgrecall_embedder::{EmbedError, Embedder, ModelId, Purpose};
use pgrecall_process::tasks::Tasks;
use pgrecall_store::queue::{self, Trigger};
use pgrecall_store::spaces;
use pgrecall_store::status::{self, Verdict};
use shared::engine::Engine;
use tokio_util::sync::CancellationToken;

/// The lease's duration: longer than any round takes, so that no round loses its lease.
const LEASE_SECONDS: f64 = 3600.0;
/// Delay between two checks whether everything is embedded.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// An embedder that records when its calls begin and end.
struct Timed {
    /// The configured model: it answers, or only lends its name and token counts.
    inner: Arc<dyn Embedder>,
    /// How long a call with invented vectors takes; `None` calls the model.
    takes: Option<Duration>,
    dimension: usize,
    calls: Mutex<Vec<(Instant, Instant)>>,
}

impl Timed {
    fn calls(&self) -> std::sync::MutexGuard<'_, Vec<(Instant, Instant)>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a pseudo-random vector, the same for the same text.
    fn made_up(&self, text: &str) -> Vec<f32> {
        let seed = text
            .bytes()
            .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
        let number = |place: usize| {
            // SplitMix64.
            let mut bits = seed.wrapping_add((place as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (bits >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
        };
        (0..self.dimension).map(number).collect()
    }
}

impl Embedder for Timed {
    fn model(&self) -> &ModelId {
        self.inner.model()
    }

    fn embed(&self, purpose: Purpose, texts: &[String], deadline: Instant) -> Result<Vec<Vec<f32>>, EmbedError> {
        let begin = Instant::now();
        let vectors = match self.takes {
            None => self.inner.embed(purpose, texts, deadline)?,
            Some(takes) => {
                let vectors = texts.iter().map(|text| self.made_up(text)).collect();
                std::thread::sleep(takes.saturating_sub(begin.elapsed()));
                vectors
            }
        };
        self.calls().push((begin, Instant::now()));
        Ok(vectors)
    }

    fn max_tokens(&self) -> usize {
        self.inner.max_tokens()
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.inner.count_tokens(text)
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let kind = env::args().nth(1).context("KIND")?;
    let takes = match kind.as_str() {
        "local" => None,
        "none" => Some(Duration::ZERO),
        milliseconds => Some(Duration::from_millis(milliseconds.parse()?)),
    };
    let engine = Engine::open(&Config::load(None)?, |_| {}).await?;
    let dimension = engine.probe_embedder().await?;
    let space = spaces::learn_dimension(engine.db(), &engine.ensure_space().await?, dimension).await?;
    println!("{}", serde_json::json!({ "space": space.id.0 }));
    io::stdout().flush()?;
    let timed = Arc::new(Timed { inner: engine.embedder(), takes, dimension, calls: Mutex::default() });
    let id = queue::register(engine.db(), "bench", LEASE_SECONDS, false).await?;
    for line in io::stdin().lock().lines() {
        line?;
        println!("{}", embed_all(&engine, id, &timed).await?);
        io::stdout().flush()?;
    }
    queue::leave(engine.db(), id).await?;
    engine.close().await;
    Ok(())
}

/// Enqueues the sources that have no vector, and embeds them.
async fn embed_all(engine: &Engine, id: i64, timed: &Arc<Timed>) -> anyhow::Result<serde_json::Value> {
    let space = engine.ensure_space().await?;
    let mut jobs = 0;
    loop {
        let reconciled = queue::reconcile(engine.db(), &space, Trigger::Rebuild, 10_000).await?;
        jobs += reconciled.found;
        if reconciled.ended {
            break;
        }
    }
    let stop = CancellationToken::new();
    let worker = Worker::new(engine, id, &space, timed.clone(), Wake::default(), stop.clone());
    let tasks = Tasks::new(stop);
    tasks.spawn("health", health::watch(worker.clone()));
    worker.health.ready().await;
    // Drops the canary's call from the record.
    timed.calls().clear();
    // A worker with one slot runs two pipeline loops.
    for _ in 0..2 {
        tasks.spawn("pipeline", pipeline::run(worker.clone()));
    }
    while status::status(engine.db(), &engine.scope()).await?.verdict != Verdict::Healthy {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    let end = Instant::now();
    tasks.stop(Duration::from_secs(10)).await;
    let mut calls = std::mem::take(&mut *timed.calls());
    calls.sort();
    let (first, last) = (calls.first().context("there were jobs")?.0, calls.last().context("there were jobs")?.1);
    let idle: Duration = calls.windows(2).map(|pair| pair[1].0.saturating_duration_since(pair[0].1)).sum();
    Ok(serde_json::json!({
        "jobs": jobs, "calls": calls.len(), "seconds": (end - first).as_secs_f64(),
        "call_seconds": (last - first).as_secs_f64(), "idle_seconds": idle.as_secs_f64(),
    }))
}
