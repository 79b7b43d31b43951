//! `failures` and `dismiss`: list the sources that fail, and take them off the list.

use clap::Args;
use pgrecall_postgres::db::Scope;
use pgrecall_store::triage::{self, Failing, Units};
use serde_json::json;
use shared::engine::Engine;

use super::{
    context::{Context, Worker},
    failure::Failure,
    output::{self, bad, faint},
};

/// The arguments of `failures`.
#[derive(Debug, Args)]
pub(super) struct Failures {
    /// Includes failures that were dismissed or recovered recently.
    #[arg(long)]
    all: bool,
    /// Maximum number of failures to list.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
}

/// The arguments of `dismiss`.
#[derive(Debug, Args)]
pub(super) struct Dismiss {
    /// Ids or keys of the sources.
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "ID|KEY")]
    names: Vec<String>,
    /// Dismisses everything that fails now.
    #[arg(long)]
    all: bool,
}

pub(super) async fn list(context: &Context, failures: Failures) -> Result<(), Failure> {
    let Failures { all, limit } = failures;
    let list = async |engine: &Engine, scope: &Scope| {
        let failing = triage::list(engine.db(), scope, all, limit).await?;
        Ok((failing, engine.status(scope).await?))
    };
    let (failing, status) = context.with_engine(Worker::None, list).await?;
    if context.json {
        return output::json(&json!({ "failures": failing, "count": failing.len(), "reason": status.reason }));
    }
    for failing in &failing {
        output::line(&line(failing))?;
        let since = format!("    since {}, {} failures", output::time(failing.first_failed_at), failing.occurrences);
        let next = failing.next_try_at.map(|at| format!("; tried again at {}", output::time(at))).unwrap_or_default();
        output::line(&faint(&format!("{since}{next}")))?;
    }
    if failing.is_empty() {
        eprintln!("Nothing fails.");
    }
    if let Some(reason) = status.reason {
        let waits = status.all.pending + status.all.running;
        eprintln!("{waits} sources wait to be embedded: {}.", output::shown(&reason));
    }
    Ok(())
}

pub(super) async fn dismiss(context: &Context, dismiss: Dismiss) -> Result<(), Failure> {
    let units = if dismiss.all { Units::All } else { Units::Named(dismiss.names) };
    let dismiss = async |engine: &Engine, scope: &Scope| Ok(triage::dismiss(engine.db(), scope, &units).await?);
    let dismissed = context.with_engine(Worker::None, dismiss).await?;
    if dismissed == 0 && matches!(units, Units::Named(_)) {
        return Err(Failure::Misused(
            "nothing that fails has this id or key: `mcp-server failures` lists what does".to_owned(),
        ));
    }
    context.print(
        &json!({ "dismissed": dismissed }),
        &format!("{dismissed} dismissed. They are retried when they are written again or reindexed."),
    )
}

/// Formats a failing source as one line.
pub(super) fn line(failing: &Failing) -> String {
    let name = failing.key.clone().unwrap_or_else(|| failing.id.to_string());
    let state = if failing.state == "parked" { bad("parked") } else { failing.state.clone() };
    let (name, error) = (output::shown(&name), output::shown(&failing.error));
    format!("{state}  {} {name} ({} by {}): {error}", failing.kind, failing.class, failing.model)
}
