//! Candidates: the sources that may answer, with their scores, and the statements that read those scores.
//!
//! Every candidate gets both a BM25 score and a cosine, whichever index proposed it: fused from each index's own hits only, the blend loses a
//! point of nDCG.

use std::collections::HashMap;

use super::QueryVector;
use super::answer::Context;
use super::term_plan::TermPlan;
use super::term_scores::{B, K1, TermScores};
use crate::sql::{on_space, parameters, scoring, sql};
use pgrecall_postgres::db::{DbError, parameters::typed};
use pgrecall_record::source::SourceKind;

/// Candidates of each index for each answer: fewer miss some where dozens are nearly as good. Twenty rank no better on any judged set.
pub(super) const CANDIDATES_PER_ANSWER: usize = 6;
/// Candidates from the terms, at the least.
const MIN_TERM_CANDIDATES: usize = 200;

/// A source that may answer, and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    pub(super) source: i64,
    /// 0 when no term of the query stands in it.
    pub(super) bm25: f64,
    /// Whether `bm25` was looked up.
    pub(super) has_bm25: bool,
    /// Of its best passage, with the boost of the passages next to it; `None` when it has no vector, or the query has none.
    pub(super) cosine: Option<f64>,
    /// That boost, which is part of `cosine`.
    pub(super) adjacent_boost: f64,
    /// Its best passage.
    pub(super) passage: Option<i64>,
    /// The records near it in its session, and how many steps away: 1 or 2.
    pub(super) neighbors: Vec<(i64, usize)>,
    /// What it is, where the ranking depends on it.
    pub(super) kind: Option<SourceKind>,
    /// How old it is, in seconds, where the ranking depends on it.
    pub(super) age: f64,
}

impl Candidate {
    pub(super) fn of(source: i64) -> Self {
        Self {
            source,
            bm25: 0.0,
            has_bm25: false,
            cosine: None,
            adjacent_boost: 0.0,
            passage: None,
            neighbors: Vec::new(),
            kind: None,
            age: 0.0,
        }
    }

    /// Sets its best passage, with its cosine before and after the boost of the passages next to it.
    fn set_best_passage(&mut self, passage: i64, cosine: f64, boosted: f64) {
        self.passage = Some(passage);
        self.adjacent_boost = boosted - cosine;
        self.cosine = Some(boosted);
    }

    /// Sets the cosine of its best passage to a query vector that has moved. The boost of the passages next to it stays.
    pub(super) fn set_cosine(&mut self, cosine: f64) {
        self.cosine = Some(cosine + self.adjacent_boost);
    }
}

/// Candidates by their source's row.
pub(super) type Pool = HashMap<i64, Candidate>;

/// The candidates of a query, as one stage leaves them to the next.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    pub(super) pool: Pool,
    /// The query's terms in the candidates.
    pub(super) terms: TermScores,
    /// The query vector, which feedback moves.
    pub(super) vector: Option<QueryVector>,
    /// Whether every source that may answer is among them.
    pub(super) is_exhaustive: bool,
}

impl Candidates {
    /// These sources, without scores.
    pub(super) fn of(sources: impl IntoIterator<Item = i64>) -> Self {
        let pool = sources.into_iter().map(|source| (source, Candidate::of(source))).collect();
        Self { pool, ..Self::default() }
    }

    /// Adds a source that is not among them yet. True: it was not.
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

    /// Reads the terms of the candidates that were not looked up yet. With `proposes`, the terms that generate candidates propose the best of
    /// their sources in the same statement.
    #[tracing::instrument(level = "debug", skip_all)]
    pub(super) async fn score_terms(&mut self, context: &Context<'_>, proposes: bool) -> Result<(), DbError> {
        let unscored: Vec<i64> = self.pool.values().filter(|it| !it.has_bm25).map(|it| it.source).collect();
        let Some(statistics) = self.terms.corpus() else { return Ok(()) };
        let plan =
            if proposes { statistics.plan_candidates(unscored.len()) } else { statistics.plan_lookups(unscored.len()) };
        if statistics.is_empty() || (unscored.is_empty() && plan.generate.terms.is_empty()) {
            return Ok(());
        }
        let limit = MIN_TERM_CANDIDATES.max(CANDIDATES_PER_ANSWER * context.window.depth) as i64;
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
            self.pool.entry(source).or_insert_with(|| Candidate::of(source));
            self.terms.add(terms[place as usize - 1], source, row.get("adds"));
        }
        self.terms.score(&mut self.pool);
        Ok(())
    }

    /// Reads the best passages of the candidates that have no cosine yet.
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

    /// Reads the candidates' kinds and ages, where the ranking depends on them.
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
