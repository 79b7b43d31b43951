//! `memory_forget`: deletes sources, after a dry run that counts them. They can be restored for a
//! while.

use std::collections::BTreeMap;

use pgrecall_store::forget::{self, How};
use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use shared::engine::Engine;
use uuid::Uuid;

use super::{Effect, Tool, ToolError, present::parse_id};
use pgrecall_callers::caller::Caller;

/// Ids in one call. More would be a clean-up, which an agent should not do in one step.
const MAX_IDS: usize = 100;

/// The tool `memory_forget`.
pub(crate) struct MemoryForget;

/// What it takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["ids"]))]
pub(crate) struct Arguments {
    /// From memory_recall or search.
    #[schemars(length(min = 1, max = 100))]
    ids: Vec<String>,
    /// true counts, false deletes.
    dry_run: bool,
    /// Delete irreversibly.
    for_good: bool,
}

impl Default for Arguments {
    fn default() -> Self {
        Self { ids: Vec::new(), dry_run: true, for_good: false }
    }
}

/// What it answers: exact counts of what would go, or is gone.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Answer {
    dry_run: bool,
    sources: u64,
    passages: u64,
    vectors: u64,
    jobs: u64,
    /// What a recall could still find of it.
    left: u64,
    /// Ids that name nothing.
    #[schemars(with = "Vec<String>")]
    not_found: Vec<Uuid>,
    /// How many of them are somebody else's, by their owners.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(skip)]
    others: BTreeMap<String, u64>,
    note: String,
}

impl Tool for MemoryForget {
    const NAME: &'static str = "memory_forget";
    const TITLE: &'static str = "Forget";
    const DESCRIPTION: &'static str = "Deletes memories or other records by id. Call it only when the user asks for it. The \
        first call only counts what would be deleted; the same call with dry_run false deletes it. A deletion can be \
        undone for a while.";
    const EFFECT: Effect = Effect::Deletes;
    type Arguments = Arguments;
    type Answer = Answer;

    async fn call(engine: &Engine, caller: &Caller, arguments: Arguments) -> Result<Answer, ToolError> {
        let Arguments { ids, dry_run, for_good } = arguments;
        if ids.is_empty() || ids.len() > MAX_IDS {
            return Err(ToolError::Caller(format!("`ids` has {} entries: give 1 to {MAX_IDS}", ids.len())));
        }
        let ids = ids.iter().map(|id| parse_id(id)).collect::<Result<Vec<_>, _>>()?;
        let kept = engine.keeps_forgotten();
        let how = match (dry_run, for_good || kept.is_zero()) {
            (true, _) => How::Count,
            (false, false) => How::Keep,
            (false, true) if caller.scopes.admin => How::ForGood,
            (false, true) => How::OwnForGood,
        };
        let gone = forget::forget(engine.db(), &caller.scope, &ids, how).await?;
        let may_not = (for_good || kept.is_zero()) && !caller.scopes.admin && !gone.others.is_empty();
        if may_not {
            let owners: Vec<&str> = gone.others.keys().map(String::as_str).collect();
            let way = if for_good { "leave out for_good, which can be undone" } else { "archive them instead" };
            return Err(ToolError::Caller(format!(
                "nothing is deleted: some of these records belong to {}, and only a key with the scope `admin` deletes for good what is \
                 not its own; {way}",
                owners.join(", ")
            )));
        }
        let note = match (gone.sources, how) {
            (0, _) => "no record has these ids".to_owned(),
            (_, How::Count) if for_good => {
                "nothing is deleted yet: call again with dry_run false to delete this for good, which cannot be undone"
                    .to_owned()
            }
            (_, How::Count) => "nothing is deleted yet: call again with dry_run false to delete this".to_owned(),
            (_, How::Keep) => {
                let hours = kept.as_secs().div_ceil(3600);
                format!("deleted; memory_manage restores it within {hours} hours, unless it is deleted for good")
            }
            _ => "deleted for good".to_owned(),
        };
        Ok(Answer {
            dry_run,
            sources: gone.sources,
            passages: gone.passages,
            vectors: gone.vectors,
            jobs: gone.jobs,
            left: gone.left,
            not_found: gone.not_found,
            others: gone.others,
            note,
        })
    }
}
