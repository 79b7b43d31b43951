//! Recall: answers a query with the best-matching sources.
//!
//! [`plan`] chooses where the candidates come from: every source of a small search set, or the
//! indexes. The search set of a query is the sources that it may return: those of its kinds that
//! the caller may read and that pass the filter. [`answer`] runs the stages, one after the other:
//!
//! 1. [`retrieve`](stages::retrieve) generates the candidates, each with a BM25 score and the
//!    cosine of its best passage, and scores the whole search set if the indexes yield too few
//! 2. [`reweight`](stages::reweight) lowers the weight of terms that most of the best candidates
//!    contain, and drops candidates far below the page
//! 3. [`feedback`](stages::feedback) moves the query vector towards the best candidates
//!    (pseudo-relevance feedback)
//! 4. [`neighbors`](stages::neighbors) adds the records next to a candidate in its session
//! 5. [`rank`](stages::rank) combines scores, neighbor boost and age into one ranked list
//! 6. [`diversify`](stages::diversify) gives each kind that scores well a place, if several are
//!    searched, and collapses near-duplicates or applies MMR
//! 7. [`page`](stages::page) cuts the requested page from the list
//! 8. [`hydrate`](stages::hydrate) reads the records of that page
//!
//! If there is no query vector although the query needs one, BM25 ranks alone, and the engine,
//! which calls this module, marks the answer `degraded`. Decision 32 (docs/decisions/0032)
//! explains this structure, decisions 5, 6 and 21 the ranking.

mod answer;
mod candidates;
mod filter_params;
mod omitted;
mod plan;
mod stages;
mod term_plan;
mod term_scores;
mod tuning;
mod why_not;

#[cfg(test)]
pub(crate) use self::filter_params::FILTER_PARAMS;
pub(crate) use self::filter_params::FilterParams;
pub use self::omitted::{End, Omission};
pub use self::stages::Stage;
pub use self::stages::diversify::Diversity;
pub(crate) use self::stages::hydrate::hit;
pub use self::tuning::Tuning;
pub use self::why_not::WhyNot;
pub use pgrecall_record::filter::{Fields, Filter, FilterError};

use std::collections::BTreeMap;

use jiff::Timestamp;
use pgvector::HalfVector;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantNames};
use uuid::Uuid;

use self::answer::Context;
use crate::coverage::{self, Coverage};
use crate::spaces::SpaceId;
use crate::sql::{parameters, sql};
use pgrecall_postgres::db::{Db, DbError, Scope};
use pgrecall_record::source::{RecordFields, SourceKind, Status};
use pgrecall_record::words::WeightedTerms;

/// Maximum number of results on one page.
pub const MAX_LIMIT: usize = 100;
/// Maximum number of results that a page may skip.
pub const MAX_OFFSET: usize = 400;
/// Maximum number of passages of one record.
pub const MAX_PASSAGES: usize = 10;
/// Maximum length of a query, in bytes. One vector does not represent the meaning of a longer text.
pub const MAX_QUERY_BYTES: usize = 8 * 1024;

/// How a query searches.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, EnumString, IntoStaticStr, VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Strategy {
    /// The same as `hybrid`, so that a host can leave the choice to the server.
    #[default]
    Auto,
    /// Vector similarity only; BM25 if there is no query vector.
    Semantic,
    /// BM25 only.
    Lexical,
    /// Vector similarity and BM25; BM25 alone if there is no query vector.
    Hybrid,
    /// Only records that name one of the given URNs: ranked by the query's text, or the newest
    /// first without one.
    Entity,
}

impl Strategy {
    /// Names of all strategies.
    pub const NAMES: &'static [&'static str] = Self::VARIANTS;

    /// Returns the name that a query uses.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A query, with its filter and its page.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Query text in natural language. Only [`Strategy::Entity`] allows a blank one.
    pub text: String,
    /// How to search.
    pub strategy: Strategy,
    /// Filter on the records.
    pub filter: Filter,
    /// Number of results, 1 to [`MAX_LIMIT`].
    pub limit: usize,
    /// Number of best results to skip, because earlier pages had them; at most [`MAX_OFFSET`].
    pub offset: usize,
    /// Least score of a result, 0 to 1. See [`Hit::score`].
    pub min_score: Option<f64>,
    /// How near-duplicates among the results are treated.
    pub diversity: Diversity,
    /// Record for which the answer explains why it is not among the results.
    pub why_not: Option<Uuid>,
    /// Whether each result explains its score.
    pub explain: bool,
    /// Maximum number of passages of each record, 1 to [`MAX_PASSAGES`]; 0 means 1.
    pub passages: usize,
    /// Whether every record that passes the filter is scored, however many there are: slow, but the
    /// ground truth.
    pub exact: bool,
}

