//! `setup`: fetches the private Postgres and the local model, and checks that both work.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use pgrecall_runtime::{Progress, Report, Runtime, RuntimeError};
use serde_json::json;
use tokio::sync::oneshot;

use super::{
    context::Context,
    context::Worker,
    doctor::probe_embedder,
    failure::Failure,
    output::{self, good},
    progress::{self, Spinner},
};

#[derive(Debug, clap::Args)]
pub(super) struct Setup {
    /// Compares every installed file with its hash, and installs damaged parts again.
    #[arg(long)]
    repair: bool,
}

pub(super) async fn run(context: &Context, setup: &Setup) -> Result<(), Failure> {
    let root = context.config.paths.runtime.clone();
    let begun = Instant::now();
    let report = context.until_stopped(install(Runtime::at(&root), setup.repair)).await?;
    let fetched = begun.elapsed();
    if !context.json {
        for part in &report.installed {
            output::line(&format!("{} {part}", good("installed")))?;
        }
        if report.installed.is_empty() {
            output::line("Everything is in place already.")?;
        }
    }
    let (opened, embedded) = prove(context).await?;
    if context.json {
        return output::json(&json!({
            "runtime": root, "home": context.config.paths.home, "installed": report.installed,
            "fetch_seconds": fetched.as_secs_f64(), "open_seconds": opened.as_secs_f64(),
            "embed_seconds": embedded.map(|time| time.as_secs_f64()),
        }));
    }
    let database = if context.config.database.dsn.is_some() { "the configured database" } else { "Postgres" };
    output::line(&format!("{} {database} answers ({:.1} s to open)", good("works    "), opened.as_secs_f64()))?;
    let provider = context.config.memory.embedding.provider;
    match embedded {
        Some(time) => {
            output::line(&format!("{} {provider} embeds ({:.0} ms)", good("works    "), time.as_secs_f64() * 1e3))?
        }
        None => output::line("The provider is noop: nothing is embedded, and recall uses keyword search only.")?,
    }
    output::line(&format!("\nPrograms and model: {}", root.display()))?;
    output::line(&format!("Your data:          {}", context.config.paths.home.display()))
}

/// Opens the engine, runs a query, and embeds a word.
async fn prove(context: &Context) -> Result<(Duration, Option<Duration>), Failure> {
    let begun = Instant::now();
    context
        .with_engine(Worker::None, async |engine, scope| {
            engine.status(scope).await?;
            let opened = begun.elapsed();
            Ok((opened, probe_embedder(engine).await?))
        })
        .await
}

/// Installs on a thread of its own, because pip and unpacking block.
async fn install(runtime: Runtime, repair: bool) -> Result<Report, Failure> {
    let (done, installed) = oneshot::channel::<Result<Report, RuntimeError>>();
    std::thread::Builder::new()
        .name("setup".to_owned())
        .spawn(move || {
            let mut drawing = Drawing::default();
            let draw = &mut |step| drawing.draw(step);
            let report = if repair { runtime.repair(draw) } else { runtime.install(draw) };
            drawing.clear();
            // The receiver is gone if a signal came first.
            let _ = done.send(report);
        })
        .expect("a thread can be started");
    match installed.await {
        Ok(Ok(report)) => Ok(report),
        Ok(Err(error)) => {
            if let Some(detail) = error.detail() {
                eprintln!("{}", detail.trim_end());
            }
            Err(Failure::Failed(error.into()))
        }
        Err(_) => Err(Failure::Failed(anyhow::anyhow!(
            "setup failed inside pgrecall: run it again; it goes on where it stopped"
        ))),
    }
}

/// A bar while bytes are fetched, and a spinner otherwise.
#[derive(Default)]
struct Drawing {
    bar: Option<ProgressBar>,
    spinner: Option<Spinner>,
}

impl Drawing {
    fn draw(&mut self, step: Progress) {
        match step {
            Progress::Fetching { part, done, total } => {
                let bar = self.bar.get_or_insert_with(|| progress::bytes(total, part));
                bar.set_length(total);
                bar.set_message(part);
                bar.set_position(done);
            }
            Progress::Waiting => self.say("waiting for another setup to end"),
            Progress::Verifying { part } => self.say(&format!("verifying {part}")),
            Progress::Unpacking { part } => self.say(&format!("unpacking {part}")),
            Progress::Installed { .. } => self.clear(),
        }
    }

    fn say(&mut self, text: &str) {
        self.clear();
        let spinner = Spinner::new();
        spinner.say(text);
        spinner.show();
        self.spinner = Some(spinner);
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if let Some(spinner) = self.spinner.take() {
            spinner.clear();
        }
    }
}
