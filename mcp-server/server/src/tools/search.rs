//! `search`: finds documents and the other sources that are not memories.
//!
//! `results` keeps the shape that ChatGPT's connectors expect, {id, title, url, text}; what else a hit has stands beside it.

#![expect(missing_docs, reason = "the comment of a field is its description in the schema that every host reads")]

use std::collections::BTreeMap;

use pgrecall_postgres::db::Scope;
use pgrecall_record::source::{RecordFields, SourceKind};
use pgrecall_store::recall::{Diversity, Explain, Filter, Hit, Query, Ranking, Strategy};
use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::engine::Engine;
use uuid::Uuid;

use super::{
    Effect, StoredText, Tool, ToolError,
    arguments::kinds,
    budget::{fit, note},
    fetch::parse_id,
    memory_recall::{DEFAULT_LIMIT, More, diversity, next_page, paged, rounded},
};
use pgrecall_callers::auth::Caller;

/// The tool.
pub struct Search;

/// What it takes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["query"]))]
pub struct Arguments {
    /// The question, in plain words.
    pub query: String,
    #[schemars(with = "String", extend("enum" = ["auto", "semantic", "lexical", "hybrid"]))]
    pub strategy: Strategy,
    /// Any of document, asset, prompt, tool, api_operation, memory. Default: all but memory.
    pub kinds: Vec<String>,
    #[schemars(with = "String")]
    pub collection: Option<String>,
    /// All of these.
    pub tags: Vec<String>,
    /// Metadata that it must contain.
    pub filter: Map<String, Value>,
    #[schemars(with = "u32", range(min = 1, max = 100), extend("default" = 10))]
    pub limit: Option<usize>,
    /// Keeps the answer below this.
    #[schemars(with = "u32", range(min = 100, max = 100_000))]
    pub max_tokens: Option<usize>,
    #[schemars(with = "String", extend("enum" = ["none", "distinct", "mmr"]))]
    pub diversity: Option<Diversity>,
    #[schemars(with = "String")]
    pub cursor: Option<String>,
    /// Say how each score came about.
    pub explain: bool,
    #[schemars(with = "String")]
    pub why_not: Option<String>,
}

/// What it answers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Answer {
    #[schemars(skip)]
    pub notice: StoredText,
    pub results: Vec<Found>,
    pub count: usize,
    #[schemars(with = "String")]
    pub strategy: Strategy,
    #[schemars(with = "String")]
    pub ranking: Ranking,
    /// Answered with less than was asked for; note says why.
    pub degraded: bool,
    /// Empty when there is nothing to say.
    pub note: String,
    #[serde(flatten)]
    #[schemars(skip)]
    pub more: More,
    /// How many candidates of each kind were ranked.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(skip)]
    pub kinds: BTreeMap<SourceKind, usize>,
}

// One source with its best passage. The schema names what is always there; a comment that is not documentation stays out of it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Found {
    #[schemars(with = "String")]
    pub id: Uuid,
    pub title: String,
    pub url: String,
    /// The best passage.
    pub text: String,
    pub score: f64,
    #[schemars(with = "String")]
    pub kind: SourceKind,
    #[serde(flatten)]
    #[schemars(skip)]
    pub rest: Rest,
}

/// What a source may also have.
#[derive(Debug, Serialize)]
pub struct Rest {
    #[serde(flatten, serialize_with = "RecordFields::non_empty")]
    pub fields: RecordFields,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub heading: String,
    /// Whose it is, if it is not the caller's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Who wrote what it says, if that is not its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explain>,
}

impl Arguments {
    /// The query that they describe.
    pub fn query(self) -> Result<Query, ToolError> {
        if self.query.trim().is_empty() {
            return Err(ToolError::Caller("`query` is blank: ask a question in plain words".to_owned()));
        }
        let kinds = if self.kinds.is_empty() {
            SourceKind::SEARCHED.to_vec()
        } else {
            kinds(&self.kinds).map_err(ToolError::Caller)?
        };
        let mut filter = Filter { kinds, collection: self.collection, tags: self.tags, ..Filter::default() };
        filter.narrow(self.filter).map_err(|error| ToolError::Caller(error.to_string()))?;
        paged(
            Query {
                text: self.query,
                strategy: self.strategy,
                filter,
                limit: self.limit.unwrap_or(DEFAULT_LIMIT),
                diversity: diversity(self.diversity, self.max_tokens),
                why_not: self.why_not.map(|id| parse_id(&id)).transpose()?,
                explain: self.explain,
                ..Query::default()
            },
            self.cursor.as_deref(),
        )
    }
}

impl Tool for Search {
    const NAME: &'static str = "search";
    const TITLE: &'static str = "Search documents";
    const DESCRIPTION: &'static str = "Finds documents, saved assets, prompts, tools and API operations by meaning and by words; \
        each with its best passage. fetch returns the whole text.";
    const EFFECT: Effect = Effect::Reads;
    type Arguments = Arguments;
    type Answer = Answer;

    async fn call(engine: &Engine, caller: &Caller, arguments: Arguments) -> Result<Answer, ToolError> {
        let max_tokens = arguments.max_tokens;
        search(engine, &caller.scope, arguments.query()?, max_tokens).await
    }
}

/// Finds sources, and keeps the answer small.
pub async fn search(
    engine: &Engine,
    scope: &Scope,
    query: Query,
    max_tokens: Option<usize>,
) -> Result<Answer, ToolError> {
    let found = engine.recall(scope, query.clone()).await?;
    let mut results: Vec<Found> = found.hits.into_iter().map(Found::of).collect();
    let left_out = fit(&mut results, max_tokens, |found| &mut found.text);
    results.sort_by(|a, b| b.score.total_cmp(&a.score));
    let count = results.len();
    let cursor = next_page(&query, count, found.more || left_out > 0);
    Ok(Answer {
        notice: StoredText,
        results,
        count,
        strategy: found.strategy,
        ranking: found.ranking,
        degraded: found.degraded,
        note: note(found.note, found.end, left_out),
        more: More { cursor, filters: found.filters, why_not: found.why_not },
        kinds: found.kinds,
    })
}

impl Found {
    pub fn of(hit: Hit) -> Self {
        let (url, title) = (url(&hit), title(&hit));
        Self {
            id: hit.id,
            title,
            url,
            text: hit.text,
            score: rounded(hit.score),
            kind: hit.kind,
            rest: Rest {
                // Title and address stand above.
                fields: RecordFields { title: String::new(), uri: None, ..hit.fields },
                heading: hit.heading,
                owner: hit.owner,
                changed_by: hit.changed_by,
                explain: hit.explain,
            },
        }
    }
}

/// Where a source is from: connectors want an address for every result, and cite it.
pub fn url(hit: &Hit) -> String {
    hit.fields.uri.clone().unwrap_or_else(|| format!("pgrecall://{}/{}", hit.kind, hit.id))
}

/// A source's title; for one without, its first words.
pub fn title(hit: &Hit) -> String {
    if !hit.fields.title.trim().is_empty() {
        return hit.fields.title.clone();
    }
    let line = hit.text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    match line.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line.to_owned(),
    }
}
