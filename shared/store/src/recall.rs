//! Recall: from a query to the few sources that answer it.
//!
//! [`plan`] decides where the candidates come from: a small scope is scored whole, a large one goes through the indexes. Then one stage
//! follows the other, as [`answer`] lists them:
//!
//! 1. [`retrieve`](stages::retrieve): candidates, each with a BM25 score and the cosine of its best passage
//! 2. [`reweight`](stages::reweight): terms that most of the best candidates hold count less
//! 3. [`feedback`](stages::feedback): the query vector moves towards its best answers
//! 4. [`neighbors`](stages::neighbors): records next to a candidate in its session come in
//! 5. [`rank`](stages::rank): scores, neighbors and age into one list
//! 6. [`diversify`](stages::diversify): near-duplicates are collapsed, kinds are covered
//! 7. [`page`](stages::page): the part of the list that was asked for
//! 8. [`hydrate`](stages::hydrate): the records themselves
//!
//! Without a query vector BM25 ranks alone, and the engine marks the answer `degraded`.

mod answer;
mod candidates;
mod filter_params;
mod plan;
mod stages;
mod term_plan;
mod term_scores;
mod tuning;
mod why_not;

#[cfg(test)]
pub(crate) use self::filter_params::FILTER_PARAMS;
pub(crate) use self::filter_params::FilterParams;
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
use crate::spaces::SpaceId;
use pgrecall_postgres::db::{Db, DbError, Scope};
use pgrecall_record::source::{RecordFields, SourceKind, Status};

/// The most answers that one query may ask for.
pub const MAX_LIMIT: usize = 100;
/// The most answers that lie before a page.
pub const MAX_OFFSET: usize = 400;
/// The longest query, in bytes: beyond it a text is a document, and its meaning is no longer one.
pub const MAX_QUERY_BYTES: usize = 8 * 1024;

/// How to look.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, EnumString, IntoStaticStr, VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Strategy {
    /// The best that is possible now: hybrid with an embedder, words without one.
    #[default]
    Auto,
    /// By meaning only.
    Semantic,
    /// By words only.
    Lexical,
    /// By both.
    Hybrid,
    /// The records that name the given URNs.
    Entity,
}

impl Strategy {
    /// The names of all strategies.
    pub const NAMES: &'static [&'static str] = Self::VARIANTS;

    /// The name in a query.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The strategy with this name.
    pub fn parse(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}

/// A question, and what may answer it.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// The question, in plain words. May be blank with [`Strategy::Entity`] only.
    pub text: String,
    /// How to look.
    pub strategy: Strategy,
    /// What may answer.
    pub filter: Filter,
    /// How many answers, 1 to [`MAX_LIMIT`].
    pub limit: usize,
    /// How many of the best answers are left out, since an earlier page had them; at most [`MAX_OFFSET`].
    pub offset: usize,
    /// What is done about answers that are alike.
    pub diversity: Diversity,
    /// A record of which it shall be said why it is not among the answers.
    pub why_not: Option<Uuid>,
    /// Whether each answer says how it came by its score.
    pub explain: bool,
    /// Whether everything that may answer is scored, however much that is: slow, and the truth to compare with.
    pub exact: bool,
}

/// Why a query was not asked. Display says what to do.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum QueryError {
    /// There is nothing to look for.
    #[error("the query is empty: say in plain words what to look for")]
    Blank,
    /// The query is longer than its limit.
    #[error("the query is {0} bytes long; the limit is {MAX_QUERY_BYTES}: ask for one thing at a time")]
    TooLong(usize),
    /// The query holds U+0000.
    #[error("the query holds a NUL character (U+0000): remove it")]
    Nul,
    /// The limit is out of its range.
    #[error("limit is {0}: it must lie between 1 and {MAX_LIMIT}")]
    Limit(usize),
    /// The offset is out of its range.
    #[error("there are no more than {MAX_OFFSET} answers before a page: ask a narrower question")]
    Offset,
    /// Entity strategy without URNs.
    #[error("strategy `entity` needs entity_urns: name at least one URN")]
    NoUrns,
    /// A filter by a field that is none, or by a value that it cannot have.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

