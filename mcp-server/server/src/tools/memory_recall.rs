//! `memory_recall`: finds memories.

#![expect(missing_docs, reason = "the comment of a field is its description in the schema that every host reads")]

use jiff::Timestamp;
use pgrecall_postgres::db::Scope;
use pgrecall_record::source::{RecordFields, SourceKind, Status};
use pgrecall_store::recall::{Explain, Filter, Hit, Query, Strategy, Superseded};
use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::engine::Engine;
use uuid::Uuid;

use super::{
    Effect, StoredText, Tool, ToolError,
    budget::Shown,
    page::{self, Page, Wanted, narrow},
    present::{Place, moment, rounded},
};
use pgrecall_callers::caller::Caller;

/// The tool `memory_recall`.
pub struct MemoryRecall;

/// What it takes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Arguments {
    /// The question in plain words.
    pub query: String,
    /// entity: only those naming one of entity_urns.
    #[schemars(with = "String", extend("enum" = ["auto", "semantic", "lexical", "hybrid", "entity"]))]
    pub strategy: Strategy,
    /// Naming one of these.
    pub entity_urns: Vec<String>,
    #[schemars(extend("enum" = ["knowledge", "event", "entity", "relationship", "preference"]))]
    pub dimension: Option<String>,
    /// Having all of these.
    pub tags: Vec<String>,
    /// Metadata it must contain; $category, $owner, $created_from are fields.
    pub filter: Map<String, Value>,
    /// Include superseded and archived memories.
    pub include_stale: bool,
    /// Only what was valid at this date or time.
    pub as_of: Option<String>,
    pub changed_since: Option<String>,
    /// concise: little more than content.
    #[schemars(with = "String", extend("enum" = ["concise", "detailed"]))]
    pub response: Response,
    #[serde(flatten)]
    pub page: Wanted,
}

/// The amount of detail of each result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// All known fields.
    #[default]
    Detailed,
    /// The content, and few other fields.
    Concise,
}

/// What it answers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Answer {
    #[schemars(skip)]
    pub notice: StoredText,
    pub memories: Vec<Memory>,
    #[serde(flatten)]
    pub page: Page,
}

// One memory. The schema names only the fields that are always present; a `//` comment stays out of
// the schema.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Memory {
    #[schemars(with = "String")]
    pub id: Uuid,
    pub content: String,
    pub score: f64,
    #[serde(flatten)]
    #[schemars(skip)]
    pub rest: Rest,
}

/// The optional fields of a memory.
#[derive(Debug, Serialize)]
pub struct Rest {
    #[serde(flatten, serialize_with = "RecordFields::non_empty")]
    pub fields: RecordFields,
    /// Where `content` begins if it is cut.
    #[serde(flatten)]
    pub place: Place,
    /// Present unless the memory is active.
    #[serde(skip_serializing_if = "is_active")]
    pub status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_verified: Option<Timestamp>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    supersedes: Vec<Superseded>,
    #[serde(skip_serializing_if = "Option::is_none")]
    superseded_by: Option<Uuid>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    near_duplicates: Vec<Uuid>,
    /// The owner, if it is not the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The author of the text, if it is not the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explain>,
}

impl Arguments {
    /// Converts the arguments to a query.
    pub fn query(self) -> Result<Query, ToolError> {
        let as_of = moment("as_of", self.as_of.as_ref())?;
        let blank = self.query.trim().is_empty();
        let strategy = match self.strategy {
            // Without a text, only the named entities can select memories.
            Strategy::Auto if blank && !self.entity_urns.is_empty() => Strategy::Entity,
            strategy => strategy,
        };
        if strategy == Strategy::Entity && self.entity_urns.is_empty() {
            return Err(ToolError::caller("strategy entity needs `entity_urns`: name at least one"));
        }
        if blank && strategy != Strategy::Entity {
            return Err(ToolError::caller("`query` is blank: ask a question in plain words, or give `entity_urns`"));
        }
        let filter = Filter {
            kinds: vec![SourceKind::Memory],
            tags: self.tags,
            entity_urns: self.entity_urns,
            dimension: self.dimension,
            include_stale: self.include_stale,
            as_of,
            ..Filter::default()
        };
        let mut filter = narrow(filter, self.filter)?;
        let changed_since = moment("changed_since", self.changed_since.as_ref())?;
        filter.fields.changed_since = changed_since.or(filter.fields.changed_since);
        self.page.query(self.query, strategy, filter)
    }
}

impl Tool for MemoryRecall {
    const NAME: &'static str = "memory_recall";
    const TITLE: &'static str = "Recall";
    const DESCRIPTION: &'static str = "Finds memories by meaning and keywords, best first. Call it before you answer \
        anything that may depend on earlier conversations: people, preferences, decisions, plans, dates.";
    const EFFECT: Effect = Effect::Reads;
    type Arguments = Arguments;
    type Answer = Answer;

    async fn call(engine: &Engine, caller: &Caller, arguments: Arguments) -> Result<Answer, ToolError> {
        let (max_tokens, response) = (arguments.page.max_tokens, arguments.response);
        recall(engine, &caller.scope, arguments.query()?, max_tokens, response).await
    }
}

/// Finds memories, and keeps the answer small.
pub async fn recall(
    engine: &Engine,
    scope: &Scope,
    query: Query,
    max_tokens: Option<usize>,
    response: Response,
) -> Result<Answer, ToolError> {
    let show = |hit| match response {
        Response::Detailed => Memory::of(hit),
        Response::Concise => Memory::of(hit).concise(),
    };
    let (mut memories, page, _) = page::read(engine, scope, query, max_tokens, show, Memory::shown).await?;
    memories.sort_by(|a, b| b.score.total_cmp(&a.score));
    Ok(Answer { notice: StoredText, memories, page })
}

impl Memory {
    pub(super) fn of(hit: Hit) -> Self {
        let place = Place::of(&hit);
        Self {
            id: hit.id,
            content: hit.text,
            score: rounded(hit.score),
            rest: Rest {
                place,
                fields: hit.fields,
                status: hit.status,
                created_at: Some(hit.created_at),
                last_verified: hit.last_verified,
                supersedes: hit.supersedes,
                superseded_by: hit.superseded_by,
                near_duplicates: hit.near_duplicates,
                owner: hit.owner,
                changed_by: hit.changed_by,
                explain: hit.explain,
            },
        }
    }

    pub(super) fn shown(&mut self) -> Vec<Shown<'_>> {
        vec![Shown { text: &mut self.content, place: Some(&mut self.rest.place) }]
    }

    /// Keeps the fields that change how a memory must be understood.
    ///
    /// These are its status, its end, its title, what it replaced, its near-duplicates, its owner
    /// and author, and the explanation of its score if the caller asked for it.
    fn concise(mut self) -> Self {
        let RecordFields { title, valid_to, .. } = self.rest.fields;
        self.rest.fields = RecordFields { title, valid_to, ..RecordFields::default() };
        (self.rest.created_at, self.rest.last_verified) = (None, None);
        self
    }
}

fn is_active(status: &Status) -> bool {
    *status == Status::Active
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_query_needs_something_else_to_go_by() {
        assert!(Arguments::default().query().unwrap_err().to_string().contains("`query` is blank"));
        let named = Arguments { entity_urns: vec!["urn:x".into()], ..Default::default() };
        assert_eq!(named.query().unwrap().strategy, Strategy::Entity);
        let entity = Arguments { query: "q".into(), strategy: Strategy::Entity, ..Default::default() };
        assert!(entity.query().unwrap_err().to_string().contains("entity_urns"));
    }
}
