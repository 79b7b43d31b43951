//! `memory_manage`: maintains memories one by one, in lists, and by reviews of them.

use std::time::Duration;

use jiff::Timestamp;
use pgrecall_postgres::db::Scope;
use pgrecall_record::source::{MAX_MEMORY_BYTES, Record, SourceKind, Status};
use pgrecall_record::words::WeightedTerms;
use pgrecall_store::{
    correct::{self, Change},
    read,
    recall::{Filter, Hit},
    review,
    versions::{self, Version},
};
use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::engine::Engine;
use uuid::Uuid;

use super::{
    Effect, StoredText, Tool, ToolError,
    budget::fit,
    cursor,
    memory_recall::Memory,
    memory_remember::{joined, redacted},
    page::narrow,
    present::{moment, parse_id, rounded},
};
use pgrecall_callers::caller::Caller;

/// Default number of memories in a list.
const DEFAULT_LIMIT: usize = 20;
/// Default number of days since the last verification or change after which a memory is due for
/// review.
const DEFAULT_DAYS: u32 = 90;
/// Ids in one call.
const MAX_IDS: usize = 100;

/// The tool `memory_manage`.
pub(crate) struct MemoryManage;

/// An action of the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    #[default]
    Get,
    List,
    Update,
    Verify,
    Doubt,
    Archive,
    Restore,
    ReviewStale,
    ReviewDuplicates,
    Consolidate,
}

impl Action {
    fn effect(self) -> Effect {
        match self {
            Self::Get | Self::List | Self::ReviewStale | Self::ReviewDuplicates => Effect::Reads,
            Self::Update | Self::Verify | Self::Doubt | Self::Archive | Self::Restore | Self::Consolidate => {
                Effect::Adds
            }
        }
    }
}

/// What it takes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["action"]))]
pub(crate) struct Arguments {
    #[schemars(with = "String", extend("enum" = ["get", "list", "update", "verify", "doubt", "archive", "restore", "review_stale", "review_duplicates", "consolidate"]))]
    action: Action,
    /// Which memories.
    ids: Vec<String>,
    /// update, consolidate: the new text.
    content: Option<String>,
    #[schemars(extend("enum" = ["knowledge", "event", "entity", "relationship", "preference"]))]
    dimension: Option<String>,
    category: Option<String>,
    entity_urns: Option<Vec<String>>,
    tags: Option<Vec<String>>,
    /// update: keys to set; null removes a key.
    metadata: Map<String, Value>,
    valid_from: Option<String>,
    valid_to: Option<String>,
    /// As in memory_recall.
    filter: Map<String, Value>,
    /// review_stale: days since the last check.
    #[schemars(range(min = 1, max = 3650), extend("default" = 90))]
    days: Option<u32>,
    #[schemars(range(min = 1, max = 100), extend("default" = 20))]
    limit: Option<usize>,
    cursor: Option<String>,
}

/// What it answers.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Answer {
    // Present if there is stored text below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    notice: Option<StoredText>,
    memories: Vec<Memory>,
    count: usize,
    /// Ids of the changed memories.
    #[schemars(with = "Vec<String>")]
    changed: Vec<Uuid>,
    /// Ids that no record has.
    #[schemars(with = "Vec<String>")]
    not_found: Vec<Uuid>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(skip)]
    versions: Vec<Version>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(skip)]
    duplicates: Vec<Duplicates>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    note: String,
}

/// Two near-duplicate memories, the newer first.
#[derive(Debug, Serialize)]
struct Duplicates {
    ids: [Uuid; 2],
    similarity: f64,
}

impl Tool for MemoryManage {
    const NAME: &'static str = "memory_manage";
    const TITLE: &'static str = "Manage memories";
    const DESCRIPTION: &'static str = "Corrects and reviews memories. get: read with history. list: newest first. \
        update: change the given fields. verify: mark as still true. doubt, archive: exclude from recall. restore: undo \
        these, a deletion or a replacement. review_stale: list memories to check. review_duplicates: list pairs of \
        near-duplicates. consolidate: replace several (ids) by one (content).";
    const EFFECT: Effect = Effect::Adds;
    type Arguments = Arguments;
    type Answer = Answer;

    fn effect(action: Option<&str>) -> Effect {
        let action = action.and_then(|name| serde_json::from_value(Value::from(name)).ok());
        action.map_or(Self::EFFECT, Action::effect)
    }

