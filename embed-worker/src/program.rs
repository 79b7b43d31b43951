//! The worker as a standalone program, such as the sidecar of a pod.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use pgrecall_config::Config;
use pgrecall_process::tasks::{self, Tasks};
use shared::engine::Engine;
use shared::telemetry::{self, Telemetry};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::observe::{self, Opened, Report};

/// Delay between two attempts to open a database that is not available yet.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// How long a stop waits for the answers to probes.
const OBSERVER_TIMEOUT: Duration = Duration::from_secs(1);

/// Run it next to an `mcp-server` that uses your own Postgres: claims jobs from the queue in
/// Postgres, embeds their texts and stores the vectors.
#[derive(Debug, Parser)]
#[command(version = shared::VERSION, about)]
pub struct Arguments {
    /// Path of the configuration file. Without it, PGRECALL_CONFIG names the file, or the built-in
    /// defaults apply.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs until SIGINT or SIGTERM. Exit code 2 means that the configuration is invalid, so a restart
/// does not help.
pub async fn run(arguments: Arguments) -> ExitCode {
    let config = match Config::load(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let telemetry = telemetry::init(&config.log, config.traces.as_ref(), "embed-worker").unwrap_or_else(|error| {
        eprintln!("there is no log: {error}");
        Telemetry::default()
    });
    let shutdown = CancellationToken::new();
    let tasks = Tasks::new(CancellationToken::new());
    tasks.spawn("signals", tasks::cancel_on_signal(shutdown.clone()));
    let code = match work(&config, &shutdown).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the worker ended");
            ExitCode::FAILURE
        }
    };
    telemetry.finish();
    code
}

async fn work(config: &Config, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let jobs = &config.apigateway.embed_jobs;
    let listener = match TcpListener::bind(jobs.address).await {
        Ok(listener) => Some(listener),
        // Not fatal: several workers often run on one machine, and a worker without metrics can
        // still embed.
        Err(error) => {
            tracing::warn!(%error, address = %jobs.address, "health and metrics are not served: set `apigateway.embed_jobs.address`");
            None
        }
    };
    let (opened, report) = (Opened::default(), Report::new(None));
    let tasks = Tasks::new(shutdown.child_token());
    if let Some(listener) = listener {
        let served = observe::serve(listener, opened.clone(), report.subscribe(), tasks.token().clone());
        tasks.spawn("observe", served);
    }
    let Some(engine) = open(config, shutdown).await? else { return Ok(()) };
    opened.set(engine.clone()).ok();
    let outcome = crate::run_observed(engine.clone(), shutdown.clone(), report).await;
    tasks.stop(OBSERVER_TIMEOUT).await;
    engine.close().await;
    outcome
}

/// Opens the database, and waits for one that is not available yet: in a pod the worker may start
/// first.
async fn open(config: &Config, shutdown: &CancellationToken) -> anyhow::Result<Option<Engine>> {
    let mut said = false;
    loop {
        match Engine::open(config, |step| tracing::info!(step, "starting")).await {
            Ok(engine) => return Ok(Some(engine)),
            Err(error) if error.is_transient() => {
                if !std::mem::replace(&mut said, true) {
                    tracing::warn!(error = &error as &dyn Error, "the database is not available yet; waiting for it");
                }
            }
            Err(error) => return Err(error).context("opening the database"),
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(RETRY_INTERVAL)).await.is_none() {
            return Ok(None);
        }
    }
}
