//! awa's side of the queue benchmark. Reads commands as JSON lines from stdin, runs them with awa's
//! client, and prints one JSON answer per command.

use std::error::Error;
use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use awa::{Client, InsertOpts, JobArgs, JobResult, QueueConfig, insert_with, migrations};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::mpsc;

const WARM_UP: i64 = 50;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Noop {
    id: i64,
}

impl JobArgs for Noop {
    fn kind() -> &'static str {
        "noop"
    }
}

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let pool = PgPoolOptions::new().max_connections(12).connect_with(Default::default()).await?;
    migrations::run(&pool).await?;
    say(&json!({}))?;
    for line in std::io::stdin().lock().lines() {
        let command: Value = serde_json::from_str(&line?)?;
        let number = |name: &str| command[name].as_i64().unwrap_or_default();
        let answer = match command["do"].as_str() {
            Some("clear") => clear(&pool).await?,
            Some("enqueue") => enqueue(&pool, number("jobs"), number("at_once")).await?,
            Some("drain") => drain(&pool, number("jobs") as usize, number("at_once") as u32).await?,
            _ => latency(&pool, number("jobs"), number("pause_ms") as u64).await?,
        };
        say(&answer)?;
    }
    Ok(())
}

fn say(answer: &Value) -> std::io::Result<()> {
    println!("{answer}");
    std::io::stdout().flush()
}

/// Does nothing: a drained queue has no jobs to delete, and awa purges finished ones.
async fn clear(_pool: &PgPool) -> Result<Value, Failure> {
    Ok(json!({}))
}

async fn enqueue(pool: &PgPool, jobs: i64, at_once: i64) -> Result<Value, Failure> {
    let start = Instant::now();
    for first in (0..jobs).step_by(at_once as usize) {
        if at_once == 1 {
            insert_with(pool, &Noop { id: first }, InsertOpts::default()).await?;
        } else {
            let ids = first..jobs.min(first + at_once);
            let all: Vec<_> = ids.map(|id| awa::model::insert::params(&Noop { id })).collect::<Result<_, _>>()?;
            awa::insert_many(pool, &all).await?;
        }
    }
    Ok(json!({ "seconds": start.elapsed().as_secs_f64() }))
}

async fn drain(pool: &PgPool, jobs: usize, workers: u32) -> Result<Value, Failure> {
    let done = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&done);
    let client = Client::builder(pool.clone())
        .queue("default", QueueConfig { max_workers: workers, ..Default::default() })
        .register::<Noop, _, _>(move |_, _| {
            counter.fetch_add(1, Ordering::Relaxed);
            async { Ok(JobResult::Completed) }
        })
        .build()?;
    let start = Instant::now();
    client.start().await?;
    while done.load(Ordering::Relaxed) < jobs && start.elapsed() < Duration::from_secs(120) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    client.shutdown(Duration::from_secs(5)).await;
    Ok(json!({ "seconds": seconds, "done": done.load(Ordering::Relaxed) }))
}

async fn latency(pool: &PgPool, jobs: i64, pause_ms: u64) -> Result<Value, Failure> {
    let (started, mut starts) = mpsc::unbounded_channel();
    let client = Client::builder(pool.clone())
        .queue("default", QueueConfig { max_workers: 4, ..Default::default() })
        .register::<Noop, _, _>(move |job, _| {
            let _ = started.send((job.id, Instant::now()));
            async { Ok(JobResult::Completed) }
        })
        .build()?;
    client.start().await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (mut from_enqueue, mut from_commit) = (Vec::new(), Vec::new());
    for id in 0..jobs + WARM_UP {
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        let begin = Instant::now();
        insert_with(pool, &Noop { id }, InsertOpts::default()).await?;
        let committed = Instant::now();
        let (_, at) = tokio::time::timeout(Duration::from_secs(20), starts.recv()).await?.ok_or("the client goes on")?;
        if id >= WARM_UP {
            from_enqueue.push((at - begin).as_secs_f64() * 1e3);
            from_commit.push(at.saturating_duration_since(committed).as_secs_f64() * 1e3);
        }
    }
    client.shutdown(Duration::from_secs(5)).await;
    Ok(json!({ "enqueue_to_start_ms": from_enqueue, "commit_to_start_ms": from_commit }))
}