    async fn call(engine: &Engine, caller: &Caller, arguments: Arguments) -> Result<Answer, ToolError> {
        let scope = &caller.scope;
        let ids = arguments.ids()?;
        if let Some(unused) = arguments.unused() {
            let action = serde_json::to_value(arguments.action).expect("an action has a name");
            return Err(ToolError::Caller(format!(
                "{action} does not use `{unused}`: leave it out, or use another action"
            )));
        }
        match arguments.action {
            Action::Get => get(engine, scope, ids).await,
            Action::List => list(engine, scope, &arguments).await,
            Action::Update => update(engine, scope, arguments, ids).await,
            Action::Verify => mark(engine, scope, ids, Status::Active, true).await,
            Action::Doubt => mark(engine, scope, ids, Status::Stale, false).await,
            Action::Archive => mark(engine, scope, ids, Status::Archived, false).await,
            Action::Restore => restore(engine, scope, ids).await,
            Action::ReviewStale => review_stale(engine, scope, &arguments).await,
            Action::ReviewDuplicates => review_duplicates(engine, scope, &arguments).await,
            Action::Consolidate => consolidate(engine, scope, arguments, ids).await,
        }
    }
}

impl Arguments {
    fn ids(&self) -> Result<Vec<Uuid>, ToolError> {
        let count = self.ids.len();
        let wanted = match self.action {
            Action::List | Action::ReviewStale | Action::ReviewDuplicates => 0..=MAX_IDS,
            Action::Update => 1..=1,
            Action::Consolidate => 2..=MAX_IDS,
            _ => 1..=MAX_IDS,
        };
        if !wanted.contains(&count) {
            let wanted = match (wanted.start(), wanted.end()) {
                (1, 1) => "exactly one".to_owned(),
                (from, to) => format!("{from} to {to}"),
            };
            return Err(ToolError::Caller(format!("`ids` has {count} entries: give {wanted}")));
        }
        self.ids.iter().map(|id| parse_id(id)).collect()
    }

    /// Returns an argument that was given, but that this action would ignore.
    fn unused(&self) -> Option<&'static str> {
        let one_by_one = !self.ids.is_empty();
        let narrows = !self.filter.is_empty();
        let says = self.content.is_some();
        let dates = self.valid_from.is_some() || self.valid_to.is_some();
        let labels = self.dimension.is_some()
            || self.category.is_some()
            || self.tags.as_ref().is_some_and(|tags| !tags.is_empty())
            || self.entity_urns.as_ref().is_some_and(|urns| !urns.is_empty());
        let changes = [("content", says), ("metadata", !self.metadata.is_empty()), ("valid_from or valid_to", dates)];
        let unused: Vec<(&str, bool)> = match self.action {
            Action::Update | Action::Consolidate => {
                vec![("filter", narrows), ("days", self.days.is_some()), ("cursor", self.cursor.is_some())]
            }
            Action::List | Action::ReviewDuplicates => [&changes[..], &[("ids", one_by_one)]].concat(),
            Action::ReviewStale => [&changes[..], &[("ids", one_by_one), ("cursor", self.cursor.is_some())]].concat(),
            Action::Get | Action::Verify | Action::Doubt | Action::Archive | Action::Restore => {
                let labels = ("dimension, category, tags or entity_urns", labels);
                [&changes[..], &[labels, ("filter", narrows), ("cursor", self.cursor.is_some())]].concat()
            }
        };
        unused.into_iter().find_map(|(name, given)| given.then_some(name))
    }

    fn filter(&self) -> Result<Filter, ToolError> {
        let mut filter = narrow(Filter::of(SourceKind::Memory), self.filter.clone())?;
        filter.dimension.clone_from(&self.dimension);
        filter.category = self.category.clone().or(filter.category);
        filter.tags = self.tags.clone().unwrap_or_default();
        filter.entity_urns = self.entity_urns.clone().unwrap_or_default();
        filter.check().map_err(ToolError::caller)?;
        Ok(filter)
    }

    fn limit(&self) -> usize {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }

    /// Returns the text that binds a cursor to this call.
    fn call(&self) -> String {
        let asked = (self.action, &self.filter, &self.dimension, &self.category, &self.tags, &self.entity_urns);
        serde_json::to_string(&asked).expect("arguments have text keys only")
    }

    fn place(&self, engine: &Engine, scope: &Scope) -> Result<Option<i64>, ToolError> {
        self.cursor.as_ref().map(|cursor| cursor::open(engine, scope, &self.call(), cursor)).transpose()
    }

    fn change(self) -> Result<Change, ToolError> {
        Ok(Change {
            body: self.content,
            dimension: self.dimension,
            category: self.category,
            entity_urns: self.entity_urns,
            tags: self.tags,
            metadata: self.metadata,
            valid_from: moment("valid_from", self.valid_from.as_ref())?,
            valid_to: moment("valid_to", self.valid_to.as_ref())?,
            ..Change::default()
        })
    }
}

