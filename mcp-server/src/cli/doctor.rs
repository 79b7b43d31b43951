//! `doctor`: one line for each part, and what to do about those that do not work.

use std::time::{Duration, Instant};

use serde::Serialize;
use shared::{
    config::Provider,
    embedder::{EmbedError, FailureClass},
    engine::Engine,
    runtime::Runtime,
    status::{Status, Verdict},
};

use super::{
    context::{Context, Worker},
    failure::Failure,
    output::{self, bad, good},
};

/// One part, checked.
#[derive(Debug, Serialize)]
struct Check {
    part: &'static str,
    ok: bool,
    /// What there is, or what to do.
    says: String,
}

impl Check {
    fn good(part: &'static str, says: impl Into<String>) -> Self {
        Self { part, ok: true, says: says.into() }
    }

    fn bad(part: &'static str, says: impl Into<String>) -> Self {
        Self { part, ok: false, says: says.into() }
    }
}

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let mut checks = vec![Check::good("configuration", "valid"), runtime(context)];
    let begun = Instant::now();
    let opened = context
        .with_engine(Worker::None, async |engine, scope| {
            let opened = begun.elapsed();
            let status = engine.status(scope).await?;
            Ok((opened, engine.probe().await?, status, canary(engine).await))
        })
        .await;
    match opened {
        Ok((opened, probe, status, canary)) => {
            let name =
                context.config.database.dsn.as_ref().map_or("the private Postgres", |_| "the configured Postgres");
            let says = format!(
                "{name} {} opens in {:.1} s, with pgvector {} and schema {}",
                probe.server(),
                opened.as_secs_f64(),
                probe.vector.as_deref().unwrap_or("missing"),
                probe.schema_version.unwrap_or_default()
            );
            checks.push(Check::good("database", says));
            checks.push(embedder(context.config.memory.embedding.provider, canary));
            checks.push(workers(&status));
            checks.push(index(&status));
        }
        Err(Failure::Failed(error)) => {
            let causes: Vec<_> = error.chain().skip(1).map(ToString::to_string).collect();
            let why = if causes.is_empty() { String::new() } else { format!(" ({})", causes.join(": ")) };
            checks.push(Check::bad("database", format!("{error}{why}")));
        }
        Err(other) => return Err(other),
    }
    let healthy = checks.iter().all(|check| check.ok);
    if context.json {
        output::json(&serde_json::json!({"healthy": healthy, "checks": checks}))?;
    } else {
        for check in &checks {
            let mark = if check.ok { good("ok  ") } else { bad("FAIL") };
            output::line(&format!("{mark}  {:<14}  {}", check.part, check.says))?;
        }
    }
    if healthy { Ok(()) } else { Err(Failure::Told) }
}

fn runtime(context: &Context) -> Check {
    let config = &context.config;
    let root = config.paths.runtime.display();
    if config.database.dsn.is_some() && config.memory.embedding.provider != Provider::Local {
        return Check::good("runtime", "not needed: the database and the embedder are configured");
    }
    if Runtime::at(&config.paths.runtime).is_complete() {
        Check::good("runtime", format!("Postgres and the model are in {root}"))
    } else {
        Check::bad("runtime", format!("something is missing in {root}: run `mcp-server setup`"))
    }
}

/// Embeds a word: how long it took, `None` without an embedder, or why it could not.
pub(super) async fn canary(engine: &Engine) -> Result<Option<Duration>, EmbedError> {
    let begun = Instant::now();
    match engine.canary().await {
        Ok(_) => Ok(Some(begun.elapsed())),
        Err(error) if error.class() == FailureClass::Disabled => Ok(None),
        Err(error) => Err(error),
    }
}

fn embedder(provider: Provider, canary: Result<Option<Duration>, EmbedError>) -> Check {
    match canary {
        Ok(Some(took)) => Check::good("embedder", format!("{provider} embeds a query in {} ms", took.as_millis())),
        Ok(None) => Check::good("embedder", "noop: words alone answer, as configured"),
        Err(why) => Check::bad("embedder", format!("{provider} does not embed: {why}")),
    }
}

fn workers(status: &Status) -> Check {
    let waits = status.all.pending + status.all.running;
    let down = status.workers.iter().find(|worker| !["ok", "disabled"].contains(&worker.embedder.as_str()));
    match (status.workers.len(), down) {
        (0, _) if waits == 0 => Check::good("worker", "none is alive, and nothing waits"),
        (0, _) => {
            Check::bad("worker", format!("none is alive, and {waits} wait: start `mcp-server` or `embed-worker`"))
        }
        (count, None) => Check::good("worker", format!("{count} alive")),
        (_, Some(worker)) => {
            let why = worker.reason.as_deref().unwrap_or("no reason given");
            Check::bad("worker", format!("{} says that its embedder is {}: {why}", worker.name, worker.embedder))
        }
    }
}

fn index(status: &Status) -> Check {
    let all = &status.all;
    let says = format!(
        "{} sources embedded, {} pending, {} failed, coverage {:.1} %",
        all.succeeded,
        all.pending + all.running,
        all.failed,
        (all.coverage * 1000.0).floor() / 10.0
    );
    match status.verdict {
        Verdict::Healthy | Verdict::Indexing => Check::good("index", says),
        Verdict::Degraded | Verdict::WaitingForModel => {
            Check::bad("index", format!("{says}; `mcp-server status` says more"))
        }
    }
}
