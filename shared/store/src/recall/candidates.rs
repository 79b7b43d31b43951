//! Candidates: sources that may answer, their scores, and the statements that read those scores.
//!
//! Every candidate gets both a BM25 score and a cosine, whichever index proposed it. A blend in
//! which each index scores only its own hits loses one point of nDCG.

use std::collections::HashMap;

use super::QueryVector;
use super::answer::Context;
use super::term_plan::TermPlan;
use super::term_scores::{B, K1, TermScores};
use crate::sql::{on_space, parameters, scoring, sql};
use pgrecall_postgres::db::{DbError, parameters::typed};
use pgrecall_record::source::SourceKind;

/// Number of candidates that each index generates per result. Fewer miss some results where dozens
/// score nearly as well; twenty rank no better on any judged set.
pub(super) const CANDIDATES_PER_RESULT: usize = 6;
/// Minimum number of candidates that BM25 generates.
const MIN_TERM_CANDIDATES: usize = 200;

/// A source that may answer, with its scores so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Candidate {
    pub(super) source: i64,
    /// BM25 score; 0 if the source contains no term of the query.
    pub(super) bm25: f64,
    /// Whether `bm25` was read.
    pub(super) has_bm25: bool,
    /// Cosine of the best passage, including `adjacent_boost`; `None` if the source is not embedded
    /// or there is no query vector.
    pub(super) cosine: Option<f64>,
    /// Boost from the passages adjacent to the best one, which is part of `cosine`.
    pub(super) adjacent_boost: f64,
    /// The passage with the best boosted cosine.
    pub(super) passage: Option<i64>,
    /// Records near this one in its session, each with its distance: 1 or 2 steps.
    pub(super) neighbors: Vec<(i64, usize)>,
    /// Kind of the source, if the ranking depends on it.
    pub(super) kind: Option<SourceKind>,
    /// Age in seconds, if the ranking depends on it.
    pub(super) age: f64,
}

impl Candidate {
    pub(super) fn of(source: i64) -> Self {
        Self { source, ..Self::default() }
    }

    /// Sets the best passage, with its cosine before and after the boost from adjacent passages.
    fn set_best_passage(&mut self, passage: i64, cosine: f64, boosted: f64) {
        self.passage = Some(passage);
        self.adjacent_boost = boosted - cosine;
        self.cosine = Some(boosted);
    }

    /// Sets the cosine of the best passage to the moved query vector. The boost from adjacent
    /// passages stays, since only the best passage is measured again.
    pub(super) fn set_cosine(&mut self, cosine: f64) {
        self.cosine = Some(cosine + self.adjacent_boost);
    }
}

/// Candidates by the internal id of their source.
pub(super) type Pool = HashMap<i64, Candidate>;

/// The candidates of a query, as one stage passes them to the next.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    pub(super) pool: Pool,
    /// The query's terms, with their scores in the candidates.
    pub(super) terms: TermScores,
    /// The query vector, which the feedback stage moves.
    pub(super) vector: Option<QueryVector>,
    /// Whether the pool contains every source that may answer.
    pub(super) is_exhaustive: bool,
}

impl Candidates {
    /// Makes candidates without scores.
    pub(super) fn of(sources: impl IntoIterator<Item = i64>) -> Self {
        let pool = sources.into_iter().map(|source| (source, Candidate::of(source))).collect();
        Self { pool, ..Self::default() }
    }

    /// Adds a source. Returns whether it is new in the pool.
    pub(super) fn add(&mut self, source: i64) -> bool {
        let is_new = !self.pool.contains_key(&source);
        self.pool.entry(source).or_insert_with(|| Candidate::of(source));
        is_new
    }

    /// Reads the scores that candidates lack.
    pub(super) async fn complete(&mut self, context: &Context<'_>) -> Result<(), DbError> {
        self.score_terms(context, false).await?;
        self.measure(context).await
    }

    /// Reads the BM25 scores of the candidates that have none yet. With `proposes`, the same
    /// statement also generates candidates from the rarest terms.
    #[tracing::instrument(level = "debug", skip_all)]
    pub(super) async fn score_terms(&mut self, context: &Context<'_>, proposes: bool) -> Result<(), DbError> {
        let unscored: Vec<i64> = self.pool.values().filter(|it| !it.has_bm25).map(|it| it.source).collect();
        let Some(statistics) = self.terms.corpus() else { return Ok(()) };
        let plan =
            if proposes { statistics.plan_candidates(unscored.len()) } else { statistics.plan_lookups(unscored.len()) };
        if statistics.is_empty() || (unscored.is_empty() && plan.generate.terms.is_empty()) {
            return Ok(());
        }
        let limit = MIN_TERM_CANDIDATES.max(CANDIDATES_PER_RESULT * context.window.depth) as i64;
        let TermPlan { generate, scan, probe } = &plan;
        let own = parameters![
            generate.terms,
            generate.weights,
            scan.terms,
            scan.weights,
            probe.terms,
            probe.weights,
            unscored,
            statistics.mean_words,
            limit,
            K1,
            B
        ];
        let statement = context.filter.statement(&scoring(sql!("word_scores")));
        let rows = context.transaction.query_typed(&statement, &context.filter.with(own)).await?;
        let terms: Vec<&String> = plan.terms().collect();
        for row in rows {
            let (source, place) = (row.get("source"), row.get::<_, i32>("place"));
            self.add(source);
            self.terms.add(terms[place as usize - 1], source, row.get("contribution"));
        }
        self.terms.score(&mut self.pool);
        Ok(())
    }

    /// Reads the best passage of each candidate that has no cosine yet.
    #[tracing::instrument(level = "debug", skip_all)]
    pub(super) async fn measure(&mut self, context: &Context<'_>) -> Result<(), DbError> {
        let unmeasured: Vec<i64> = self.pool.values().filter(|it| it.cosine.is_none()).map(|it| it.source).collect();
        let Some(query) = self.vector.as_ref().filter(|_| !unmeasured.is_empty()) else { return Ok(()) };
        let parameters = [typed(&unmeasured), (&query.vector, context.db.halfvec())];
        let statement = on_space(sql!("candidate_vectors"), query.space);
        for row in context.transaction.query_typed(&statement, &parameters).await? {
            if let Some(candidate) = self.pool.get_mut(&row.get("source")) {
                candidate.set_best_passage(row.get("passage"), row.get("cosine"), row.get("boosted"));
            }
        }
        Ok(())
    }

    /// Reads the kinds and ages of the candidates, if the ranking depends on them.
    pub(super) async fn read_facts(&mut self, context: &Context<'_>) -> Result<(), DbError> {
        if context.query.filter.kinds.len() < 2 && context.tuning.recency == 0.0 {
            return Ok(());
        }
        let sources: Vec<i64> = self.pool.keys().copied().collect();
        for row in context.transaction.query_typed(sql!("candidate_facts"), parameters![sources]).await? {
            if let Some(candidate) = self.pool.get_mut(&row.get("source")) {
                candidate.kind = SourceKind::parse(row.get("source_kind"));
                candidate.age = row.get("age");
            }
        }
        Ok(())
    }
}