impl Answer {
    fn of(mut memories: Vec<Memory>) -> Self {
        fit(&mut memories, None, &WeightedTerms::default(), Memory::shown);
        let notice = (!memories.is_empty()).then_some(StoredText);
        Self { notice, count: memories.len(), memories, ..Self::default() }
    }

    fn changed(changed: Vec<Uuid>, ids: &[Uuid], note: &str) -> Self {
        let not_found = ids.iter().filter(|id| !changed.contains(id)).copied().collect();
        let note = if changed.is_empty() { "no record has these ids" } else { note };
        Self { count: changed.len(), changed, not_found, note: note.to_owned(), ..Self::default() }
    }
}

async fn get(engine: &Engine, scope: &Scope, ids: Vec<Uuid>) -> Result<Answer, ToolError> {
    let (mut memories, mut not_found) = (Vec::new(), Vec::new());
    for id in ids {
        let history = review::history(engine.db(), scope, id).await?;
        if history.is_empty() {
            not_found.push(id);
        }
        // The memories that it replaced and those that replaced it, the oldest first.
        let new = history.into_iter().map(Memory::of);
        let known: Vec<Uuid> = memories.iter().map(|memory: &Memory| memory.id).collect();
        memories.extend(new.filter(|memory| !known.contains(&memory.id)));
    }
    let ids: Vec<Uuid> = memories.iter().map(|memory| memory.id).collect();
    let versions = versions::list(engine.db(), scope, &ids, engine.keeps_forgotten()).await?;
    Ok(Answer { not_found, versions, ..Answer::of(memories) })
}

async fn list(engine: &Engine, scope: &Scope, arguments: &Arguments) -> Result<Answer, ToolError> {
    let whole = MAX_MEMORY_BYTES as i32;
    let place = arguments.place(engine, scope)?;
    let page = review::list(engine.db(), scope, &arguments.filter()?, place, arguments.limit(), whole).await?;
    let cursor = page.next.map(|place| cursor::seal(engine, scope, &arguments.call(), place));
    Ok(Answer { cursor, ..Answer::of(page.hits.into_iter().map(Memory::of).collect()) })
}

async fn update(engine: &Engine, scope: &Scope, arguments: Arguments, ids: Vec<Uuid>) -> Result<Answer, ToolError> {
    let change = arguments.change()?;
    if change.is_empty() {
        return Err(ToolError::caller("nothing to change: give `content` or another field"));
    }
    let Some(updated) = engine.update(scope, ids[0], change).await? else {
        return Ok(Answer::changed(Vec::new(), &ids, ""));
    };
    let receipt = updated.map_err(ToolError::caller)?;
    let is = read::fetch(engine.db(), scope, ids[0]).await?;
    let mut note = match is.as_ref().map_or(Status::Active, |found| found.hit.status) {
        Status::Active => "changed; keyword search finds it now, and vector search once it is embedded".to_owned(),
        status => format!("changed; it is {}, and recalled only with include_stale", status.as_str()),
    };
    if let Some(owner) = is.and_then(|found| found.hit.owner) {
        note.push_str(&format!("; it belongs to {owner}"));
    }
    Ok(Answer::changed(ids.clone(), &ids, &joined([note, redacted(&receipt.redacted)])))
}

async fn mark(
    engine: &Engine,
    scope: &Scope,
    ids: Vec<Uuid>,
    status: Status,
    verified: bool,
) -> Result<Answer, ToolError> {
    let changed = correct::set_status(engine.db(), scope, &ids, status, verified).await?;
    let note = match status {
        Status::Active => "verified",
        _ => "no longer recalled, unless include_stale asks for it",
    };
    let mut answer = Answer::changed(changed, &ids, note);
    // Ids that exist but did not change belong to superseded memories.
    let mut superseded = Vec::new();
    for id in std::mem::take(&mut answer.not_found) {
        match read::fetch(engine.db(), scope, id).await?.map(|found| found.hit) {
            Some(Hit { superseded_by: Some(by), .. }) => superseded.push(format!("{id} by {by}")),
            // The caller may not see the memory that supersedes it.
            Some(Hit { status: Status::Superseded, .. }) => superseded.push(id.to_string()),
            _ => answer.not_found.push(id),
        }
    }
    if !superseded.is_empty() {
        let left = format!("superseded, and left as they are: {}; restore brings them back", superseded.join(", "));
        answer.note = if answer.changed.is_empty() { left } else { format!("{}; {left}", answer.note) };
    }
    Ok(answer)
}

