//! The lexicon: what each of the question's words weighs.
//!
//! A word weighs by how rare it is and by how often the question says it. Of a hybrid ranking's first answers, most hold the words that the
//! question is about; those do not tell one answer from another, and weigh up to half less when the words are counted a second time.

use std::collections::HashSet;

use super::fuse::Blend;
use super::statistics::Statistics;
use super::{Pool, Ranking, Search};
use pgrecall_record::words;

/// The first answers that are looked at. From 40 to 200 the judged sets hardly differ.
const FIRST: usize = 75;
/// What a word loses that all of them hold.
const LOSES: f64 = 0.5;
/// Candidates that go on from there, at the least and for each answer: what ranks behind them does not come back.
const GO_ON: usize = 150;
const GO_ON_EACH: usize = 6;

/// BM25's saturation of a term's frequency.
pub(super) const K1: f64 = 1.2;
/// How much the length of a source counts in BM25.
pub(super) const B: f64 = 0.6;

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
    frequency * (K1 + 1.0) / (frequency + K1 * (1.0 - B + B * f64::from(held.length) / mean_words))
}

/// A term in a source.
pub(super) struct Posting {
    pub(super) source: i64,
    pub(super) frequency: i32,
    /// Of the source, in words.
    pub(super) length: i32,
}

/// The question's terms, and where they are known to stand.
#[derive(Debug, Default)]
pub(super) struct Lexicon {
    terms: Vec<Term>,
    /// Of a large scope: how to learn of further sources. In a small one every posting is known.
    corpus: Option<Statistics>,
}

#[derive(Debug)]
struct Term {
    term: String,
    weight: f64,
    /// The sources that hold it, and what it adds to each besides its weight.
    held: Vec<(i64, f64)>,
}

impl Lexicon {
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
    pub(super) fn of_corpus(statistics: Statistics) -> Self {
        let term = |(term, weight): (&str, f64)| Term { term: term.to_owned(), weight, held: Vec::new() };
        let mut terms: Vec<Term> = statistics.terms().map(term).collect();
        // In one order, as in a small scope.
        terms.sort_by(|a, b| a.term.cmp(&b.term));
        Self { terms, corpus: Some(statistics) }
    }

    /// How to learn of further sources, where not every posting is known.
    pub(super) fn corpus(&self) -> Option<&Statistics> {
        self.corpus.as_ref()
    }

    /// Lets more words of a large scope bring candidates, which are then to be learned of from the beginning. False: all of them did.
    pub(super) fn lead_on(&mut self) -> bool {
        let led_on = self.corpus.as_mut().is_some_and(Statistics::lead_on);
        if led_on {
            self.terms.iter_mut().for_each(|term| term.held.clear());
        }
        led_on
    }

    /// A term stands in a source, to which it adds so much besides its weight.
    pub(super) fn learn(&mut self, term: &str, source: i64, adds: f64) {
        if let Some(known) = self.terms.iter_mut().find(|known| known.term == term) {
            known.held.push((source, adds));
        }
    }

    /// Gives every candidate its BM25 score.
    pub(super) fn score(&self, pool: &mut Pool) {
        for candidate in pool.values_mut() {
            (candidate.bm25, candidate.has_words) = (0.0, true);
        }
        for term in &self.terms {
            for (source, adds) in &term.held {
                if let Some(candidate) = pool.get_mut(source) {
                    candidate.bm25 += term.weight * adds;
                }
            }
        }
    }

    /// Forgets what is no candidate any more: should it come back, it is learned of again.
    fn keep_to(&mut self, pool: &Pool) {
        for term in &mut self.terms {
            term.held.retain(|(source, _)| pool.contains_key(source));
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
    pub(super) fn tell_apart(&self, pool: &mut Pool, lexicon: &mut Lexicon) {
        let blend = Blend::of(pool, Ranking::Hybrid, &self.tuning);
        let best = blend.best(pool, GO_ON.max(GO_ON_EACH * self.depth));
        lexicon.lose(&best.iter().take(FIRST).copied().collect());
        if lexicon.corpus.is_some() {
            pool.retain(|source, _| best.contains(source));
            lexicon.keep_to(pool);
        }
        lexicon.score(pool);
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
        let terms = vec![("both".into(), 1.0, vec![held(1), held(2)]), ("one".into(), 1.0, vec![held(1)])];
        let mut terms = Lexicon::of_scope(4, 10.0, terms);
        let mut pool: Pool = [1, 2, 3].map(|source| (source, Candidate::of(source))).into();
        terms.score(&mut pool);
        let (one, two) = (pool[&1].bm25, pool[&2].bm25);
        assert!(one > two && two > 0.0 && pool[&3].bm25 == 0.0);
        terms.lose(&HashSet::from([1, 2]));
        terms.score(&mut pool);
        assert!((pool[&2].bm25 - two / 2.0).abs() < 1e-12, "both hold it");
        assert!((pool[&1].bm25 - (two / 2.0 + (one - two) * 0.75)).abs() < 1e-12, "one of two holds the other");
    }

    #[test]
    fn what_left_the_candidates_and_comes_back_counts_once() {
        let terms = vec![Term { term: "walrus".into(), weight: 2.0, held: Vec::new() }];
        let mut lexicon = Lexicon { terms, corpus: None };
        let mut pool: Pool = [1, 2].map(|source| (source, Candidate::of(source))).into();
        lexicon.learn("walrus", 1, 0.5);
        lexicon.learn("walrus", 2, 0.5);
        pool.remove(&2);
        lexicon.keep_to(&pool);
        pool.insert(2, Candidate::of(2));
        lexicon.learn("walrus", 2, 0.5);
        lexicon.score(&mut pool);
        assert_eq!((pool[&1].bm25, pool[&2].bm25), (1.0, 1.0));
    }
}
