//! `search`: finds documents and the other sources that are not memories.
//!
//! `results` keeps the shape that ChatGPT's connectors expect, {id, title, url, text}, and adds the
//! other fields of a hit.

#![expect(missing_docs, reason = "the comment of a field is its description in the schema that every host reads")]

use std::collections::BTreeMap;

use pgrecall_postgres::db::Scope;
use pgrecall_record::source::{RecordFields, SourceKind};
use pgrecall_store::recall::{Explain, Filter, Hit, Query, Strategy};
use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::engine::Engine;
use uuid::Uuid;

use super::{
    Effect, StoredText, Tool, ToolError,
    arguments::kinds,
    budget::Shown,
    page::{self, Page, Wanted, narrow},
    present::{Place, rounded, title, url},
};
use pgrecall_callers::caller::Caller;

/// The tool `search`.
pub struct Search;

/// What it takes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["query"]))]
pub struct Arguments {
    /// The question in plain words.
    pub query: String,
    #[schemars(with = "String", extend("enum" = ["auto", "semantic", "lexical", "hybrid"]))]
    pub strategy: Strategy,
    /// document, asset, prompt, tool, api_operation, memory. Default: all but memory.
    pub kinds: Vec<String>,
    pub collection: Option<String>,
    /// Having all of these.
    pub tags: Vec<String>,
    /// Metadata it must contain.
    pub filter: Map<String, Value>,
    /// Of each result, by default 1.
    #[schemars(range(min = 1, max = 10))]
    pub passages: Option<usize>,
    #[serde(flatten)]
    pub page: Wanted,
}

/// What it answers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Answer {
    #[schemars(skip)]
    pub notice: StoredText,
    pub results: Vec<Found>,
    #[serde(flatten)]
    pub page: Page,
    /// Number of ranked candidates of each kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(skip)]
    pub kinds: BTreeMap<SourceKind, usize>,
}

// One source with its best passage. The schema names only the fields that are always present; a
// `//` comment stays out of the schema.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Found {
    #[schemars(with = "String")]
    pub id: Uuid,
    pub title: String,
    pub url: String,
    /// Its best passage.
    pub text: String,
    pub score: f64,
    #[schemars(with = "String")]
    pub kind: SourceKind,
    #[serde(flatten)]
    #[schemars(skip)]
    pub rest: Rest,
}

/// The optional fields of a source.
#[derive(Debug, Serialize)]
pub struct Rest {
    #[serde(flatten, serialize_with = "RecordFields::non_empty")]
    pub fields: RecordFields,
    /// Where `text` lies.
    #[serde(flatten)]
    pub place: Place,
    /// Further passages, best first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passages: Vec<Passage>,
    /// The owner, if it is not the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The author of the text, if it is not the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explain>,
}

/// A further passage of a source.
#[derive(Debug, Serialize)]
pub struct Passage {
    pub text: String,
    #[serde(flatten)]
    pub place: Place,
}

impl Arguments {
    /// Converts the arguments to a query.
    pub fn query(self) -> Result<Query, ToolError> {
        if self.query.trim().is_empty() {
            return Err(ToolError::caller("`query` is blank: ask a question in plain words"));
        }
        let kinds = if self.kinds.is_empty() {
            SourceKind::SEARCHED.to_vec()
        } else {
            kinds(&self.kinds).map_err(ToolError::Caller)?
        };
        let filter = Filter { kinds, collection: self.collection, tags: self.tags, ..Filter::default() };
        let query = self.page.query(self.query, self.strategy, narrow(filter, self.filter)?)?;
        Ok(Query { passages: self.passages.unwrap_or(1), ..query })
    }
}

impl Tool for Search {
    const NAME: &'static str = "search";
    const TITLE: &'static str = "Search documents";
    const DESCRIPTION: &'static str = "Finds documents, saved assets, prompts, tools and API operations by meaning and \
        keywords, each with its best passage. Call fetch for the whole text of a result.";
    const EFFECT: Effect = Effect::Reads;
    type Arguments = Arguments;
    type Answer = Answer;

    async fn call(engine: &Engine, caller: &Caller, arguments: Arguments) -> Result<Answer, ToolError> {
        let max_tokens = arguments.page.max_tokens;
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
    let (mut results, page, kinds) = page::read(engine, scope, query, max_tokens, Found::of, Found::shown).await?;
    results.sort_by(|a, b| b.score.total_cmp(&a.score));
    Ok(Answer { notice: StoredText, results, page, kinds })
}

impl Found {
    pub(super) fn of(hit: Hit) -> Self {
        let (url, title, place) = (url(&hit), title(&hit), Place::of(&hit));
        let passages = hit
            .more_passages
            .into_iter()
            .map(|passage| Passage { text: passage.text, place: Place::at(passage.starts_at, passage.heading) });
        Self {
            id: hit.id,
            title,
            url,
            text: hit.text,
            score: rounded(hit.score),
            kind: hit.kind,
            rest: Rest {
                // The title and the URI are fields of the result itself.
                fields: RecordFields { title: String::new(), uri: None, ..hit.fields },
                place,
                passages: passages.collect(),
                owner: hit.owner,
                changed_by: hit.changed_by,
                explain: hit.explain,
            },
        }
    }

    fn shown(&mut self) -> Vec<Shown<'_>> {
        let further = self.rest.passages.iter_mut();
        let further = further.map(|passage| Shown { text: &mut passage.text, place: Some(&mut passage.place) });
        let mut shown = vec![Shown { text: &mut self.text, place: Some(&mut self.rest.place) }];
        shown.extend(further);
        shown
    }
}
