//! `doctor`: prints one line for each part, and what to do about those that do not work.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use pgrecall_access::keys::{self, ENDS_SOON_DAYS, Listed};
use pgrecall_config::Provider;
use pgrecall_embedder::FailureClass;
use pgrecall_postgres::integrity::{Integrity, IntegrityError};
use pgrecall_runtime::{Condition, Runtime, embedded::PageCheck};
use pgrecall_store::{
    coverage::{grouped, time_left},
    spaces::{self, size::Size},
    status::{Status, Verdict},
    workers::EmbedderState,
};
use serde::Serialize;
use shared::engine::Engine;

use super::{
    context::{Context, Worker},
    failure::Failure,
    integrity,
    output::{self, bad, good},
    program::named,
};

/// The result of checking one part.
#[derive(Debug, Serialize)]
struct Check {
    part: &'static str,
    ok: bool,
    /// The state of the part, or what to do about it.
    says: String,
}

impl Check {
    fn good(part: &'static str, says: impl Into<String>) -> Self {
        Self { part, ok: true, says: named(&says.into()).into_owned() }
    }

    fn bad(part: &'static str, says: impl Into<String>) -> Self {
        Self { part, ok: false, says: named(&says.into()).into_owned() }
    }
}

#[derive(Debug, Default, clap::Args)]
pub(super) struct Doctor {
    /// Prints how much disk and memory a Postgres needs, by the number of passages and the model's
    /// dimension. Checks nothing.
    #[arg(long)]
    size: bool,
}

