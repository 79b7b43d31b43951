//! The lexicon: what each of the question's words weighs.
//!
//! A word weighs by how rare it is and by how often the question says it. Of a hybrid ranking's first answers, most hold the words that the
//! question is about; those do not tell one answer from another, and weigh up to half less when the words are counted a second time.

use std::collections::{HashMap, HashSet};

use tokio_postgres::types::Type;

use super::fuse::Blend;
use super::scope::Parameter;
use super::statistics::Statistics;
use super::{Pool, Ranking, Search};
use crate::db::DbError;
use crate::sql::sql;
use crate::words;

/// The first answers that are looked at. From 40 to 200 the judged sets hardly differ.
const FIRST: usize = 75;
/// What a word loses that all of them hold.
const LOSES: f64 = 0.5;
/// Candidates that go on from there, at the least and for each answer: what ranks behind them does not come back.
const GO_ON: usize = 150;
const GO_ON_EACH: usize = 6;

/// The question's words.
#[derive(Debug, Clone, Default)]
pub(super) struct Question {
    /// Each once.
    pub(super) terms: Vec<String>,
    /// The square roots of how often the question says them: what is said twice matters more, and not twice as much.
    pub(super) weights: Vec<f64>,
}

impl Question {
    pub(super) fn of(text: &str) -> Self {
        let counted = words::query_terms(text).into_iter();
        let (terms, weights) = counted.map(|(term, count)| (term, f64::from(count).sqrt())).unzip();
        Self { terms, weights }
    }
}

/// How rare a term is that stands in `held` of `sources`.
pub(super) fn idf(sources: i64, held: i64) -> f64 {
    // Counted terms are a little old: a term may then stand in more sources than there are.
    (1.0 + ((sources - held).max(0) as f64 + 0.5) / (held as f64 + 0.5)).ln()
}

/// What one term adds to BM25 besides its weight.
fn saturated(held: &Posting, mean_words: f64) -> f64 {
    let frequency = f64::from(held.frequency);
    frequency * 2.2 / (frequency + 1.2 * (0.4 + 0.6 * f64::from(held.length) / mean_words))
}

/// A term in a source.
pub(super) struct Posting {
    pub(super) source: i64,
    pub(super) frequency: i32,
    /// Of the source, in words.
    pub(super) length: i32,
}

/// Where the words of the candidates are known from.
#[derive(Debug)]
pub(super) enum Lexicon {
    /// A small scope, in which every posting is known.
    Scope(ScopeTerms),
    /// The corpus' statistics; the postings are asked for.
    Corpus(Statistics),
}

/// The question's terms in a small scope.
#[derive(Debug, Default)]
pub(super) struct ScopeTerms {
    terms: Vec<ScopeTerm>,
}

#[derive(Debug)]
struct ScopeTerm {
    weight: f64,
    /// The sources that hold it, and what it adds to each besides its weight.
    held: Vec<(i64, f64)>,
}

impl ScopeTerms {
    /// From the postings of each term, with what the question gives it for weight.
    pub(super) fn of(sources: usize, mean_words: f64, terms: Vec<(f64, Vec<Posting>)>) -> Self {
        let known = |(weight, postings): (f64, Vec<Posting>)| ScopeTerm {
            weight: weight * idf(sources as i64, postings.len() as i64),
            held: postings.into_iter().map(|held| (held.source, saturated(&held, mean_words))).collect(),
        };
        Self { terms: terms.into_iter().map(known).collect() }
    }

    /// Gives every candidate its BM25 score.
    pub(super) fn score(&self, pool: &mut Pool) {
        for candidate in pool.values_mut() {
            candidate.bm25 = 0.0;
        }
        for term in &self.terms {
            for (source, adds) in &term.held {
                if let Some(candidate) = pool.get_mut(source) {
                    candidate.bm25 += term.weight * adds;
                }
            }
        }
    }

    fn lose(&mut self, first: &HashSet<i64>) {
        for term in &mut self.terms {
            let held = term.held.iter().filter(|(source, _)| first.contains(source)).count();
            term.weight *= 1.0 - LOSES * held as f64 / first.len().max(1) as f64;
        }
    }
}

impl Search<'_> {
    /// Weighs the words by what tells the first answers apart, and scores the candidates by their words once more.
    #[tracing::instrument(level = "debug", skip_all)]
    pub(super) async fn tell_apart(&self, pool: &mut Pool, lexicon: &mut Lexicon) -> Result<(), DbError> {
        let blend = Blend::of(pool, Ranking::Hybrid, &self.tuning);
        let best = blend.best(pool, GO_ON.max(GO_ON_EACH * self.limit));
        let first = &best[..FIRST.min(best.len())];
        match lexicon {
            Lexicon::Scope(terms) => {
                terms.lose(&first.iter().copied().collect());
                terms.score(pool);
            }
            Lexicon::Corpus(statistics) => {
                let held = self.held_terms(first).await?;
                statistics.lose(|term| LOSES * held.get(term).copied().unwrap_or(0) as f64 / first.len().max(1) as f64);
                pool.retain(|source, _| best.contains(source));
                self.score_again(statistics, pool).await?;
            }
        }
        Ok(())
    }

    async fn held_terms(&self, first: &[i64]) -> Result<HashMap<String, i64>, DbError> {
        let parameters: [Parameter<'_>; 3] =
            [self.narrowing.kinds(), (&self.question.terms, Type::TEXT_ARRAY), (&first, Type::INT8_ARRAY)];
        let rows = self.transaction.query_typed(sql!("held_terms"), &parameters).await?;
        Ok(rows.iter().map(|row| (row.get("term"), row.get("held"))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recall::fuse::Candidate;

    #[test]
    fn what_the_question_repeats_matters_more() {
        let asked = Question::of("walrus walrus and penguins");
        assert_eq!(asked.terms, ["walrus", "penguin"]);
        assert!((asked.weights[0] - 2.0_f64.sqrt()).abs() < 1e-12 && asked.weights[1] == 1.0);
    }

    #[test]
    fn a_rare_term_says_more_and_none_says_less_than_nothing() {
        assert!(idf(1_000, 1) > idf(1_000, 500));
        assert!(idf(10, 12) > 0.0);
    }

    #[test]
    fn what_all_the_first_answers_hold_tells_them_apart_least() {
        let held = |source| Posting { source, frequency: 1, length: 10 };
        let mut terms = ScopeTerms::of(4, 10.0, vec![(1.0, vec![held(1), held(2)]), (1.0, vec![held(1)])]);
        let mut pool: Pool = [1, 2, 3].map(|source| (source, Candidate::of(source))).into();
        terms.score(&mut pool);
        let (one, two) = (pool[&1].bm25, pool[&2].bm25);
        assert!(one > two && two > 0.0 && pool[&3].bm25 == 0.0);
        terms.lose(&HashSet::from([1, 2]));
        terms.score(&mut pool);
        assert!((pool[&2].bm25 - two / 2.0).abs() < 1e-12, "both hold it");
        assert!((pool[&1].bm25 - (two / 2.0 + (one - two) * 0.75)).abs() < 1e-12, "one of two holds the other");
    }
}
