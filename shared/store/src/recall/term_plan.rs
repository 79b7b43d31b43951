//! Corpus statistics for BM25, and the plan for reading the postings of each query term.

use std::collections::HashMap;

use super::answer::Context;
use super::term_scores::{QueryTerms, idf};
use crate::corpora::AUDIENCE_FREQUENT;
use crate::sql::{parameters, sql};
use pgrecall_postgres::db::DbError;

/// Number of postings that may be read to generate candidates. A frequent term adds little to a
/// score and most of the cost: with 5,000 postings the overlap@10 with the full ranking is 0.976,
/// for less than a fifth of its time (decision 3).
const CANDIDATE_POSTINGS: i64 = 5_000;

/// Factor by which the budget of postings grows when the terms within it yield too few candidates.
const WIDENING_FACTOR: i64 = 8;
/// Upper limit of that budget: these postings take on the order of a hundred milliseconds.
const MAX_CANDIDATE_POSTINGS: i64 = CANDIDATE_POSTINGS * WIDENING_FACTOR * WIDENING_FACTOR;

/// Cost of looking up a term in one source, in postings of a scan. A term with more postings than
/// this for each candidate is looked up candidate by candidate instead of scanned.
const PROBE_COST: i64 = 32;

/// Statistics of a corpus for the terms of one query.
#[derive(Debug)]
pub(super) struct CorpusStatistics {
    /// Mean length of a source, in words; at least 1.
    pub(super) mean_words: f64,
    /// The query's terms that occur in the corpus, rarest first.
    terms: Vec<Term>,
    /// How many of `terms`, from the first on, generate candidates.
    generating: usize,
    /// Number of postings that may be read to generate candidates.
    budget: i64,
}

/// A term of the query, with its statistics.
#[derive(Debug, Clone, PartialEq)]
struct Term {
    term: String,
    /// Approximate number of postings that a scan of the term reads.
    postings: i64,
    /// Document frequency: the number of sources that contain the term, among those that count for
    /// this caller.
    sources: i64,
    /// IDF, times the square root of the term's frequency in the query.
    weight: f64,
}

/// Terms and their weights, as two arrays that a statement takes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct WeightedTerms {
    pub(super) terms: Vec<String>,
    pub(super) weights: Vec<f64>,
}

/// How word_scores.sql reads the postings of each term.
#[derive(Debug, Default, PartialEq)]
pub(super) struct TermPlan {
    /// Scanned; the sources that contain these terms become candidates.
    pub(super) generate: WeightedTerms,
    /// Scanned, and scored for the candidates only.
    pub(super) scan: WeightedTerms,
    /// Looked up for each candidate.
    pub(super) probe: WeightedTerms,
}

impl CorpusStatistics {
    /// Returns whether no term of the query occurs in the corpus.
    pub(super) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Returns the terms with their weights, rarest first.
    pub(super) fn terms(&self) -> impl Iterator<Item = (&str, f64)> {
        self.terms.iter().map(|term| (term.term.as_str(), term.weight))
    }

    /// Returns whether every term generates candidates.
    pub(super) fn is_exhaustive(&self) -> bool {
        self.generating == self.terms.len()
    }

    /// Lets more terms generate candidates. False: all of them do already, or the budget is at its
    /// upper limit.
    pub(super) fn widen(&mut self) -> bool {
        let before = self.generating;
        while before == self.generating && !self.is_exhaustive() && self.budget < MAX_CANDIDATE_POSTINGS {
            self.budget *= WIDENING_FACTOR;
            self.generating = generating(&self.terms, self.budget);
        }
        self.generating > before
    }

    /// Plans to generate candidates from the rarest terms and to score `unscored` sources as well.
    pub(super) fn plan_candidates(&self, unscored: usize) -> TermPlan {
        self.plan(self.generating, unscored)
    }

    /// Plans to score `unscored` sources, without generating candidates.
    pub(super) fn plan_lookups(&self, unscored: usize) -> TermPlan {
        self.plan(0, unscored)
    }

    fn plan(&self, generating: usize, unscored: usize) -> TermPlan {
        let (generate, others) = self.terms.split_at(generating);
        let candidates = generate.iter().map(|term| term.postings).sum::<i64>() + unscored as i64;
        let (scan, probe) = others.iter().partition::<Vec<&Term>, _>(|term| term.postings <= PROBE_COST * candidates);
        TermPlan {
            generate: generate.iter().collect(),
            scan: scan.into_iter().collect(),
            probe: probe.into_iter().collect(),
        }
    }
}

impl TermPlan {
    /// Returns all terms, in the order in which word_scores.sql and search_set_postings.sql number them.
    pub(super) fn terms(&self) -> impl Iterator<Item = &String> {
        self.generate.terms.iter().chain(&self.scan.terms).chain(&self.probe.terms)
    }
}

impl<'a> FromIterator<&'a Term> for WeightedTerms {
    fn from_iter<T: IntoIterator<Item = &'a Term>>(terms: T) -> Self {
        let (terms, weights) = terms.into_iter().map(|term| (term.term.clone(), term.weight)).unzip();
        Self { terms, weights }
    }
}

