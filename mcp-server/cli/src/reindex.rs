//! `reindex`: embeds records again, only those without vectors, or all with another model.

use std::time::{Duration, Instant};

use clap::Args;
use pgrecall_embedder::Provider;
use pgrecall_postgres::db::Scope;
use pgrecall_record::source::SourceKind;
use pgrecall_store::coverage::time_left;
use pgrecall_store::spaces::{self, SpaceId};
use pgrecall_store::triage::Units;
use serde_json::json;
use shared::engine::{Engine, EngineError};

use super::{
    context::{Context, Worker},
    failure::Failure,
    help::EXPERT,
    narrow::kinds,
    progress::{self, Lines},
};

/// Minimum interval between two polls of the progress of a model change.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The pause after a poll, as a multiple of its duration, because a poll counts passages and may
/// take long.
const PAUSE_FACTOR: u32 = 10;
/// Time without progress after which another process must be in the way.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// The arguments of `reindex`.
#[derive(Debug, Args)]
pub(super) struct Reindex {
    /// Ids or keys of the records. Without any, the records whose vectors are missing or outdated
    /// and that no worker is embedding.
    #[arg(value_name = "ID|KEY")]
    names: Vec<String>,
    /// Embeds all records of one kind: memory, document, asset, prompt, tool or api_operation.
    #[arg(long, conflicts_with = "names", value_parser = kinds())]
    kind: Option<SourceKind>,
    /// Embeds all records.
    #[arg(long, conflicts_with_all = ["names", "kind"])]
    all: bool,
    /// Changes to this model, which must be the configured one. All records are embedded with it
    /// while the active model serves queries; then it becomes the active one.
    #[arg(long, conflicts_with_all = ["names", "kind", "all"], help_heading = EXPERT)]
    model: Option<String>,
    /// With `--model`: does not wait for the servers and workers with this configuration, which do
    /// the work.
    #[arg(long, requires = "model", help_heading = EXPERT)]
    no_wait: bool,
}

pub(super) async fn run(context: &Context, reindex: Reindex) -> Result<(), Failure> {
    if let Some(model) = &reindex.model {
        return change(context, model, reindex.no_wait).await;
    }
    let units = match (reindex.all, reindex.kind, reindex.names) {
        (true, ..) => Units::All,
        (_, Some(kind), _) => Units::Kind(kind),
        (_, _, names) if names.is_empty() => Units::Gaps,
        (_, _, names) => Units::Named(names),
    };
    let body = async |engine: &Engine, scope: &Scope| Ok(engine.reindex(scope, &units).await?);
    let enqueued = context.with_engine(Worker::None, body).await?;
    if enqueued == 0 && matches!(units, Units::Named(_)) {
        return Err(Failure::Misused("no record that you can see has this id or key".to_owned()));
    }
    let done = format!(
        "{enqueued} enqueued. A running server or worker embeds them; `mcp-server status` shows how far it is."
    );
    context.print(&json!({ "enqueued": enqueued }), &done)
}

/// Changes the model.
///
/// An interrupted change continues where it was, here or in any worker with this configuration.
async fn change(context: &Context, wanted: &str, no_wait: bool) -> Result<(), Failure> {
    let body = async |engine: &Engine, scope: &Scope| {
        let configured = engine.embedder().model().clone();
        let name = configured.name();
        if wanted != configured.model && wanted != name {
            return Err(Failure::Misused(format!(
                "the configured model is {name}: first make {wanted} the configured one; `mcp-server config print` shows where it is set"
            )));
        }
        if configured.provider == Provider::Noop {
            return Err(Failure::Misused("the provider is noop, which embeds nothing".to_owned()));
        }
        let space = engine.ensure_space().await?.id;
        if !no_wait {
            wait(engine, scope, space).await?;
        }
        Ok((name, is_active(engine, space).await?))
    };
    let (name, is_active) = context.with_engine(if no_wait { Worker::None } else { Worker::Always }, body).await?;
    let done = if is_active {
        format!("{name} is active. Restart the servers and workers that still have another model configured.")
    } else {
        format!(
            "The change to {name} has begun. Servers and workers with this configuration carry it out; `mcp-server status` shows how far it is."
        )
    };
    context.print(&json!({ "model": name, "active": is_active }), &done)
}

/// Whether queries are answered from this space.
///
/// The name of the model does not tell, because its prefixes may have changed.
async fn is_active(engine: &Engine, space: SpaceId) -> Result<bool, Failure> {
    let serving = spaces::read_serving(engine.db()).await.map_err(EngineError::from)?;
    Ok(serving.is_some_and(|serving| serving.active && serving.id == space))
}

/// Waits until the space is active.
async fn wait(engine: &Engine, scope: &Scope, space: SpaceId) -> Result<(), Failure> {
    let (bar, mut lines) = (progress::embedding(1_000), Lines::new());
    let (mut furthest, mut moved, mut told) = (0, Instant::now(), false);
    loop {
        if is_active(engine, space).await? {
            bar.finish_and_clear();
            return Ok(());
        }
        let looking = Instant::now();
        let status = engine.status(scope).await?;
        let rest = POLL_INTERVAL.max(PAUSE_FACTOR * looking.elapsed());
        let (coverage, left) = status.next_model.map_or((0.0, None), |next| (next.coverage, next.seconds_left));
        let reached = (coverage * 1_000.0) as u64;
        if reached > furthest {
            (furthest, moved) = (reached, Instant::now());
        }
        bar.set_position(reached);
        let left = left.map(|seconds| format!(", {} left", time_left(seconds, false))).unwrap_or_default();
        let says = if coverage < 1.0 { format!("{} %{left}", reached / 10) } else { "building the index".to_owned() };
        bar.set_message(says.clone());
        lines.say(|| format!("embedding: {says}"));
        if coverage < 1.0 && moved.elapsed() > STUCK_AFTER && !std::mem::replace(&mut told, true) {
            let who = status.workers.iter().find_map(|worker| worker.reason.as_deref());
            let why = who.unwrap_or("servers and workers that run with another model must be stopped or restarted");
            progress::tell(&bar, &format!("no progress: {why}"));
        }
        tokio::time::sleep(rest).await;
    }
}