/// Why a query was refused. Display says what to do.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum QueryError {
    /// The query text is blank.
    #[error("the query is empty: say in plain words what to look for")]
    Blank,
    /// The number of passages is out of range.
    #[error("passages is {0}: it must lie between 1 and {MAX_PASSAGES}")]
    Passages(usize),
    /// The query is longer than [`MAX_QUERY_BYTES`].
    #[error("the query is {0} bytes long; the limit is {MAX_QUERY_BYTES}: ask for one thing at a time")]
    TooLong(usize),
    /// The query contains U+0000, which Postgres cannot store in a text.
    #[error("the query holds a NUL character (U+0000): remove it")]
    Nul,
    /// The limit is out of range.
    #[error("limit is {0}: it must lie between 1 and {MAX_LIMIT}")]
    Limit(usize),
    /// The offset is out of range.
    #[error("cannot page beyond result {MAX_OFFSET}: narrow the query")]
    Offset,
    /// The least score is out of range.
    #[error("min_score is {0}: it must lie between 0 and 1")]
    MinScore(f64),
    /// A least score was requested for records that are listed without a score.
    #[error("min_score needs a query: records that are listed by their URNs alone have no score")]
    NoScores,
    /// The entity strategy was requested without URNs.
    #[error("strategy `entity` needs entity_urns: name at least one URN")]
    NoUrns,
    /// The filter names an unknown field, or a value that the field cannot have.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

impl Query {
    /// Checks that the query can be answered.
    pub fn check(&self) -> Result<(), QueryError> {
        if !(1..=MAX_LIMIT).contains(&self.limit) {
            return Err(QueryError::Limit(self.limit));
        }
        if self.passages > MAX_PASSAGES {
            return Err(QueryError::Passages(self.passages));
        }
        if self.offset > MAX_OFFSET {
            return Err(QueryError::Offset);
        }
        if self.text.len() > MAX_QUERY_BYTES {
            return Err(QueryError::TooLong(self.text.len()));
        }
        if self.text.contains('\0') {
            return Err(QueryError::Nul);
        }
        self.filter.check()?;
        if let Some(min_score) = self.min_score {
            if !(0.0..=1.0).contains(&min_score) {
                return Err(QueryError::MinScore(min_score));
            }
            if self.text.trim().is_empty() && self.strategy == Strategy::Entity {
                return Err(QueryError::NoScores);
            }
        }
        match self.strategy {
            Strategy::Entity if self.filter.entity_urns.is_empty() => Err(QueryError::NoUrns),
            Strategy::Entity => Ok(()),
            _ if self.text.trim().is_empty() => Err(QueryError::Blank),
            _ => Ok(()),
        }
    }

    /// Returns whether the query needs a query vector.
    pub fn needs_vector(&self) -> bool {
        self.strategy != Strategy::Lexical && !self.text.trim().is_empty()
    }
}

/// How an answer was ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Ranking {
    /// By vector similarity and BM25.
    Hybrid,
    /// By vector similarity only.
    Semantic,
    /// By BM25 only.
    Lexical,
    /// Newest first: the query has entities and no text.
    Entity,
}

