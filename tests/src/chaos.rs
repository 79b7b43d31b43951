//! Chaos tests: both programs run under load while everything that can fail does, and then a
//! comparison finds whether anything was lost.
//!
//! A run starts a Postgres with a synchronous standby, an embedder, three workers and four writers.
//! A round is up to a hundred faults, which the seed determines. Then every fault is undone, the
//! workers empty the queue, and each passage's vector is compared with the vector that its text
//! must have, and each source with the acknowledged writes. See `docs/internals/chaos.md`.

mod cluster;
mod database;
mod faults;
mod ledger;
pub mod recovery;
mod texts;
pub mod totals;
mod verdict;
mod workers;
mod writers;
pub mod zombies;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context;

use self::cluster::Cluster;
use self::faults::{Stage, Wires};
use self::ledger::Ledger;
use self::totals::Totals;
use self::workers::Workers;
use self::writers::Writing;
use pgrecall_generators::rng::SeededRng;
use pgrecall_harness::embedder::ScriptedEmbedder;
use pgrecall_harness::home::Home;

/// The number of faults in a round, after which everything is compared.
const ROUND: usize = 100;
/// The number of workers.
const WORKERS: usize = 3;
/// How long the workers may take to empty the queue once every fault is undone.
const CALM: Duration = Duration::from_secs(120);
/// The name of a run's database.
const DATABASE: &str = "chaos";

/// The parameters of a run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The number of faults.
    pub faults: usize,
    /// The same seed gives the same faults and texts; their relative timing stays random.
    pub seed: u64,
    /// The folder for the report and the programs' logs of a run with violations.
    pub reports: PathBuf,
    /// Whether a run without violations leaves its logs too.
    pub keep_logs: bool,
    /// The folder of a small file system that only Postgres uses, and that the run fills
    /// repeatedly.
    pub disk: Option<PathBuf>,
}

/// Executes a run, reports its violations, and returns its counts.
///
/// # Errors
/// If the harness itself fails: a part does not start, or Postgres does not come back.
pub fn run(options: &Options) -> anyhow::Result<Totals> {
    let mut rng = SeededRng(options.seed);
    let cluster = Cluster::start(options.disk.as_deref()).context("starting Postgres")?;
    cluster.ask(&format!("CREATE DATABASE {DATABASE}"))?;
    let embedder = ScriptedEmbedder::start();
    embedder.refuse_always(texts::POISON);
    let wires = Wires::before(&cluster);
    let config = |whose: usize| embedder.config(&wires.dsn(whose, DATABASE)) + JOBS;
    let home = Arc::new(Home::with(&config(1)));
    // Faults of every kind cause warnings of every kind.
    home.expect_logs(&[""]);
    let workers = Workers::start(&home, home.file("worker.yaml", config(0)), WORKERS, &mut rng);
    if !workers.can_skew() {
        eprintln!("there is no C compiler: the hosts' clocks are not skewed");
    }
    let mut stage = Stage::new(cluster, embedder, wires, workers, home, rng, options.disk.clone());
    let ledger = Arc::new(Ledger::default());
    let mut totals = Totals { runs: 1, ..Totals::default() };
    let mut settled = 0;
    for round in 0..options.faults.div_ceil(ROUND) {
        let draw = if options.disk.is_some() { faults::draw_with_full_disks } else { faults::draw };
        let faults = draw(ROUND.min(options.faults - round * ROUND), &mut stage.rng);
        let begun = Instant::now();
        let (writing, writers) = Writing::start(&stage.home, &ledger, &mut stage.rng);
        let suffered = stage.suffer(&faults, &writing);
        stage.calm();
        writing.stop();
        for writer in writers {
            stage.embedder.set(pgrecall_harness::embedder::Mood::Well);
            writer.join().ok().context("a writer panicked")?;
        }
        suffered?;
        totals.rounds += 1;
        totals.writes_acknowledged += writing.acknowledged.load(Ordering::SeqCst);
        totals.writes_unheard += writing.unheard.load(Ordering::SeqCst);
        let calm = Instant::now();
        let (found, wrong) = judge(&mut stage, &ledger)?;
        totals.jobs_settled += (found.settled - settled).unsigned_abs();
        settled = found.settled;
        eprintln!(
            "seed {}, round {round}: {} faults in {:.0} s, calm after {:.1} s: {} sources, {} passages, {settled} jobs settled, \
             {} failed, {} writes acknowledged, {} unheard, {} of them refused; {} violations",
            options.seed,
            faults.len(),
            (calm - begun).as_secs_f64(),
            calm.elapsed().as_secs_f64(),
            found.sources,
            found.passages,
            found.failed,
            writing.acknowledged.load(Ordering::SeqCst),
            writing.unheard.load(Ordering::SeqCst),
            writing.refused.load(Ordering::SeqCst),
            wrong.len()
        );
        if !wrong.is_empty() {
            totals.violations += wrong.len() as u64;
            report(options, round, &stage, &wrong)?;
            break;
        }
    }
    totals.count(&stage.counted);
    totals.deadlocks = stage.cluster.logs().map(|log| log.matches("deadlock detected").count() as u64).sum();
    if options.keep_logs {
        keep_logs(options, &stage)?;
    }
    totals.workers_gave_up = stage.workers.gave_up.len() as u64;
    for worker in &stage.workers.gave_up {
        eprintln!("a worker ended unexpectedly, {worker}");
    }
    Ok(totals)
}

/// The configuration of both programs that follows database and embedder.
const JOBS: &str =
    "apigateway:\n  embed_jobs: { lease_duration: 2s, poll_interval: 1s, embed_timeout: 3s, batch_size: 32 }\n";

fn judge(stage: &mut Stage, ledger: &Ledger) -> anyhow::Result<(verdict::Found, Vec<String>)> {
    let dsn = stage.cluster.dsn(DATABASE);
    let mut wrong = verdict::wait_until_done(&|| dsn.clone(), CALM, || stage.tend());
    let (found, compared) = verdict::compare(&dsn, &stage.embedder.url(), ledger)?;
    wrong.extend(compared);
    for (run, log) in stage.home.logs() {
        wrong.extend(
            log.lines().filter(|line| line.contains("panicked at")).map(|line| format!("program {run}: {line}")),
        );
    }
    Ok((found, wrong))
}

/// Writes a report and the logs, and prints where they are.
fn report(options: &Options, round: usize, stage: &Stage, wrong: &[String]) -> anyhow::Result<()> {
    std::fs::create_dir_all(&options.reports)?;
    let file = options.reports.join(format!("chaos-{}.txt", options.seed));
    let (wrong_lines, history) = (wrong.join("\n"), stage.history.join("\n"));
    let seed = options.seed;
    let text =
        format!("seed {seed}, round {round}\n\n{wrong_lines}\n\nfaults, by seconds since the start\n{history}\n");
    std::fs::write(&file, text)?;
    keep_logs(options, stage)?;
    wrong.iter().for_each(|wrong| eprintln!("  {wrong}"));
    eprintln!("the report is in {}", file.display());
    Ok(())
}

fn keep_logs(options: &Options, stage: &Stage) -> anyhow::Result<()> {
    std::fs::create_dir_all(&options.reports)?;
    let programs = stage.home.logs().map(|(run, log)| format!("--- program {run}\n{log}\n"));
    let nodes = stage.cluster.logs().map(|log| format!("--- Postgres\n{log}\n"));
    let history = std::iter::once(format!("--- faults\n{}\n", stage.history.join("\n")));
    let log: String = history.chain(programs).chain(nodes).collect();
    Ok(std::fs::write(options.reports.join(format!("chaos-{}.log", options.seed)), log)?)
}
