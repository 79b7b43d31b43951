//! Chaos: both programs under load while everything that can fail does, and then the question whether anything was lost.
//!
//! A run starts a Postgres with a synchronous standby, an embedder, three workers and four writers. A round is up to a hundred faults of
//! a seed's choice. Then all is made well, the queue runs empty, and each passage's vector is compared with the one that its text must
//! have, and each source with what was acknowledged. See `docs/chaos.md`.

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
use pgrecall_generators::bits::Bits;
use pgrecall_harness::embedder::ScriptedEmbedder;
use pgrecall_harness::home::Home;

/// Faults between two verdicts.
const ROUND: usize = 100;
/// Workers.
const WORKERS: usize = 3;
/// How long the queue may take to run empty once all is well.
const CALM: Duration = Duration::from_secs(120);
/// The database of a run.
const DATABASE: &str = "chaos";

/// What a run is to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many faults.
    pub faults: usize,
    /// The same seed draws the same faults and texts; how they meet is chance.
    pub seed: u64,
    /// Where a run that finds something wrong leaves its report and the programs' logs.
    pub reports: PathBuf,
    /// Whether a run that finds nothing leaves its logs as well.
    pub keep_logs: bool,
    /// A small disk that Postgres shall have to itself, and that is filled again and again.
    pub disk: Option<PathBuf>,
}

/// Runs, and returns what it came to, with its violations counted and reported.
///
/// # Errors
/// When the harness itself fails: a part that does not start, a Postgres that does not come back.
pub fn run(options: &Options) -> anyhow::Result<Totals> {
    let mut bits = Bits(options.seed);
    let cluster = Cluster::start(options.disk.as_deref()).context("starting Postgres")?;
    cluster.ask(&format!("CREATE DATABASE {DATABASE}"))?;
    let embedder = ScriptedEmbedder::start();
    embedder.refuse_always(texts::POISON);
    let wires = Wires::before(&cluster);
    let config = |whose: usize| embedder.config(&wires.dsn(whose, DATABASE)) + JOBS;
    let home = Arc::new(Home::with(&config(1)));
    let workers = Workers::start(&home, home.file("worker.yaml", config(0)), WORKERS, &mut bits);
    if !workers.can_skew() {
        eprintln!("there is no C compiler: the hosts' clocks are not skewed");
    }
    let mut stage = Stage::new(cluster, embedder, wires, workers, home, bits, options.disk.clone());
    let ledger = Arc::new(Ledger::default());
    let mut totals = Totals { runs: 1, ..Totals::default() };
    let mut settled = 0;
    for round in 0..options.faults.div_ceil(ROUND) {
        let draw = if options.disk.is_some() { faults::draw_with_full_disks } else { faults::draw };
        let faults = draw(ROUND.min(options.faults - round * ROUND), &mut stage.bits);
        let begun = Instant::now();
        let (writing, writers) = Writing::start(&stage.home, &ledger, &mut stage.bits);
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

/// What both programs' configuration says beside database and embedder.
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

/// Leaves all that helps to find the cause, and names the place.
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
