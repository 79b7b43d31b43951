//! The answer to a query: chooses the plan, then runs each stage in turn.

use std::collections::BTreeMap;

use super::filter_params::FilterParams;
use super::omitted::{self, Omission, Omitted};
use super::stages::{Stage, diversify, feedback, hydrate, neighbors, page, rank, retrieve, reweight};
use super::term_scores::QueryTerms;
use super::{Answer, Query, QueryVector, Ranking, Strategy, Tuning, plan, why_not};
use pgrecall_postgres::db::{Db, DbError, Scope, Transaction};

/// The least depth: a short page would not show enough candidates to the later stages.
const MIN_DEPTH: usize = 10;
/// Number of pages that are cut from one list.
const PAGES_PER_LIST: usize = 4;

/// How deep a query searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Number of results that the ranked list must reach: the page and all pages before it.
    pub(super) limit: usize,
    /// Number of results for which the indexes generate candidates: that of a page, and at least
    /// [`MIN_DEPTH`]. It grows fourfold whenever the page lies beyond four times the depth, so that
    /// consecutive pages are cut from one list.
    pub(super) depth: usize,
    /// Number of results on all pages of this depth.
    pub(super) reach: usize,
}

impl Window {
    fn of(query: &Query) -> Self {
        let limit = query.offset + query.limit;
        let mut depth = query.limit.max(MIN_DEPTH);
        while limit > PAGES_PER_LIST * depth {
            depth *= PAGES_PER_LIST;
        }
        Self { limit, depth, reach: PAGES_PER_LIST * depth }
    }
}

/// What every stage of a query reads.
pub(super) struct Context<'a> {
    pub(super) db: &'a Db,
    pub(super) transaction: &'a Transaction,
    pub(super) scope: &'a Scope,
    pub(super) query: &'a Query,
    pub(super) vector: Option<&'a QueryVector>,
    pub(super) tuning: Tuning,
    pub(super) filter: FilterParams,
    /// Number of sources with the rarest label of the filter, counted up to a bound; `None` without
    /// labels.
    pub(super) rarest_label: Option<i64>,
    pub(super) terms: QueryTerms,
    pub(super) ranking: Ranking,
    pub(super) window: Window,
}

impl<'a> Context<'a> {
    /// Gathers the context, and chooses the ranking: hybrid with a query vector and terms, semantic
    /// with a vector only, lexical with terms only, by entity if the query has no text.
    pub(super) fn of(
        db: &'a Db,
        transaction: &'a Transaction,
        scope: &'a Scope,
        query: &'a Query,
        vector: Option<&'a QueryVector>,
        tuning: &Tuning,
    ) -> Self {
        let uses_terms = query.strategy != Strategy::Semantic || vector.is_none();
        let ranking = match (vector.is_some(), uses_terms) {
            (true, true) => Ranking::Hybrid,
            (true, false) => Ranking::Semantic,
            (false, _) if query.text.trim().is_empty() => Ranking::Entity,
            (false, _) => Ranking::Lexical,
        };
        Self {
            db,
            transaction,
            scope,
            query,
            vector,
            tuning: *tuning,
            filter: FilterParams::of(scope, &query.filter),
            rarest_label: None,
            terms: if uses_terms { QueryTerms::of(&query.text) } else { QueryTerms::default() },
            ranking,
            window: Window::of(query),
        }
    }

    /// Returns whether a stage runs. Evaluations skip stages.
    pub(super) fn runs(&self, stage: Stage) -> bool {
        !self.tuning.skipped.contains(&stage)
    }
}

/// Answers a query. `inquiry` follows the record of [`Query::why_not`], if there is one. That
/// record becomes a candidate only after feedback, and so has no part in the term weights and the
/// query vector.
pub(super) async fn answer(mut context: Context<'_>) -> Result<Answer, DbError> {
    plan::order_labels_by_selectivity(&mut context).await?;
    let context = &context;
    let mut inquiry = why_not::begin(context).await?;
    let plan = plan::choose(context).await?;

    let mut candidates = retrieve::run(context, plan).await?;
    reweight::run(context, &mut candidates);
    feedback::run(context, &mut candidates).await?;
    inquiry.include(context, &mut candidates).await?;
    neighbors::run(context, &mut candidates).await?;
    candidates.read_facts(context).await?;
    let mut ranked = rank::run(context, &candidates.pool);
    let (is_exhaustive, min_score) = (candidates.is_exhaustive, context.query.min_score);
    inquiry.check_score(min_score, &ranked);
    let mut omitted = omitted::leave_out(&mut ranked, &candidates.pool, is_exhaustive, context.ranking, min_score);
    let kinds = rank::count_kinds(context, &ranked);
    diversify::ensure_kind_coverage(context, &mut ranked);
    inquiry.find_rank(context, &ranked).await?;
    let list = diversify::run(context, ranked).await?;
    inquiry.find_page(context, &list);
    // Candidates come best first: those that no index proposed score less than those left out.
    let is_complete = is_exhaustive || omitted.contains_key(&Omission::BelowMinScore);
    let page = page::cut(context, list, is_complete);
    if page.near_duplicates > 0 {
        omitted.insert(Omission::NearDuplicate, page.near_duplicates);
    }
    let terms = candidates.terms.weighted(&context.query.text);
    let hits = hydrate::run(context, page.chosen, &terms).await?;

    Ok(Answer {
        strategy: context.query.strategy,
        ranking: context.ranking,
        degraded: false,
        note: None,
        // A full page may be the last one by chance, of which nobody need be told, unless records are
        // missing from it.
        end: page.end.filter(|_| hits.len() < context.query.limit || !omitted.is_empty()),
        omitted: if page.more { Omitted::default() } else { omitted },
        coverage: None,
        more: page.more,
        kinds,
        terms,
        filters: if context.query.explain { context.filter.described() } else { Vec::new() },
        why_not: inquiry.found,
        hits,
    })
}

/// Number of ranked candidates of each kind.
pub(super) type KindCounts = BTreeMap<pgrecall_record::source::SourceKind, usize>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_pages_have_one_depth_and_those_that_follow_a_greater_one() {
        let at = |offset, limit| Window::of(&Query { offset, limit, ..Query::default() }).depth;
        assert_eq!([0, 10, 20, 30, 31, 150, 151].map(|offset| at(offset, 10)), [10, 10, 10, 10, 40, 40, 160]);
        assert_eq!((at(0, 3), at(0, 50), at(150, 50), at(151, 50)), (10, 50, 50, 200));
    }
}