pub(super) async fn run(context: &Context, doctor: &Doctor) -> Result<(), Failure> {
    if doctor.size {
        return sizes(context.json);
    }
    let mut checks = vec![Check::good("configuration", "valid"), runtime(context)];
    let pages = integrity::pages(context).await;
    let mut tables = None;
    let begun = Instant::now();
    let opened = context
        .with_engine(Worker::None, async |engine, scope| {
            let opened = begun.elapsed();
            // The tables are checked first, because the statements below may fail on a damaged
            // page.
            tables = Some(integrity::tables(engine, pages.as_ref()).await);
            let status = engine.status(scope).await?;
            let keys = keys::list(engine.db(), scope, false).await?;
            Ok((opened, engine.probe().await?, status, probe_embedder(engine).await, keys))
        })
        .await;
    match opened {
        Ok((opened, probe, status, probe_embedder, keys)) => {
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
            checks.extend(files(pages.as_ref(), tables));
            checks.push(embedder(context.config.memory.embedding.provider, probe_embedder));
            checks.push(workers(&status));
            checks.push(index(&status));
            checks.push(self::keys(&context.config.caller.tenant, &keys));
        }
        Err(Failure::Failed(error)) => {
            let causes: Vec<_> = error.chain().skip(1).map(ToString::to_string).collect();
            let why = if causes.is_empty() { String::new() } else { format!(" ({})", causes.join(": ")) };
            checks.push(Check::bad("database", format!("{error}{why}")));
            checks.extend(files(pages.as_ref(), tables));
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

/// The sizes that are printed: numbers of passages, and dimensions of their vectors.
///
/// 384 is all-MiniLM, 768 nomic-embed-text, 1024 bge-m3, 1536 text-embedding-3-small.
const PASSAGES: [u64; 4] = [10_000, 100_000, 1_000_000, 10_000_000];
const DIMENSIONS: [u64; 4] = [384, 768, 1024, 1536];

fn sizes(json: bool) -> Result<(), Failure> {
    let sizes: Vec<_> =
        PASSAGES.iter().flat_map(|count| DIMENSIONS.map(|dimension| Size::of(*count, dimension))).collect();
    if json {
        return output::json(&sizes);
    }
    output::line("  passages  dimension      disk    memory  to build the index")?;
    for size in &sizes {
        let [disk, memory, build] = [size.disk(), size.memory, size.build].map(bytes);
        output::line(&format!("{:>10}  {:>9}  {disk:>8}  {memory:>8}  {build:>18}", size.passages, size.dimension))?;
    }
    for line in [
        "A passage is a memory of fifty words, or a piece of a document; one of 180 words takes about twice as much text.",
        "disk: all of it, without the write-ahead log and backups. memory: what recalls read again and again, for Postgres'",
        "buffers and the system's cache together. to build the index: maintenance_work_mem, when the model is changed.",
    ] {
        output::line(line)?;
    }
    Ok(())
}

/// Formats a size roughly, as people say it.
fn bytes(bytes: u64) -> String {
    let (mut size, mut unit) = (bytes as f64 / 1e6, "MB");
    if size >= 1000.0 {
        (size, unit) = (size / 1000.0, "GB");
    }
    if size < 10.0 { format!("{size:.1} {unit}") } else { format!("{size:.0} {unit}") }
}

fn files(pages: Option<&PageCheck>, tables: Option<Result<Integrity, IntegrityError>>) -> Option<Check> {
    let tables = match tables.transpose() {
        Ok(tables) => tables,
        Err(error) => return Some(Check::bad("files", error.to_string())),
    };
    let (ok, says) = integrity::verdict(pages, tables.as_ref())?;
    Some(if ok { Check::good("files", says) } else { Check::bad("files", says) })
}

fn runtime(context: &Context) -> Check {
    let config = &context.config;
    let root = config.paths.runtime.display();
    if config.database.dsn.is_some() && config.memory.embedding.provider != Provider::Local {
        return Check::good("runtime", "not needed: the database and the embedder are configured");
    }
    let parts = match Runtime::at(&config.paths.runtime).inspect() {
        Ok(parts) => parts,
        Err(error) => return Check::bad("runtime", error.to_string()),
    };
    let mut broken = Vec::new();
    for (part, condition) in &parts {
        match condition {
            Condition::Sound | Condition::Unverified => {}
            Condition::Missing => {
                broken.push(format!("{part} is missing or incomplete in {root}: run `mcp-server setup`"))
            }
            Condition::Damaged(files) => {
                broken.push(format!("{part} is damaged ({}): run `mcp-server setup --repair`", some(files)))
            }
        }
    }
    if !broken.is_empty() {
        return Check::bad("runtime", broken.join("; "));
    }
    let is_verified = parts.iter().all(|(_, condition)| *condition == Condition::Sound);
    let verified = if is_verified {
        "every file is as it was installed"
    } else {
        "an older version installed them without hashes; `mcp-server setup --repair` installs them again, with hashes"
    };
    Check::good("runtime", format!("Postgres and the model are in {root}; {verified}"))
}

/// Names the first of these files, and how many more there are.
fn some(files: &[PathBuf]) -> String {
    let first = files.first().map(|file| file.display().to_string()).unwrap_or_default();
    if files.len() > 1 { format!("{first} and {} more", files.len() - 1) } else { first }
}

/// Embeds a word, checks that its vector can be stored, and returns how long it took; `None` without
/// an embedder.
pub(super) async fn probe_embedder(engine: &Engine) -> anyhow::Result<Option<Duration>> {
    let begun = Instant::now();
    match engine.probe_embedder().await {
        Ok(dimension) => {
            let took = begun.elapsed();
            spaces::check_dimension(engine.config().memory.embedding.provider, dimension)?;
            Ok(Some(took))
        }
        Err(error) if error.class() == FailureClass::Disabled => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn embedder(provider: Provider, probe_embedder: anyhow::Result<Option<Duration>>) -> Check {
    match probe_embedder {
        Ok(Some(took)) => Check::good("embedder", format!("{provider} embeds a query in {} ms", took.as_millis())),
        Ok(None) => Check::good("embedder", "noop: recall uses keyword search only, as configured"),
        Err(why) => Check::bad("embedder", format!("{provider} cannot be used: {why}")),
    }
}

fn workers(status: &Status) -> Check {
    let waits = status.all.pending + status.all.running;
    let down = status.workers.iter().find(|worker| !["ok", "disabled"].contains(&worker.embedder.as_str()));
    match (status.workers.len(), down) {
        (0, _) if status.embedder == EmbedderState::Disabled => {
            Check::good("worker", "none is needed: the provider is noop")
        }
        (0, _) if waits == 0 => Check::good("worker", "none runs now, and nothing waits for one"),
        (0, _) => Check::bad(
            "worker",
            format!("no worker is alive, and {waits} jobs wait: start `mcp-server` or `embed-worker`"),
        ),
        (count, None) => Check::good("worker", format!("{count} alive")),
        (_, Some(worker)) => {
            let why = worker.reason.as_deref().unwrap_or("no reason given");
            Check::bad("worker", format!("{} says that its embedder is {}: {why}", worker.name, worker.embedder))
        }
    }
}

/// Reports the keys of the local caller's tenant that never expire, and those that expire soon.
///
/// Neither is an error.
fn keys(tenant: &str, keys: &[Listed]) -> Check {
    let valid: Vec<&Listed> = keys.iter().filter(|key| !key.expired).collect();
    let names = |which: &dyn Fn(&Listed) -> bool| {
        let named = valid.iter().filter(|key| which(key)).map(|key| format!("{} ({})", key.name, key.id));
        named.collect::<Vec<_>>().join(", ")
    };
    let (endless, ending) = (names(&|key| key.expires_at.is_none()), names(&|key| key.ends_soon));
    let mut says = format!("{} valid for the tenant {tenant}", valid.len());
    if !ending.is_empty() {
        says.push_str(&format!("; these expire within {ENDS_SOON_DAYS} days, so rotate them: {ending}"));
    }
    if !endless.is_empty() {
        says.push_str(&format!("; these never expire, so rotate them: {endless}"));
    }
    Check::good("keys", says)
}

fn index(status: &Status) -> Check {
    let all = &status.all;
    let mut says = format!(
        "{} sources embedded, {} pending, {} failed; {} of {} passages embedded ({:.1} %)",
        all.succeeded,
        all.pending + all.running,
        all.failed,
        grouped(all.passages.embedded),
        grouped(all.passages.total),
        (all.coverage * 1000.0).floor() / 10.0
    );
    if let Some(seconds) = status.seconds_left {
        says.push_str(&format!(", {} left", time_left(seconds, false)));
    }
    match status.verdict {
        Verdict::Healthy if status.is_empty() => Check::good("index", "nothing is stored yet"),
        Verdict::Healthy | Verdict::Indexing => Check::good("index", says),
        Verdict::Degraded | Verdict::WaitingForModel => {
            let why = status.reason.as_deref().unwrap_or("`mcp-server status` says more");
            Check::bad("index", format!("{says}; {why}"))
        }
    }
}
