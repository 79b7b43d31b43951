//! Reweight: terms that most of the best candidates hold count less.
//!
//! Of a hybrid ranking's best candidates, most hold the terms that the query is about. These do not separate one answer from another, so they
//! lose up to half of their weight when the candidates are scored a second time.

use crate::recall::Ranking;
use crate::recall::answer::Context;
use crate::recall::candidates::Candidates;
use crate::recall::stages::Stage;
use crate::recall::stages::rank::Blend;

/// The best candidates that are looked at. From 40 to 200 the judged sets hardly differ.
const BEST_CANDIDATES: usize = 75;
/// The share of its weight that a term loses if all of them hold it.
const COMMON_TERM_DISCOUNT: f64 = 0.5;
/// Candidates that are kept, at the least and for each answer: what ranks behind them does not come back.
const MIN_KEPT: usize = 150;
const KEPT_PER_ANSWER: usize = 6;

/// Discounts common terms, and scores the candidates by their terms once more.
#[tracing::instrument(name = "reweight", level = "debug", skip_all)]
pub(in crate::recall) fn run(context: &Context<'_>, candidates: &mut Candidates) {
    if context.ranking != Ranking::Hybrid || !context.runs(Stage::Reweight) {
        return;
    }
    let Candidates { pool, terms, .. } = candidates;
    let blend = Blend::of(pool, Ranking::Hybrid, &context.tuning);
    let best = blend.best(pool, MIN_KEPT.max(KEPT_PER_ANSWER * context.window.depth));
    terms.discount_common(&best.iter().take(BEST_CANDIDATES).copied().collect(), COMMON_TERM_DISCOUNT);
    if terms.corpus().is_some() {
        pool.retain(|source, _| best.contains(source));
        terms.retain(pool);
    }
    terms.score(pool);
}
