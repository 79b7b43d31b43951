//! `search`: finds documents and the other sources that are not memories.
//!
//! `results` keeps the shape that ChatGPT's connectors expect, {id, title, url, text}; what else a hit has stands beside it.

use std::collections::BTreeMap;

use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::{
    db::Scope,
    engine::Engine,
    recall::{Diversity, Explain, Filter, Hit, Query, Ranking, Strategy},
    source::SourceKind,
};
use uuid::Uuid;

use super::{
    Effect, StoredText, Tool, ToolError,
    arguments::kinds,
    budget::{fit, note},
    fetch::parse_id,
    memory_recall::{DEFAULT_LIMIT, More, diversity, is_empty, next_page, paged, rounded},
};
use crate::auth::Caller;

/// The tool.
pub(crate) struct Search;

/// What it takes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["query"]))]
pub(crate) struct Arguments {
    /// The question, in plain words.
    pub(crate) query: String,
    #[schemars(with = "String", extend("enum" = ["auto", "semantic", "lexical", "hybrid"]))]
    pub(crate) strategy: Strategy,
    /// Any of document, asset, prompt, tool, api_operation, memory. Default: all but memory.
    pub(crate) kinds: Vec<String>,
    #[schemars(with = "String")]
    pub(crate) collection: Option<String>,
    /// All of these.
    pub(crate) tags: Vec<String>,
    /// Metadata that it must contain.
    pub(crate) filter: Map<String, Value>,
    #[schemars(with = "u32", range(min = 1, max = 100), extend("default" = 10))]
    pub(crate) limit: Option<usize>,
    /// Keeps the answer below this.
    #[schemars(with = "u32", range(min = 100, max = 100_000))]
    pub(crate) max_tokens: Option<usize>,
    #[schemars(with = "String", extend("enum" = ["none", "distinct", "mmr"]))]
    pub(crate) diversity: Option<Diversity>,
    #[schemars(with = "String")]
    pub(crate) cursor: Option<String>,
    /// Say how each score came about.
    pub(crate) explain: bool,
    #[schemars(with = "String")]
    pub(crate) why_not: Option<String>,
}

/// What it answers.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Answer {
    #[schemars(skip)]
    pub(crate) notice: StoredText,
    pub(crate) results: Vec<Found>,
    pub(crate) count: usize,
    #[schemars(with = "String")]
    pub(crate) strategy: Strategy,
    #[schemars(with = "String")]
    pub(crate) ranking: Ranking,
    /// Answered with less than was asked for; note says why.
    pub(crate) degraded: bool,
    /// Empty when there is nothing to say.
    pub(crate) note: String,
    #[serde(flatten)]
    #[schemars(skip)]
    pub(crate) more: More,
    /// How many candidates of each kind were ranked.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(skip)]
    pub(crate) kinds: BTreeMap<SourceKind, usize>,
}

// One source with its best passage. The schema names what is always there; a comment that is not documentation stays out of it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct Found {
    #[schemars(with = "String")]
    pub(crate) id: Uuid,
    pub(crate) title: String,
    pub(crate) url: String,
    /// The best passage.
    pub(crate) text: String,
    pub(crate) score: f64,
    #[schemars(with = "String")]
    pub(crate) kind: SourceKind,
    #[serde(flatten)]
    #[schemars(skip)]
    pub(crate) rest: Rest,
}

/// What a source may also have.
#[derive(Debug, Serialize)]
pub(crate) struct Rest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) collection: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) heading: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "is_empty")]
    pub(crate) metadata: Value,
    /// Whose it is, if it is not the caller's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
    /// Who wrote what it says, if that is not its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) changed_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) explain: Option<Explain>,
}

impl Arguments {
    /// The query that they describe.
    pub(crate) fn query(self) -> Result<Query, ToolError> {
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
pub(crate) async fn search(
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
    pub(super) fn of(hit: Hit) -> Self {
        Self {
            url: url(&hit),
            title: title(&hit),
            id: hit.id,
            text: hit.text,
            score: rounded(hit.score),
            kind: hit.kind,
            rest: Rest {
                key: hit.key,
                collection: hit.collection,
                heading: hit.heading,
                tags: hit.tags,
                metadata: hit.metadata,
                owner: hit.owner,
                changed_by: hit.changed_by,
                explain: hit.explain,
            },
        }
    }
}

/// Where a source is from: connectors want an address for every result, and cite it.
pub(super) fn url(hit: &Hit) -> String {
    hit.uri.clone().unwrap_or_else(|| format!("pgrecall://{}/{}", hit.kind, hit.id))
}

/// A source's title; for one without, its first words.
pub(crate) fn title(hit: &Hit) -> String {
    if !hit.title.trim().is_empty() {
        return hit.title.clone();
    }
    let line = hit.text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    match line.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line.to_owned(),
    }
}