async fn restore(engine: &Engine, scope: &Scope, ids: Vec<Uuid>) -> Result<Answer, ToolError> {
    let restored = engine.restore(scope, &ids).await?;
    let mut answer = Answer::changed(
        restored.restored,
        &ids,
        "restored; keyword search finds it now, and vector search once it is embedded",
    );
    answer.not_found = restored.not_found;
    let now = Timestamp::now();
    let mut over = Vec::new();
    for id in &answer.changed {
        let is = read::fetch(engine.db(), scope, *id).await?;
        over.extend(
            is.and_then(|found| found.hit.fields.valid_to)
                .filter(|end| *end <= now)
                .map(|end| format!("{id} at {end}")),
        );
    }
    if !over.is_empty() {
        answer.note =
            format!("restored, but no longer valid, so that only as_of or include_stale finds: {}", over.join(", "));
    }
    if !restored.key_taken.is_empty() {
        let taken: Vec<String> = restored.key_taken.iter().map(Uuid::to_string).collect();
        let taken = format!("not restored, because their keys belong to other memories now: {}", taken.join(", "));
        answer.note = if answer.changed.is_empty() { taken } else { format!("{}; {taken}", answer.note) };
    }
    Ok(answer)
}

async fn review_stale(engine: &Engine, scope: &Scope, arguments: &Arguments) -> Result<Answer, ToolError> {
    let unseen = Duration::from_secs(u64::from(arguments.days.unwrap_or(DEFAULT_DAYS)) * 86_400);
    let mut hits = review::stale(engine.db(), scope, &arguments.filter()?, unseen, arguments.limit() + 1).await?;
    let more = hits.len() > arguments.limit();
    hits.truncate(arguments.limit());
    let mut answer = Answer::of(hits.into_iter().map(Memory::of).collect());
    answer.note = match (answer.count, more) {
        (0, _) => "no memory needs a review",
        (_, false) => "verify what is still true, update what has changed, and archive or forget the rest",
        (_, true) => {
            "verify what is still true, update what has changed, and archive or forget the rest; more come up when these are done"
        }
    }
    .to_owned();
    Ok(answer)
}

async fn review_duplicates(engine: &Engine, scope: &Scope, arguments: &Arguments) -> Result<Answer, ToolError> {
    let place = arguments.place(engine, scope)?;
    let similarity = f64::from(engine.config().memory.remember.similarity) / 100.0;
    let found =
        review::duplicates(engine.db(), scope, &arguments.filter()?, similarity, place, arguments.limit()).await?;
    let Some((pairs, next)) = found else {
        return Ok(Answer {
            note: "nothing is embedded yet, and only vectors show near-duplicates".to_owned(),
            ..Answer::default()
        });
    };
    let mut memories = Vec::new();
    for id in pairs.iter().flat_map(|pair| [pair.newer, pair.older]) {
        if !memories.iter().any(|memory: &Memory| memory.id == id) {
            memories.extend(read::fetch(engine.db(), scope, id).await?.map(|found| Memory::of(found.hit)));
        }
    }
    let duplicates = pairs
        .iter()
        .map(|pair| Duplicates { ids: [pair.newer, pair.older], similarity: rounded(pair.similarity) })
        .collect();
    let cursor = next.map(|place| cursor::seal(engine, scope, &arguments.call(), place));
    let note = match (pairs.is_empty(), &cursor) {
        (false, _) => "consolidate those that mean the same, or forget one",
        (true, Some(_)) => "no near-duplicates on this page; continue with the cursor",
        (true, None) => "there are no near-duplicates",
    };
    Ok(Answer { duplicates, cursor, note: note.to_owned(), ..Answer::of(memories) })
}

async fn consolidate(
    engine: &Engine,
    scope: &Scope,
    arguments: Arguments,
    ids: Vec<Uuid>,
) -> Result<Answer, ToolError> {
    if arguments.content.as_deref().is_none_or(|content| content.trim().is_empty()) {
        return Err(ToolError::caller("consolidate needs `content`: the text of the new memory"));
    }
    let mut record = Record { supersedes: ids.clone(), ..Record::new(SourceKind::Memory, "") };
    arguments.change()?.apply(&mut record);
    let receipt = engine.consolidate(scope, record).await?.map_err(ToolError::caller)?;
    let note = format!("{} replaces {} memories", receipt.id, ids.len());
    Ok(Answer::changed(ids.clone(), &ids, &joined([note, redacted(&receipt.redacted)])))
}
