//! Measures how soon a worker is back at its full rate: after its backends were terminated
//! repeatedly, after Postgres went down, after a failover, and after an outage of the embedder. The
//! setup is one worker with one slot, an embedder that delays each call, and a backlog.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};

use super::cluster::{Cluster, End};
use super::database;
use pgrecall_harness::embedder::{Mood, ScriptedEmbedder};
use pgrecall_harness::home::Home;
use pgrecall_harness::programs::Program;
use pgrecall_harness::wait;

const DATABASE: &str = "recovery";
/// The duration of a call. With 32 texts per call, the rate is at most about 300 texts per second.
const PACE: Duration = Duration::from_millis(100);
/// The time over which a rate is measured.
const WINDOW: Duration = Duration::from_secs(2);
/// The fraction of the earlier rate that counts as full.
const FULL: f64 = 0.9;
/// Longer than any recovery takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Creates sources of one passage each, with their jobs.
const BACKLOG: &str = "SET search_path = pgrecall, public;
    INSERT INTO sources (tenant_id, source_kind, source_id, owner_id, visibility, title, body, format, metadata, tags, entity_urns,
                         content_hash, words)
    SELECT 'default', 'memory', gen_random_uuid(), 'bench', 'tenant', '', 'the memory of the day ' || n, 'plain', '{}', '{}', '{}',
           sha256(n::text::bytea), 6
    FROM generate_series(1, {jobs}) n;
    INSERT INTO passages (source, tenant_id, source_kind, ordinal, heading, text, text_hash)
    SELECT id, tenant_id, source_kind, 0, '', body, content_hash FROM sources;
    INSERT INTO index_jobs (tenant_id, source_kind, source, space, trigger_kind, order_key, items_total)
    SELECT s.tenant_id, s.source_kind, s.id, e.id, 'write', clock_timestamp(), 1 FROM sources s, embedding_spaces e";

/// A worker that works off a backlog, and everything that it uses.
struct Line {
    cluster: Cluster,
    watch: Watch,
    home: Home,
    worker: Program,
    jobs: usize,
}

/// Samples the embedder and the database every tenth of a second.
struct Watch {
    embedder: Arc<ScriptedEmbedder>,
    samples: Arc<Mutex<Vec<Sample>>>,
    over: Arc<AtomicBool>,
}

#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    /// The number of texts embedded by then.
    texts: usize,
    /// The age of the oldest transaction, in seconds.
    oldest: f64,
}

impl Line {
    /// Starts everything, and waits until the worker is at its full rate. Returns that rate too.
    fn start(jobs: usize) -> anyhow::Result<(Self, f64)> {
        let cluster = Cluster::start(None)?;
        cluster.ask(&format!("CREATE DATABASE {DATABASE}"))?;
        let embedder = Arc::new(ScriptedEmbedder::start());
        let hosts = format!("{},{}", cluster.socket(0).display(), cluster.socket(1).display());
        let dsn = format!("host={hosts} user=postgres dbname={DATABASE}");
        let home = Home::with(&embedder.config(&dsn));
        home.expect_logs(&[""]);
        let worker = home.worker();
        wait::until("the worker is at work", || embedder.texts() > 0);
        embedder.set(Mood::Slow(PACE));
        let backlog = BACKLOG.replace("{jobs}", &jobs.to_string());
        database::ask(&cluster.dsn(DATABASE), async |client| Ok(client.batch_execute(&backlog).await?))?;
        // This write notifies the worker, and adds one job to the backlog.
        home.run(&["remember", "the worker is woken by this"]);
        let watch = Watch::start(embedder, dsn);
        wait::until("the backlog is being worked off", || watch.embedder.texts() > 500);
        let full = watch.pace();
        Ok((Self { cluster, watch, home, worker, jobs: jobs + 1 }, full))
    }

    /// Removes the embedder's delay, waits until all is embedded, and checks that every vector is
    /// there and that every job took one attempt.
    fn finish(self) -> anyhow::Result<()> {
        self.watch.embedder.set(Mood::Well);
        wait::until("all texts were embedded", || self.watch.embedder.texts() >= self.jobs);
        self.home.wait_embedded();
        let whole = "SELECT (SELECT count(*) FROM pgrecall.passages p
                             JOIN pgrecall.vectors_1 v ON v.passage = p.id AND v.text_hash = p.text_hash),
                            (SELECT sum(attempts)::int8 FROM pgrecall.index_job_history), (SELECT count(*) FROM pgrecall.failures)";
        let found: [i64; 3] = database::ask(&self.cluster.dsn(DATABASE), async |client| {
            let row = client.query_one(whole, &[]).await?;
            Ok([row.get(0), row.get(1), row.get(2)])
        })?;
        let all = self.jobs as i64;
        ensure!(found == [all, all, 0], "of {all} jobs there are {found:?}: vectors, tries, failures");
        ensure!(self.worker.stop().code == 0, "the worker did not leave in order");
        Ok(())
    }
}

