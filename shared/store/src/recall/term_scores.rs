//! Term scores: BM25 of the query's terms in the candidates.
//!
//! A term weighs by its rarity and by the square root of how often the query repeats it.

use std::collections::HashSet;

use super::candidates::Pool;
use super::term_plan::CorpusStatistics;
use pgrecall_record::words;

/// BM25's saturation of a term's frequency.
pub(super) const K1: f64 = 1.2;
/// How much the length of a source counts in BM25.
pub(super) const B: f64 = 0.6;

/// The query's terms.
#[derive(Debug, Clone, Default)]
pub(super) struct QueryTerms {
    /// Each once.
    pub(super) terms: Vec<String>,
    /// The square roots of how often the query has them: a term that is repeated matters more, and not twice as much.
    pub(super) weights: Vec<f64>,
}

impl QueryTerms {
    pub(super) fn of(text: &str) -> Self {
        let counted = words::query_terms(text).into_iter();
        let (terms, weights) = counted.map(|(term, count)| (term, f64::from(count).sqrt())).unzip();
        Self { terms, weights }
    }

    /// What the query gives a term for weight.
    pub(super) fn weight(&self, term: &str) -> f64 {
        self.terms.iter().position(|it| it == term).map_or(0.0, |place| self.weights[place])
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
    frequency * (K1 + 1.0) / (frequency + K1 * (1.0 - B + B * f64::from(held.length) / mean_words))
}

/// A term in a source.
pub(super) struct Posting {
    pub(super) source: i64,
    pub(super) frequency: i32,
    /// Of the source, in words.
    pub(super) length: i32,
}

/// The query's terms, and where they are known to stand.
#[derive(Debug, Default)]
pub(super) struct TermScores {
    terms: Vec<Term>,
    /// Of a large scope: how further sources are read. In a small one every posting is known.
    corpus: Option<CorpusStatistics>,
}

#[derive(Debug)]
struct Term {
    term: String,
    weight: f64,
    /// The sources that hold it, and what it adds to each besides its weight.
    held: Vec<(i64, f64)>,
}

impl TermScores {
    /// Of a small scope, from the postings of each term, with what the question gives it for weight.
    pub(super) fn of_scope(sources: usize, mean_words: f64, terms: Vec<(String, f64, Vec<Posting>)>) -> Self {
        let known = |(term, weight, postings): (String, f64, Vec<Posting>)| Term {
            term,
            weight: weight * idf(sources as i64, postings.len() as i64),
            held: postings.into_iter().map(|held| (held.source, saturated(&held, mean_words))).collect(),
        };
        Self { terms: terms.into_iter().map(known).collect(), corpus: None }
    }

    /// Of a large scope, of whose sources nothing is known yet.
    pub(super) fn of_corpus(statistics: CorpusStatistics) -> Self {
        let term = |(term, weight): (&str, f64)| Term { term: term.to_owned(), weight, held: Vec::new() };
        let mut terms: Vec<Term> = statistics.terms().map(term).collect();
        // In one order, as in a small scope.
        terms.sort_by(|a, b| a.term.cmp(&b.term));
        Self { terms, corpus: Some(statistics) }
    }

    /// The statistics by which further sources are read, where not every posting is known.
    pub(super) fn corpus(&self) -> Option<&CorpusStatistics> {
        self.corpus.as_ref()
    }

    /// Lets more terms of a large scope generate candidates, which are then read from the beginning. False: all of them do.
    pub(super) fn widen(&mut self) -> bool {
        let widened = self.corpus.as_mut().is_some_and(CorpusStatistics::widen);
        if widened {
            self.terms.iter_mut().for_each(|term| term.held.clear());
        }
        widened
    }

    /// Adds a source that holds a term, and what the term adds to its score besides its weight.
    pub(super) fn add(&mut self, term: &str, source: i64, adds: f64) {
        if let Some(known) = self.terms.iter_mut().find(|known| known.term == term) {
            known.held.push((source, adds));
        }
    }

    /// Gives every candidate its BM25 score.
    pub(super) fn score(&self, pool: &mut Pool) {
        for candidate in pool.values_mut() {
            (candidate.bm25, candidate.has_bm25) = (0.0, true);
        }
        for term in &self.terms {
            for (source, adds) in &term.held {
                if let Some(candidate) = pool.get_mut(source) {
                    candidate.bm25 += term.weight * adds;
                }
            }
        }
    }

    /// Drops the sources that are no longer candidates. One that comes back is read again.
    pub(super) fn retain(&mut self, pool: &Pool) {
        for term in &mut self.terms {
            term.held.retain(|(source, _)| pool.contains_key(source));
        }
    }

    /// Discounts each term by the share of `best` that holds it, up to `discount`.
    pub(super) fn discount_common(&mut self, best: &HashSet<i64>, discount: f64) {
        for term in &mut self.terms {
            let held = term.held.iter().filter(|(source, _)| best.contains(source)).count();
            term.weight *= 1.0 - discount * held as f64 / best.len().max(1) as f64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recall::candidates::Candidate;

    #[test]
    fn what_the_question_repeats_matters_more() {
        let asked = QueryTerms::of("walrus walrus and penguins");
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
        let terms = vec![("both".into(), 1.0, vec![held(1), held(2)]), ("one".into(), 1.0, vec![held(1)])];
        let mut terms = TermScores::of_scope(4, 10.0, terms);
        let mut pool: Pool = [1, 2, 3].map(|source| (source, Candidate::of(source))).into();
        terms.score(&mut pool);
        let (one, two) = (pool[&1].bm25, pool[&2].bm25);
        assert!(one > two && two > 0.0 && pool[&3].bm25 == 0.0);
        terms.discount_common(&HashSet::from([1, 2]), 0.5);
        terms.score(&mut pool);
        assert!((pool[&2].bm25 - two / 2.0).abs() < 1e-12, "both hold it");
        assert!((pool[&1].bm25 - (two / 2.0 + (one - two) * 0.75)).abs() < 1e-12, "one of two holds the other");
    }

    #[test]
    fn what_left_the_candidates_and_comes_back_counts_once() {
        let terms = vec![Term { term: "walrus".into(), weight: 2.0, held: Vec::new() }];
        let mut scores = TermScores { terms, corpus: None };
        let mut pool: Pool = [1, 2].map(|source| (source, Candidate::of(source))).into();
        scores.add("walrus", 1, 0.5);
        scores.add("walrus", 2, 0.5);
        pool.remove(&2);
        scores.retain(&pool);
        pool.insert(2, Candidate::of(2));
        scores.add("walrus", 2, 0.5);
        scores.score(&mut pool);
        assert_eq!((pool[&1].bm25, pool[&2].bm25), (1.0, 1.0));
    }
}
