//! `failures`, `dismiss` and `reindex`: what fails, and what a person does about it.

use clap::Args;
use serde_json::json;
use shared::source::SourceKind;
use shared::triage::{Failing, Units};

use super::{
    ask,
    context::{Context, Worker},
    failure::Failure,
    output::{self, bad, faint},
};

/// `failures`.
#[derive(Debug, Args)]
pub(super) struct Failures {
    /// Those that were dismissed or recovered lately, too.
    #[arg(long)]
    all: bool,
    /// How many at the most.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
}

/// `dismiss`.
#[derive(Debug, Args)]
pub(super) struct Dismiss {
    /// Their ids or keys.
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "ID|KEY")]
    names: Vec<String>,
    /// Everything that fails now.
    #[arg(long)]
    all: bool,
}

/// `reindex`.
#[derive(Debug, Args)]
pub(super) struct Reindex {
    /// Their ids or keys. Without any: whatever has no vector, or an old one, and is not being worked on.
    #[arg(value_name = "ID|KEY")]
    names: Vec<String>,
    /// A whole kind: memory, document, asset, prompt, tool or api_operation.
    #[arg(long, conflicts_with = "names", value_parser = ask::kinds())]
    kind: Option<SourceKind>,
    /// Everything.
    #[arg(long, conflicts_with_all = ["names", "kind"])]
    all: bool,
}

pub(super) async fn list(context: &Context, failures: Failures) -> Result<(), Failure> {
    let body = async |engine: &shared::engine::Engine, scope: &shared::db::Scope| {
        Ok(engine.failures(scope, failures.all, failures.limit).await?)
    };
    let failing = context.with_engine(Worker::None, body).await?;
    if context.json {
        return output::json(&json!({ "failures": failing, "count": failing.len() }));
    }
    for failing in &failing {
        output::line(&line(failing))?;
        let since = format!("    since {}, {} failures", failing.first_failed_at, failing.occurrences);
        let next = failing.next_try_at.map(|at| format!("; tried again at {at}")).unwrap_or_default();
        output::line(&faint(&format!("{since}{next}")))?;
    }
    if failing.is_empty() {
        eprintln!("Nothing fails.");
    }
    Ok(())
}

pub(super) async fn dismiss(context: &Context, dismiss: Dismiss) -> Result<(), Failure> {
    let units = if dismiss.all { Units::All } else { Units::Named(dismiss.names) };
    let body =
        async |engine: &shared::engine::Engine, scope: &shared::db::Scope| Ok(engine.dismiss(scope, &units).await?);
    let dismissed = context.with_engine(Worker::None, body).await?;
    if context.json {
        return output::json(&json!({ "dismissed": dismissed }));
    }
    output::line(&format!("{dismissed} dismissed. Written anew or reindexed, they are tried again."))
}

pub(super) async fn reindex(context: &Context, reindex: Reindex) -> Result<(), Failure> {
    let units = match (reindex.all, reindex.kind, reindex.names) {
        (true, ..) => Units::All,
        (_, Some(kind), _) => Units::Kind(kind),
        (_, _, names) if names.is_empty() => Units::Gaps,
        (_, _, names) => Units::Named(names),
    };
    let body =
        async |engine: &shared::engine::Engine, scope: &shared::db::Scope| Ok(engine.reindex(scope, &units).await?);
    let enqueued = context.with_engine(Worker::None, body).await?;
    if context.json {
        return output::json(&json!({ "enqueued": enqueued }));
    }
    output::line(&format!(
        "{enqueued} enqueued. A running server or worker embeds them; `mcp-server status` shows how far it is."
    ))
}

/// One failing source in one line.
pub(super) fn line(failing: &Failing) -> String {
    let name = failing.key.clone().unwrap_or_else(|| failing.id.to_string());
    let state = if failing.state == "parked" { bad("parked") } else { failing.state.clone() };
    format!("{state}  {} {name} ({}): {}", failing.kind, failing.class, failing.error)
}
