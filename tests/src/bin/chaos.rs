//! `chaos`: kills, cuts off and floods the pipeline, and looks whether anything was lost. See `docs/chaos.md`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use system_tests::chaos::totals::Totals;
use system_tests::chaos::{self, Options, recovery, zombies};

/// Faults of a seed's choice under load, and then the comparison of everything with what it must be.
#[derive(Debug, Parser)]
#[command(name = "chaos")]
struct Arguments {
    /// How many faults; each hundred of them is a round with a comparison at its end.
    #[arg(long, default_value_t = 100)]
    faults: usize,
    /// Draws the faults and the texts; without it, another one each time.
    #[arg(long, global = true)]
    seed: Option<u64>,
    /// Where the totals are kept; the reports of faults go into the same folder.
    #[arg(long, value_name = "FILE")]
    totals: PathBuf,
    /// Only prints the totals.
    #[arg(long)]
    total: bool,
    /// Leaves the programs' logs next to the totals also when nothing is found wrong.
    #[arg(long)]
    keep_logs: bool,
    /// A small file system for Postgres alone, which is filled again and again.
    #[arg(long, value_name = "FOLDER")]
    disk: Option<PathBuf>,
    #[command(subcommand)]
    scenario: Option<Scenario>,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// A worker that lost its lease tries to write nevertheless.
    Zombies {
        /// How many times.
        #[arg(long, default_value_t = 10_000)]
        times: usize,
    },
    /// How soon a worker is at its full rate again after its Postgres was away.
    Recovery,
    /// The same after an outage of its embedder, and what it did during the outage.
    Outage {
        /// How long the embedder is away, in all four ways together.
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

/// Returns how much was found wrong.
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
