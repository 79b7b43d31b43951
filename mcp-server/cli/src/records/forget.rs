//! `forget`: deletes records, after a person has agreed.

use clap::Args;
use pgrecall_postgres::db::Scope;
use pgrecall_store::{
    forget::{self, Forgotten, How},
    read,
};
use serde_json::json;
use shared::engine::Engine;
use uuid::Uuid;

use super::{
    super::{
        consent::{self, Consent},
        context::{Context, Worker},
        failure::Failure,
        ingest::counted,
        output,
        program::named,
    },
    Shown, id, missing,
};

/// The arguments of `forget`.
#[derive(Debug, Args)]
pub(in super::super) struct Forget {
    /// Ids of the records.
    #[arg(required = true, value_name = "ID", value_parser = id)]
    ids: Vec<Uuid>,
    /// Deletes without asking. Without it, and without a terminal, nothing is deleted.
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Counts what would be deleted, and deletes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Deletes irreversibly, so that `restore` cannot bring the records back.
    #[arg(long)]
    for_good: bool,
}

pub(in super::super) async fn run(context: &Context, command: Forget) -> Result<(), Failure> {
    let (deleted, gone, hours) =
        context.with_engine(Worker::None, async |engine, scope| forget(context, engine, scope, &command).await).await?;
    let is_unknown = gone.sources == 0 && !gone.not_found.is_empty();
    if context.json {
        output::json(&json!({ "dry_run": !deleted, "sources": gone.sources, "passages": gone.passages,
            "vectors": gone.vectors, "not_found": gone.not_found, "others": gone.others }))?;
    } else if !is_unknown {
        output::line(&named(&said(&command, &gone, deleted, hours)))?;
    }
    match gone.not_found.as_slice() {
        [] => Ok(()),
        ids => Err(Failure::Failed(anyhow::Error::msg(missing(ids)))),
    }
}

/// Deletes the records if the person agrees. Returns whether it did, the counts, and for how many
/// hours the records can be restored.
async fn forget(
    context: &Context,
    engine: &Engine,
    scope: &Scope,
    command: &Forget,
) -> Result<(bool, Forgotten, u64), Failure> {
    let kept = engine.keeps_forgotten();
    let hours = if command.for_good { 0 } else { kept.as_secs().div_ceil(3600) };
    let counts = forget::forget(engine.db(), scope, &command.ids, How::Count).await?;
    if command.dry_run || (counts.sources == 0 && hours > 0) {
        return Ok((false, counts, hours));
    }
    if !command.yes {
        let what = format!("delete {}", described(&counts, hours));
        if consent::may_ask() {
            for id in &command.ids {
                let found = read::fetch(engine.db(), scope, *id).await?;
                found
                    .map(|found| Shown::from(found.hit).preview())
                    .into_iter()
                    .flatten()
                    .for_each(|line| eprintln!("{line}"));
            }
        }
        match consent::ask(&what).await {
            Consent::Given => {}
            Consent::Refused => return Ok((false, counts, hours)),
            Consent::NobodyToAsk => return Err(consent::nobody(&what)),
        }
    }
    let how = if hours == 0 { How::ForGood } else { How::Keep };
    let gone = forget::forget(engine.db(), scope, &command.ids, how).await?;
    for id in command.ids.iter().filter(|id| !gone.not_found.contains(id)) {
        context.noting().inspect(|noting| noting.record(&id.to_string()));
    }
    Ok((true, gone, hours))
}

/// Describes the records, and whose they are.
fn described(gone: &Forgotten, hours: u64) -> String {
    let mut text = counted(gone.sources, "record");
    let others: Vec<String> = gone.others.iter().map(|(owner, count)| format!("{count} of {owner}")).collect();
    if !others.is_empty() {
        text.push_str(&format!(" ({})", others.join(", ")));
    }
    if hours == 0 {
        text.push_str(" for good");
    }
    text
}

fn said(command: &Forget, gone: &Forgotten, deleted: bool, hours: u64) -> String {
    let records = described(gone, hours);
    match (deleted, hours) {
        (false, _) if command.dry_run => format!("Nothing was deleted: {records} would be."),
        (false, _) => "Nothing was deleted.".to_owned(),
        (true, 0) => format!("Deleted {records}."),
        (true, hours) => {
            let time = if hours % 24 == 0 { counted(hours / 24, "day") } else { counted(hours, "hour") };
            let ids = command.ids.iter().filter(|id| !gone.not_found.contains(id));
            let ids: Vec<String> = ids.map(Uuid::to_string).collect();
            let them = if ids.len() == 1 { "it" } else { "them" };
            format!(
                "Deleted {records}. This brings {them} back within {time}:\n  `mcp-server restore {}`",
                ids.join(" ")
            )
        }
    }
}
