//! Reweight: discounts terms that most of the best candidates contain.
//!
//! Most of the best candidates of a hybrid ranking contain the terms that the query is about. Such
//! terms do not separate one result from another, so they lose up to half of their weight before
//! the candidates are scored a second time (decision 21).

use crate::recall::Ranking;
use crate::recall::answer::Context;
use crate::recall::candidates::Candidates;
use crate::recall::stages::Stage;
use crate::recall::stages::rank::Blend;

/// Number of best candidates in which the terms are counted. Between 40 and 200 the judged sets
/// hardly differ.
const BEST_CANDIDATES: usize = 75;
/// Share of its weight that a term loses if all of them contain it.
const COMMON_TERM_DISCOUNT: f64 = 0.5;
/// Minimum number of candidates of a large search set to keep. Later stages do not lift the others
/// onto the page.
const MIN_KEPT: usize = 150;
/// Number of candidates of a large search set to keep for each result.
const KEPT_PER_RESULT: usize = 6;

/// Discounts common terms, and scores the candidates by their terms a second time.
#[tracing::instrument(name = "reweight", level = "debug", skip_all)]
pub(in crate::recall) fn run(context: &Context<'_>, candidates: &mut Candidates) {
    if context.ranking != Ranking::Hybrid || !context.runs(Stage::Reweight) {
        return;
    }
    let Candidates { pool, terms, .. } = candidates;
    let blend = Blend::of(pool, Ranking::Hybrid, &context.tuning);
    let best = blend.best(pool, MIN_KEPT.max(KEPT_PER_RESULT * context.window.depth));
    terms.discount_common(&best.iter().take(BEST_CANDIDATES).copied().collect(), COMMON_TERM_DISCOUNT);
    if terms.corpus().is_some() {
        pool.retain(|source, _| best.contains(source));
        terms.retain(pool);
    }
    terms.score(pool);
}