impl Query {
    /// Refuses what cannot be answered.
    pub fn check(&self) -> Result<(), QueryError> {
        if !(1..=MAX_LIMIT).contains(&self.limit) {
            return Err(QueryError::Limit(self.limit));
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
        match self.strategy {
            Strategy::Entity if self.filter.entity_urns.is_empty() => Err(QueryError::NoUrns),
            Strategy::Entity => Ok(()),
            _ if self.text.trim().is_empty() => Err(QueryError::Blank),
            _ => Ok(()),
        }
    }

    /// Whether the answer needs the query's vector.
    pub fn needs_vector(&self) -> bool {
        self.strategy != Strategy::Lexical && !self.text.trim().is_empty()
    }
}

/// How an answer was ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Ranking {
    /// By words and meaning.
    Hybrid,
    /// By meaning only.
    Semantic,
    /// By words only.
    Lexical,
    /// The newest first: the query named entities and no words.
    Entity,
}

impl Ranking {
    /// The name in an answer, which is also a metric's label.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The answer to a [`Query`].
#[derive(Debug, Clone, Serialize)]
pub struct Answer {
    /// Best first; but where several kinds are looked through, or the answers shall be unlike each other, in the order in which they were chosen: a
    /// page that is cut short goes on with the next.
    pub hits: Vec<Hit>,
    /// The strategy that was asked for.
    pub strategy: Strategy,
    /// How it was ranked in the end.
    pub ranking: Ranking,
    /// True when it was answered with less than was asked for, for the reason in `note`.
    pub degraded: bool,
    /// Why it is degraded and how much is not embedded yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Where there is no further answer: that nothing more exists, or that the list ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Whether there are answers after these.
    pub more: bool,
    /// How many candidates of each kind were ranked.
    pub kinds: BTreeMap<SourceKind, usize>,
    /// The conditions that every answer meets, in words, if the query wants its answers explained.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<String>,
    /// Why the record that was asked about is not among the answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<WhyNot>,
}

/// One source that answers.
#[derive(Debug, Clone, Serialize)]
pub struct Hit {
    /// Its public id.
    pub id: Uuid,
    /// What it is.
    pub kind: SourceKind,
    /// Whole for a memory; for the rest the passage that answers best.
    pub text: String,
    /// The headings above that passage.
    pub heading: String,
    /// What is said about its text.
    #[serde(flatten)]
    pub fields: RecordFields,
    /// 0 to 1; comparable within one answer.
    pub score: f64,
    /// Whether it is still believed.
    pub status: Status,
    /// When it was first written.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// When somebody last said that it is still true.
    pub last_verified: Option<Timestamp>,
    /// What it replaced, the last first, five at the most.
    pub supersedes: Vec<Superseded>,
    /// What replaced it.
    pub superseded_by: Option<Uuid>,
    /// Near-duplicates that were left out.
    pub near_duplicates: Vec<Uuid>,
    /// Whose it is, if it is not the caller's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Who wrote what it says, if that is not its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
    /// How it came by its score, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explain>,
}

/// What another record has replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Superseded {
    /// Its id.
    pub id: Uuid,
    /// How it began.
    pub content: String,
    /// When it stopped being true.
    pub until: Option<Timestamp>,
}

/// How a hit came by its score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explain {
    /// Its BM25 score as a share of the best candidate's, 0 to 1; 0 when none of the query's words stands in it.
    pub words: f64,
    /// The query's terms that stand in it, as they are indexed.
    pub matched_terms: Vec<String>,
    /// The cosine of its best passage; `None` when it is not embedded, or words alone answered.
    pub cosine: Option<f64>,
    /// The blend of both, without the boost by its neighbors.
    pub blended: f64,
    /// The boost by the records next to it in its session.
    pub neighbor_boost: f64,
    /// What its age left of the score: 1 where age does not count.
    pub recency: f64,
    /// What the reranker said, 0 to 1, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reranked: Option<f64>,
}

/// The query's vector, and the space that it is in.
#[derive(Debug, Clone)]
pub struct QueryVector {
    /// The space that the query pins.
    pub space: SpaceId,
    /// Its vector there.
    pub vector: HalfVector,
}

/// Answers a query that [`Query::check`] accepted. Without a query vector BM25 ranks alone.
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