impl Context<'_> {
    /// Reads the statistics of the kinds that are searched, over the records that the caller may
    /// read. Records of others must change no score (decision 26).
    #[tracing::instrument(level = "debug", skip_all)]
    pub(super) async fn corpus_statistics(&self) -> Result<CorpusStatistics, DbError> {
        let counts = parameters![self.filter.kinds, self.terms.terms, AUDIENCE_FREQUENT];
        let (sizes, counts) = futures_util::future::try_join(
            self.transaction.query_typed(sql!("reader_corpus"), parameters![self.filter.kinds]),
            self.transaction.query_typed(sql!("reader_counts"), counts),
        )
        .await?;
        let sources: i64 = sizes.iter().map(|row| row.get::<_, i64>("sources")).sum();
        let words: i64 = sizes.iter().map(|row| row.get::<_, i64>("words")).sum();
        let held = counts.iter().map(|row| (row.get("term"), (row.get("postings"), row.get("sources"))));
        Ok(statistics(sources, words, &self.terms, &held.collect()))
    }

    /// Reads what each term costs to read. The counts cover the whole tenant, so they only decide
    /// how the postings are read; the scores come from the postings of the search set (decision
    /// 26).
    #[tracing::instrument(level = "debug", skip_all)]
    pub(super) async fn term_costs(&self) -> Result<CorpusStatistics, DbError> {
        let counts = parameters![self.filter.kinds, self.terms.terms];
        let rows = self.transaction.query_typed(sql!("term_counts"), counts).await?;
        let held = rows.iter().map(|row| (row.get("term"), (row.get("sources"), row.get("sources"))));
        Ok(statistics(0, 0, &self.terms, &held.collect()))
    }
}

/// Computes the statistics. `held` maps a term to its number of postings and its document
/// frequency.
fn statistics(sources: i64, words: i64, query: &QueryTerms, held: &HashMap<String, (i64, i64)>) -> CorpusStatistics {
    let term = |(term, said): (&String, &f64)| {
        let (postings, held) = *held.get(term)?;
        (postings > 0).then(|| Term { term: term.clone(), postings, sources: held, weight: said * idf(sources, held) })
    };
    let mut terms: Vec<Term> = query.terms.iter().zip(&query.weights).filter_map(term).collect();
    terms.sort_by(|a, b| a.sources.cmp(&b.sources).then_with(|| a.term.cmp(&b.term)));
    CorpusStatistics {
        mean_words: (words as f64 / sources.max(1) as f64).max(1.0),
        generating: generating(&terms, CANDIDATE_POSTINGS),
        budget: CANDIDATE_POSTINGS,
        terms,
    }
}

/// Counts how many of the terms, rarest first, fit into a budget of postings; the first one always
/// does, so that every query has candidates.
fn generating(terms: &[Term], postings: i64) -> usize {
    let mut read = 0;
    let generates = |term: &&Term| {
        let first = read == 0;
        read += term.postings;
        first || read <= postings
    };
    terms.iter().take_while(generates).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sources: i64, words: i64, held: &[(&str, i64)]) -> CorpusStatistics {
        let query = QueryTerms {
            terms: held.iter().map(|(term, _)| (*term).to_owned()).collect(),
            weights: held.iter().map(|_| 1.0).collect(),
        };
        let held = held.iter().map(|(term, count)| ((*term).to_owned(), (*count, *count))).collect();
        statistics(sources, words, &query, &held)
    }

    #[test]
    fn the_rarest_terms_generate_candidates_until_enough_postings_are_read() {
        let held = [("the", 90_000), ("revenue", 3_000), ("quarter", 1_500), ("net", 4_000)];
        let found = found(100_000, 5_000_000, &held);
        let plan = found.plan_candidates(100);
        assert_eq!(plan.generate.terms, ["quarter", "revenue"]);
        assert_eq!(plan.scan.terms, ["net", "the"]);
        assert_eq!(plan.probe, WeightedTerms::default());
        let weights = [plan.generate.weights.clone(), plan.scan.weights].concat();
        assert!(weights.is_sorted_by(|a, b| a >= b) && weights.iter().all(|weight| *weight > 0.0));
        assert_eq!(found.mean_words, 50.0);
        assert_eq!(found.terms().next(), Some(("quarter", plan.generate.weights[0])));
    }

    #[test]
    fn a_term_that_stands_nearly_everywhere_is_probed_for_a_few_sources() {
        let plan = found(100_000, 5_000_000, &[("quarter", 1_500), ("the", 90_000)]).plan_lookups(50);
        assert_eq!(plan.generate, WeightedTerms::default());
        assert_eq!(plan.scan.terms, ["quarter"]);
        assert_eq!(plan.probe.terms, ["the"]);
    }

    #[test]
    fn where_the_rarest_yield_too_few_more_terms_generate_until_all_do() {
        let mut found = found(
            100_000,
            5_000_000,
            &[("net", 3), ("revenue", 6_000), ("quarter", 30_000), ("the", 90_000), ("of", 200_000)],
        );
        let generating = |found: &CorpusStatistics| found.plan_candidates(0).generate.terms.len();
        assert_eq!(generating(&found), 1);
        assert!(found.widen() && generating(&found) == 3);
        assert!(found.widen() && generating(&found) == 4);
        assert!(!found.widen() && !found.is_exhaustive(), "it is too much to read");
        let mut found = super::tests::found(100_000, 5_000_000, &[("revenue", 6_000), ("net", 3)]);
        assert!(!found.is_exhaustive() && found.widen() && found.is_exhaustive() && !found.widen());
    }

    #[test]
    fn one_term_generates_candidates_however_frequent_it_is() {
        assert_eq!(found(100_000, 1, &[("data", 80_000)]).plan_candidates(0).generate.terms, ["data"]);
        assert!(found(0, 0, &[]).is_empty());
    }
}