impl Watch {
    fn start(embedder: Arc<ScriptedEmbedder>, dsn: String) -> Self {
        let watch = Self { embedder, samples: Arc::default(), over: Arc::default() };
        let (embedder, samples, over) =
            (Arc::clone(&watch.embedder), Arc::clone(&watch.samples), Arc::clone(&watch.over));
        let oldest =
            "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 FROM pg_stat_activity
                      WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
        let look = move || {
            while !over.load(Ordering::SeqCst) {
                let (at, texts) = (Instant::now(), embedder.texts());
                // While Postgres is down the query fails, and there is no transaction.
                let asked = database::ask(&dsn, async |client| Ok(client.query_one(oldest, &[]).await?.get(0)));
                samples.lock().expect("unpoisoned").push(Sample { at, texts, oldest: asked.unwrap_or(0.0) });
                thread::sleep(Duration::from_millis(100));
            }
        };
        thread::Builder::new().name("watch".into()).spawn(look).expect("a thread");
        watch
    }

    /// Returns the texts per second over a window from then on, or `None` if the window has not
    /// ended.
    fn rate(&self, from: Instant) -> Option<f64> {
        let samples = self.samples.lock().expect("unpoisoned");
        let first = samples.iter().find(|sample| sample.at >= from)?;
        let last = samples.iter().find(|sample| sample.at >= first.at + WINDOW)?;
        Some((last.texts - first.texts) as f64 / (last.at - first.at).as_secs_f64())
    }

    /// Returns the age of the oldest transaction since then, in seconds.
    fn oldest(&self, from: Instant) -> f64 {
        let samples = self.samples.lock().expect("unpoisoned");
        samples.iter().filter(|sample| sample.at >= from).map(|sample| sample.oldest).fold(0.0, f64::max)
    }

    /// Measures the rate now.
    fn pace(&self) -> f64 {
        let from = Instant::now();
        thread::sleep(WINDOW * 2);
        self.rate(from).unwrap_or_default()
    }

    /// Returns the seconds from the event until the rate was full again.
    fn back_after(&self, event: Instant, full: f64) -> anyhow::Result<f64> {
        let deadline = event + PATIENCE;
        let mut from = event;
        while from < deadline {
            match self.rate(from) {
                Some(rate) if rate >= FULL * full => return Ok((from - event).as_secs_f64()),
                Some(_) => from += Duration::from_millis(100),
                None => thread::sleep(Duration::from_millis(100)),
            }
        }
        anyhow::bail!("after {PATIENCE:?} the rate was not what it was before")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

/// Terminates every backend each 5 s for a minute, then restarts Postgres, then fails over. Returns
/// for each the seconds until the rate was full again.
///
/// # Errors
/// If the rate does not come back, or if something is missing at the end.
pub fn postgres() -> anyhow::Result<Value> {
    let (mut line, full) = Line::start(40_000)?;
    let begun = Instant::now();
    let texts = line.watch.embedder.texts();
    for _ in 0..12 {
        line.cluster.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        )?;
        thread::sleep(Duration::from_secs(5));
    }
    let during = (line.watch.embedder.texts() - texts) as f64 / begun.elapsed().as_secs_f64();
    let terminated = line.watch.back_after(Instant::now(), full)?;
    let event = Instant::now();
    line.cluster.restart(End::Immediate)?;
    let restarted = line.watch.back_after(event, full)?;
    let event = Instant::now();
    line.cluster.fail_over()?;
    let failed_over = line.watch.back_after(event, full)?;
    line.finish()?;
    Ok(json!({
        "texts_a_second": {"before": full, "while_backends_end": during},
        "seconds_until_full": {"backends_ended": terminated, "restarted": restarted, "failed_over": failed_over},
    }))
}

/// Simulates an outage of the embedder in the middle of 10,000 jobs: it refuses connections, hangs,
/// answers 429 and answers 500, for a quarter of the time each.
///
/// # Errors
/// If the rate does not come back, if a job took more than one attempt, or if something is missing
/// at the end.
pub fn outage(minutes: f64) -> anyhow::Result<Value> {
    let (line, full) = Line::start(10_000)?;
    let quarter = Duration::from_secs_f64(minutes * 15.0);
    let begun = Instant::now();
    let mut calls_a_second = serde_json::Map::new();
    for (name, mood) in
        [("refused", Mood::Away), ("hanging", Mood::Hanging), ("429", Mood::Busy(5)), ("500", Mood::Failing(500))]
    {
        line.watch.embedder.set(mood);
        // Calls that were in flight when the mood changed are not probes, so wait until they have
        // ended.
        thread::sleep(Duration::from_secs(1));
        let (from, calls) = (Instant::now(), line.watch.embedder.calls());
        thread::sleep(quarter);
        let calls = (line.watch.embedder.calls() - calls) as f64 / from.elapsed().as_secs_f64();
        calls_a_second.insert(name.to_owned(), json!(calls));
    }
    let event = Instant::now();
    line.watch.embedder.set(Mood::Slow(PACE));
    let back = line.watch.back_after(event, full)?;
    let oldest = line.watch.oldest(begun);
    line.finish()?;
    Ok(json!({
        "minutes": minutes, "texts_a_second_before": full, "calls_a_second": calls_a_second,
        "oldest_transaction_seconds": oldest, "seconds_until_full": back,
    }))
}
