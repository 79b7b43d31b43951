//! BM25 scores of the query's terms in the candidates.
//!
//! The weight of a term is its IDF times the square root of its frequency in the query (decision
//! 21).

use std::collections::HashSet;

use super::candidates::Pool;
use super::term_plan::CorpusStatistics;
use pgrecall_record::words::{self, WeightedTerms};

/// BM25's `k1`: saturation of the term frequency.
pub(super) const K1: f64 = 1.2;
/// BM25's `b`: normalization by the length of the source.
pub(super) const B: f64 = 0.6;

/// The terms of a query.
#[derive(Debug, Clone, Default)]
pub(super) struct QueryTerms {
    /// Each distinct term once.
    pub(super) terms: Vec<String>,
    /// Square root of each term's frequency in the query: repeating a term raises its weight, but
    /// does not double it.
    pub(super) weights: Vec<f64>,
}

impl QueryTerms {
    pub(super) fn of(text: &str) -> Self {
        let counted = words::query_terms(text).into_iter();
        let (terms, weights) = counted.map(|(term, count)| (term, f64::from(count).sqrt())).unzip();
        Self { terms, weights }
    }

    /// Returns the weight that the query gives to a term; 0 if it does not contain the term.
    pub(super) fn weight(&self, term: &str) -> f64 {
        self.terms.iter().position(|it| it == term).map_or(0.0, |place| self.weights[place])
    }
}

/// Computes the inverse document frequency of a term that `held` of `sources` contain.
pub(super) fn idf(sources: i64, held: i64) -> f64 {
    // A worker counts the frequent terms from time to time, so a document frequency can exceed the
    // number of sources.
    (1.0 + ((sources - held).max(0) as f64 + 0.5) / (held as f64 + 0.5)).ln()
}

/// Computes a term's BM25 contribution to one source, without the term's weight.
fn saturated(held: &Posting, mean_words: f64) -> f64 {
    let frequency = f64::from(held.frequency);
    frequency * (K1 + 1.0) / (frequency + K1 * (1.0 - B + B * f64::from(held.length) / mean_words))
}

/// A posting: one term in one source.
pub(super) struct Posting {
    pub(super) source: i64,
    pub(super) frequency: i32,
    /// Length of the source, in words.
    pub(super) length: i32,
}

/// The query's terms, and the postings of them that were read.
#[derive(Debug, Default)]
pub(super) struct TermScores {
    terms: Vec<Term>,
    /// Statistics to score further sources of a large search set. `None` for a small search set, of
    /// which every posting was read.
    corpus: Option<CorpusStatistics>,
}

#[derive(Debug)]
struct Term {
    term: String,
    weight: f64,
    /// The sources that contain the term, each with the term's BM25 contribution without its
    /// weight.
    held: Vec<(i64, f64)>,
}

impl TermScores {
    /// Scores a small search set from its postings. `terms` has each term with its weight in the
    /// query and its postings in the search set, which give the IDF.
    pub(super) fn of_search_set(sources: usize, mean_words: f64, terms: Vec<(String, f64, Vec<Posting>)>) -> Self {
        let known = |(term, weight, postings): (String, f64, Vec<Posting>)| Term {
            term,
            weight: weight * idf(sources as i64, postings.len() as i64),
            held: postings.into_iter().map(|held| (held.source, saturated(&held, mean_words))).collect(),
        };
        Self { terms: terms.into_iter().map(known).collect(), corpus: None }
    }

    /// Prepares the terms of a large search set, whose postings are yet to be read.
    pub(super) fn of_corpus(statistics: CorpusStatistics) -> Self {
        let term = |(term, weight): (&str, f64)| Term { term: term.to_owned(), weight, held: Vec::new() };
        let mut terms: Vec<Term> = statistics.terms().map(term).collect();
        // In a fixed order, because sums of floating-point numbers depend on it.
        terms.sort_by(|a, b| a.term.cmp(&b.term));
        Self { terms, corpus: Some(statistics) }
    }

    /// Returns the statistics of a large search set; `None` for a small one, of which every posting
    /// was read.
    pub(super) fn corpus(&self) -> Option<&CorpusStatistics> {
        self.corpus.as_ref()
    }

    /// Lets more terms of a large search set generate candidates, and drops the postings, which the
    /// caller reads once more. False: no more terms can.
    pub(super) fn widen(&mut self) -> bool {
        let widened = self.corpus.as_mut().is_some_and(CorpusStatistics::widen);
        if widened {
            self.terms.iter_mut().for_each(|term| term.held.clear());
        }
        widened
    }

    /// Adds a source that contains a term, with the term's BM25 contribution without its weight.
    pub(super) fn add(&mut self, term: &str, source: i64, adds: f64) {
        if let Some(known) = self.terms.iter_mut().find(|known| known.term == term) {
            known.held.push((source, adds));
        }
    }

    /// Returns the terms with their weights; those of the query, with equal weights, if BM25 has no
    /// part in the ranking.
    pub(super) fn weighted(&self, query: &str) -> WeightedTerms {
        if self.terms.is_empty() {
            return WeightedTerms::of_query(query);
        }
        WeightedTerms::new(self.terms.iter().map(|term| (term.term.clone(), term.weight)))
    }

    /// Computes the BM25 score of every candidate.
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

    /// Drops the postings of sources that are no longer candidates. If a source becomes a candidate
    /// once more, its postings are read a second time and must not count twice.
    pub(super) fn retain(&mut self, pool: &Pool) {
        for term in &mut self.terms {
            term.held.retain(|(source, _)| pool.contains_key(source));
        }
    }

    /// Lowers the weight of each term by `discount` times the share of `best` that contains it.
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
        let mut terms = TermScores::of_search_set(4, 10.0, terms);
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
