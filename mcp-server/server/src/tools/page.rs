//! The code that memory_recall and search share: a query, one page of its results, and notes about
//! it.

#![expect(missing_docs, reason = "the comment of a field is its description in the schema that every host reads")]

use std::collections::BTreeMap;

use pgrecall_postgres::db::Scope;
use pgrecall_record::{source::SourceKind, words::WeightedTerms};
use pgrecall_store::coverage::Coverage;
use pgrecall_store::recall::{Diversity, Filter, Hit, MAX_OFFSET, Omission, Query, Ranking, Strategy, WhyNot};
use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::engine::Engine;

use super::{
    ToolError,
    budget::{Shown, fit, note},
    cursor,
    present::parse_id,
};

/// Default number of results.
pub const DEFAULT_LIMIT: usize = 10;

/// The arguments that memory_recall and search share.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Wanted {
    /// At most 100.
    #[schemars(range(min = 1, max = 100), extend("default" = 10))]
    limit: Option<usize>,
    /// Leave out results below this score, 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    min_score: Option<f64>,
    /// Maximum size of the answer.
    #[schemars(range(min = 100, max = 100_000))]
    pub(super) max_tokens: Option<usize>,
    /// distinct: near-duplicates once. mmr: varied results.
    #[schemars(with = "String", extend("enum" = ["none", "distinct", "mmr"]))]
    diversity: Option<Diversity>,
    /// From the last answer.
    cursor: Option<String>,
    /// Explain each score.
    explain: bool,
    /// Explain the absence of this id.
    why_not: Option<String>,
}

impl Wanted {
    /// The query for such a page.
    pub(super) fn query(self, text: String, strategy: Strategy, filter: Filter) -> Result<Query, ToolError> {
        let query = Query {
            text,
            strategy,
            filter,
            limit: self.limit.unwrap_or(DEFAULT_LIMIT),
            min_score: self.min_score,
            diversity: diversity(self.diversity, self.max_tokens),
            why_not: self.why_not.map(|id| parse_id(&id)).transpose()?,
            explain: self.explain,
            ..Query::default()
        };
        paged(query, self.cursor.as_deref())
    }
}

/// What is said of a page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Page {
    pub count: usize,
    #[schemars(with = "String")]
    pub strategy: Strategy,
    #[schemars(with = "String")]
    pub ranking: Ranking,
    /// Answered with less than was asked for; note says why.
    pub degraded: bool,
    /// Empty when there is nothing to say.
    pub note: String,
    /// Number of records that were left out, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(skip)]
    pub omitted: BTreeMap<Omission, usize>,
    /// What a search by vectors could not see.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub coverage: Option<Coverage>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub cursor: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(skip)]
    pub filters: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub why_not: Option<WhyNot>,
    // Choose the part of a text to show.
    #[serde(skip)]
    pub terms: WeightedTerms,
}

/// Adds the conditions of the caller to a filter.
pub(super) fn narrow(mut filter: Filter, asked: Map<String, Value>) -> Result<Filter, ToolError> {
    filter.narrow(asked).map_err(ToolError::caller)?;
    Ok(filter)
}

/// Returns the diversity of a query.
///
/// Near-duplicates are collapsed by default if the caller limits the tokens.
pub fn diversity(asked: Option<Diversity>, max_tokens: Option<usize>) -> Diversity {
    asked.unwrap_or(if max_tokens.is_some() { Diversity::Distinct } else { Diversity::None })
}

/// Sets a query's offset to the place of its cursor.
pub fn paged(query: Query, cursor: Option<&str>) -> Result<Query, ToolError> {
    let offset = cursor.map(|cursor| cursor::read(&call(&query), cursor)).transpose()?;
    Ok(Query { offset: offset.and_then(|offset| usize::try_from(offset).ok()).unwrap_or_default(), ..query })
}

/// Returns the text that binds a cursor to its query: the same text means the same list and page
/// size.
fn call(query: &Query) -> String {
    let Query { text, strategy, filter, diversity, limit, min_score, .. } = query;
    let min_score = min_score.map(|min_score| format!(" {min_score}")).unwrap_or_default();
    format!("{text:?} {strategy:?} {filter:?} {diversity:?} {limit}{min_score}")
}

/// Runs a query, and cuts the texts of the hits to the budget.
///
/// Returns the hits as `show` makes them, the page's notes, and the number of ranked candidates of
/// each kind.
pub(super) async fn read<T: Serialize>(
    engine: &Engine,
    scope: &Scope,
    query: Query,
    max_tokens: Option<usize>,
    show: impl Fn(Hit) -> T,
    texts: impl Fn(&mut T) -> Vec<Shown<'_>>,
) -> Result<(Vec<T>, Page, BTreeMap<SourceKind, usize>), ToolError> {
    let found = engine.recall(scope, query.clone()).await?;
    let end = found.end_note();
    let mut shown: Vec<T> = found.hits.into_iter().map(show).collect();
    let left_out = fit(&mut shown, max_tokens, &found.terms, texts);
    let next = query.offset + shown.len();
    let more = (found.more || left_out > 0) && next <= MAX_OFFSET;
    let page = Page {
        count: shown.len(),
        strategy: found.strategy,
        ranking: found.ranking,
        degraded: found.degraded,
        note: note(found.note, end, left_out),
        // Results that the budget left out are on the next page, which is not the last one then.
        omitted: if left_out > 0 { BTreeMap::new() } else { found.omitted },
        coverage: found.coverage,
        cursor: more.then(|| cursor::made(&call(&query), next as i64)),
        filters: found.filters,
        why_not: found.why_not,
        terms: found.terms,
    };
    Ok((shown, page, found.kinds))
}