impl Ranking {
    /// Returns the name used in an answer and as a metric's label.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The answer to a [`Query`].
#[derive(Debug, Clone, Serialize)]
pub struct Answer {
    /// The results, best first. Where kind coverage or MMR changed the order, they stay in the
    /// order in which they were chosen, so that a page that is cut short continues on the next
    /// page.
    pub hits: Vec<Hit>,
    /// The strategy that the query asked for.
    pub strategy: Strategy,
    /// The ranking that was used.
    pub ranking: Ranking,
    /// Whether the answer fell back to BM25 alone; `note` says why.
    pub degraded: bool,
    /// Why the answer is degraded, how much is not embedded yet, and why it was not reranked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// On a short last page: that nothing more exists, or that the list ends here.
    #[serde(skip)]
    pub end: Option<End>,
    /// Number of records that pass the filter and were left out, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub omitted: BTreeMap<Omission, usize>,
    /// What a search by vectors could not see, if that concerns this query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// Whether there are further results after this page.
    pub more: bool,
    /// Number of ranked candidates of each kind.
    pub kinds: BTreeMap<SourceKind, usize>,
    /// Terms of the query, weighted as for the ranking, which choose the part of a text to show.
    #[serde(skip)]
    pub terms: WeightedTerms,
    /// Readable form of the conditions that every result meets, if the query asks for explanations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<String>,
    /// Why the record named in [`Query::why_not`] is not among the results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<WhyNot>,
}

/// One source of an answer.
#[derive(Debug, Clone, Serialize)]
pub struct Hit {
    /// Public id.
    pub id: Uuid,
    /// Kind of the source.
    pub kind: SourceKind,
    /// Full text of a memory; for other kinds, the best passage.
    pub text: String,
    /// Headings above the best passage.
    pub heading: String,
    /// Where the best passage begins in the record's text, in characters.
    pub starts_at: Option<i32>,
    /// Further passages of the record, best first, if the query asks for several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub more_passages: Vec<FoundPassage>,
    /// Stored fields of the record.
    #[serde(flatten)]
    pub fields: RecordFields,
    /// Score from 0 to 1. In a semantic ranking it is the cosine, the same in each answer. In a
    /// hybrid one, 0.7 of it is the cosine and 0.3 the BM25 score as a share of the best one's, and
    /// in a lexical one it is that share alone: these are comparable within one answer only.
    pub score: f64,
    /// Whether the record is active, stale, superseded or archived.
    pub status: Status,
    /// When the record was created.
    pub created_at: Timestamp,
    /// When the record was last written.
    pub updated_at: Timestamp,
    /// When someone last confirmed that the record is still true.
    pub last_verified: Option<Timestamp>,
    /// Records that this one replaced, latest first, at most five.
    pub supersedes: Vec<Superseded>,
    /// Record that replaced this one.
    pub superseded_by: Option<Uuid>,
    /// Near-duplicates that were left out in favor of this result.
    pub near_duplicates: Vec<Uuid>,
    /// Owner, if it is not the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Author of the current content, if it is not the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
    /// Explanation of the score, if the query asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explain>,
}

/// A further passage of a record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FoundPassage {
    /// The passage.
    pub text: String,
    /// Headings above it.
    pub heading: String,
    /// Where it begins in the record's text, in characters.
    pub starts_at: i32,
}

/// A record that another one replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Superseded {
    /// Public id.
    pub id: Uuid,
    /// Beginning of its content.
    pub content: String,
    /// When it stopped being valid.
    pub until: Option<Timestamp>,
}

/// How a result got its score: `min(1, (blended + neighbor_boost) / 1.525) * recency`. The divisor
/// leaves the score of a record without neighbors unchanged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explain {
    /// BM25 score as a share of the best candidate's, 0 to 1; 0 if the source contains no term of
    /// the query. The raw BM25 score is not shown, since a caller could compute from it how many
    /// records it may not read contain a term (decision 26).
    pub bm25: f64,
    /// Terms of the query that the source contains, as they are indexed.
    pub matched_terms: Vec<String>,
    /// Cosine of the best passage with the query vector after feedback, plus a share of the
    /// better adjacent passage; `None` if the source is not embedded, or BM25 ranked alone.
    pub cosine: Option<f64>,
    /// Blend of both scores, without the neighbor boost.
    pub blended: f64,
    /// Boost from the records next to it in its session.
    pub neighbor_boost: f64,
    /// Factor from the recency decay; 1 if age does not count.
    pub recency: f64,
    /// Score of the reranker, 0 to 1, if one is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reranked: Option<f64>,
}

/// A query vector, and the embedding space that it belongs to.
#[derive(Debug, Clone)]
pub struct QueryVector {
    /// Embedding space whose vectors the query is compared with.
    pub space: SpaceId,
    /// The vector in that space.
    pub vector: HalfVector,
}

/// Answers a query that [`Query::check`] has accepted. Without a query vector BM25 ranks alone.
pub async fn recall(
    db: &Db,
    scope: &Scope,
    query: &Query,
    vector: Option<&QueryVector>,
    tuning: &Tuning,
) -> Result<Answer, DbError> {
    db.run(scope, async |transaction| answer::answer(Context::of(db, &transaction, scope, query, vector, tuning)).await)
        .await
}

/// Returns whether anything that this filter selects waits for its vectors or was parked.
pub async fn is_incomplete_within(db: &Db, scope: &Scope, filter: &Filter) -> Result<bool, DbError> {
    let filter = FilterParams::of(scope, filter);
    db.run(scope, async |transaction| {
        let Some(space) = coverage::serving(&transaction).await? else { return Ok(false) };
        let statement = filter.statement(sql!("is_incomplete_within"));
        let rows = transaction.query_typed(&statement, &filter.with(parameters![space.id.0])).await?;
        Ok(rows[0].get("is_incomplete"))
    })
    .await
}
