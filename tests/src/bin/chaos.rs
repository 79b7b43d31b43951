//! `chaos`: kills, disconnects and overloads the pipeline, and checks that nothing was lost. See
//! `docs/internals/chaos.md`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use system_tests::chaos::totals::Totals;
use system_tests::chaos::{self, Options, recovery, zombies};

/// Use after a change to the queue, the worker or the write path. Causes faults drawn from a seed
/// under load, then compares the whole database with its expected state.
#[derive(Debug, Parser)]
#[command(name = "chaos")]
struct Arguments {
    /// Number of faults; each hundred is a round, which ends with a comparison
    #[arg(long, default_value_t = 100)]
    faults: usize,
    /// Seed of the faults and texts, to repeat a run; the default differs in each run
    #[arg(long, global = true)]
    seed: Option<u64>,
    /// File that accumulates the totals of all runs; reports of violations go into the same folder
    #[arg(long, value_name = "FILE")]
    totals: PathBuf,
    /// Only print the accumulated totals
    #[arg(long)]
    total: bool,
    /// Keep the programs' logs next to the totals even if no violation is found
    #[arg(long)]
    keep_logs: bool,
    /// Folder of a small file system that only Postgres uses; the run also fills it repeatedly
    #[arg(long, value_name = "FOLDER")]
    disk: Option<PathBuf>,
    #[command(subcommand)]
    scenario: Option<Scenario>,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Test that a worker that has lost its lease can write nothing
    Zombies {
        /// Number of attempts
        #[arg(long, default_value_t = 10_000)]
        times: usize,
    },
    /// Measure how soon a worker is back at its full rate after its Postgres was down
    Recovery,
    /// Measure the same after an outage of the embedder, and what the worker did during the outage
    Outage {
        /// Length of the outage, divided equally between its four kinds
        #[arg(long, default_value_t = 10.0)]
        minutes: f64,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: the harness failed: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs the scenario that the arguments select, and returns the number of violations.
fn run(arguments: &Arguments) -> anyhow::Result<u64> {
    if arguments.total {
        print(&Totals::read(&arguments.totals)?)?;
        return Ok(0);
    }
    let figures = match &arguments.scenario {
        Some(Scenario::Recovery) => Some(recovery::postgres()?),
        Some(Scenario::Outage { minutes }) => Some(recovery::outage(*minutes)?),
        _ => None,
    };
    if let Some(figures) = figures {
        writeln!(std::io::stdout(), "{figures:#}")?;
        return Ok(0);
    }
    let seed = arguments.seed.unwrap_or_else(|| std::process::id().into());
    let totals = match &arguments.scenario {
        Some(Scenario::Zombies { times }) => zombies::run(*times, seed)?,
        _ => {
            let reports = arguments.totals.parent().map(PathBuf::from).unwrap_or_default();
            let Arguments { faults, keep_logs, disk, .. } = arguments;
            chaos::run(&Options { faults: *faults, seed, reports, keep_logs: *keep_logs, disk: disk.clone() })?
        }
    };
    totals.add_to(&arguments.totals)?;
    print(&totals)?;
    Ok(totals.violations)
}

fn print(totals: &Totals) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(totals)?)?)
}
