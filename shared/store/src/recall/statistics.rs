//! What BM25 needs to know of a corpus: how many sources it has, how long they are, and how rare each of the query's terms is.

use std::collections::HashMap;

use tokio_postgres::types::Type;

use super::Search;
use super::lexicon::{Question, idf};
use super::scope::Parameter;
use crate::corpora::AUDIENCE_FREQUENT;
use crate::sql::sql;
use pgrecall_postgres::db::DbError;

/// Postings that may be read to find candidates. A frequent term adds little to a score and most to the work: at 5,000 the top ten
/// keep 0.976 of the full ranking's, at a fifth of its time.
const LEAD_POSTINGS: i64 = 5_000;

/// How many times as many may be read once more, where those brought too few.
const READ_ON: i64 = 8;
/// And up to how many: some hundred milliseconds.
const MOST_POSTINGS: i64 = LEAD_POSTINGS * READ_ON * READ_ON;

/// A term that stands in this many times more sources than there are candidates is looked up for each of them, and not read from end to
/// end: a look-up costs about as much as thirty postings of a list.
const LOOKUP: i64 = 32;

/// The corpus, for one query.
#[derive(Debug)]
pub(super) struct Statistics {
    /// The mean length of a source, in words; at least 1.
    pub(super) mean_words: f64,
    /// Every term of the query that stands anywhere, the rarest first.
    terms: Vec<Term>,
    /// How many of `terms` bring the candidates.
    leading: usize,
    /// How many postings may be read for that.
    read: i64,
}

/// A term of the query, in the corpus.
#[derive(Debug, Clone, PartialEq)]
struct Term {
    term: String,
    /// About how many postings of it have to be read.
    postings: i64,
    /// In how many of the sources that count it stands.
    sources: i64,
    /// How much it says: how rare it is, and how often the question says it.
    weight: f64,
}

/// Terms with their weights, as a statement takes them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Weighted {
    pub(super) terms: Vec<String>,
    pub(super) weights: Vec<f64>,
}

/// How word_scores.sql comes to the postings of each term.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Ways {
    /// Their sources are candidates.
    pub(super) leading: Weighted,
    /// Read from end to end, for candidates only.
    pub(super) read: Weighted,
    /// Looked up candidate by candidate.
    pub(super) looked_up: Weighted,
}

impl Statistics {
    /// Whether no term of the query stands anywhere.
    pub(super) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The terms with their weights, the rarest first.
    pub(super) fn terms(&self) -> impl Iterator<Item = (&str, f64)> {
        self.terms.iter().map(|term| (term.term.as_str(), term.weight))
    }

    /// Whether all of the terms bring candidates.
    pub(super) fn all_lead(&self) -> bool {
        self.leading == self.terms.len()
    }

    /// Lets more of the terms bring candidates. False: all of them do, or too much would have to be read.
    pub(super) fn lead_on(&mut self) -> bool {
        let led = self.leading;
        while led == self.leading && !self.all_lead() && self.read < MOST_POSTINGS {
            self.read *= READ_ON;
            self.leading = leading(&self.terms, self.read);
        }
        self.leading > led
    }

    /// The ways to the candidates of the rarest terms, and to `asked` sources that are scored with them.
    pub(super) fn ways_to_candidates(&self, asked: usize) -> Ways {
        self.ways(self.leading, asked)
    }

    /// The ways to `asked` sources alone.
    pub(super) fn ways_to(&self, asked: usize) -> Ways {
        self.ways(0, asked)
    }

    fn ways(&self, leading: usize, asked: usize) -> Ways {
        let (leading, others) = self.terms.split_at(leading);
        let candidates = leading.iter().map(|term| term.postings).sum::<i64>() + asked as i64;
        let (read, looked_up) = others.iter().partition::<Vec<&Term>, _>(|term| term.postings <= LOOKUP * candidates);
        Ways {
            leading: leading.iter().collect(),
            read: read.into_iter().collect(),
            looked_up: looked_up.into_iter().collect(),
        }
    }
}

impl<'a> FromIterator<&'a Term> for Weighted {
    fn from_iter<T: IntoIterator<Item = &'a Term>>(terms: T) -> Self {
        let (terms, weights) = terms.into_iter().map(|term| (term.term.clone(), term.weight)).unzip();
        Self { terms, weights }
    }
}

impl Search<'_> {
    /// Reads the statistics of the kinds that are searched: of what the caller reads. Another's record changes no score.
    #[tracing::instrument(level = "debug", skip_all)]
    pub(super) async fn statistics(&self) -> Result<Statistics, DbError> {
        let kinds = [self.narrowing.kinds()];
        let counts: [Parameter<'_>; 3] =
            [self.narrowing.kinds(), (&self.question.terms, Type::TEXT_ARRAY), (&AUDIENCE_FREQUENT, Type::INT8)];
        let (sizes, counts) = futures_util::future::try_join(
            self.transaction.query_typed(sql!("reader_corpus"), &kinds),
            self.transaction.query_typed(sql!("reader_counts"), &counts),
        )
        .await?;
        let sources: i64 = sizes.iter().map(|row| row.get::<_, i64>("sources")).sum();
        let words: i64 = sizes.iter().map(|row| row.get::<_, i64>("words")).sum();
        let held = counts.iter().map(|row| (row.get("term"), (row.get("postings"), row.get("sources"))));
        Ok(statistics(sources, words, self.question, &held.collect()))
    }

    /// What it costs to read each term, where the scope's own postings say all the rest.
    #[tracing::instrument(level = "debug", skip_all)]
    pub(super) async fn costs(&self) -> Result<Statistics, DbError> {
        let counts = [self.narrowing.kinds(), (&self.question.terms, Type::TEXT_ARRAY)];
        let rows = self.transaction.query_typed(sql!("term_counts"), &counts).await?;
        let held = rows.iter().map(|row| (row.get("term"), (row.get("sources"), row.get("sources"))));
        Ok(statistics(0, 0, self.question, &held.collect()))
    }
}

/// `held`: of each term its postings and its sources.
fn statistics(sources: i64, words: i64, asked: &Question, held: &HashMap<String, (i64, i64)>) -> Statistics {
    let term = |(term, said): (&String, &f64)| {
        let (postings, held) = *held.get(term)?;
        (postings > 0).then(|| Term { term: term.clone(), postings, sources: held, weight: said * idf(sources, held) })
    };
    let mut terms: Vec<Term> = asked.terms.iter().zip(&asked.weights).filter_map(term).collect();
    terms.sort_by(|a, b| a.sources.cmp(&b.sources).then_with(|| a.term.cmp(&b.term)));
    Statistics {
        mean_words: (words as f64 / sources.max(1) as f64).max(1.0),
        leading: leading(&terms, LEAD_POSTINGS),
        read: LEAD_POSTINGS,
        terms,
    }
}

/// How many of the terms, the rarest first, have so many postings together; the first in any case.
fn leading(terms: &[Term], postings: i64) -> usize {
    let mut read = 0;
    let leads = |term: &&Term| {
        let first = read == 0;
        read += term.postings;
        first || read <= postings
    };
    terms.iter().take_while(leads).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sources: i64, words: i64, held: &[(&str, i64)]) -> Statistics {
        let asked = Question {
            terms: held.iter().map(|(term, _)| (*term).to_owned()).collect(),
            weights: held.iter().map(|_| 1.0).collect(),
        };
        let held = held.iter().map(|(term, count)| ((*term).to_owned(), (*count, *count))).collect();
        statistics(sources, words, &asked, &held)
    }

    #[test]
    fn the_rarest_terms_lead_until_enough_postings_are_read() {
        let held = [("the", 90_000), ("revenue", 3_000), ("quarter", 1_500), ("net", 4_000)];
        let found = found(100_000, 5_000_000, &held);
        let ways = found.ways_to_candidates(100);
        assert_eq!(ways.leading.terms, ["quarter", "revenue"]);
        assert_eq!(ways.read.terms, ["net", "the"]);
        assert_eq!(ways.looked_up, Weighted::default());
        let weights = [ways.leading.weights.clone(), ways.read.weights].concat();
        assert!(weights.is_sorted_by(|a, b| a >= b) && weights.iter().all(|weight| *weight > 0.0));
        assert_eq!(found.mean_words, 50.0);
        assert_eq!(found.terms().next(), Some(("quarter", ways.leading.weights[0])));
    }

    #[test]
    fn a_term_that_stands_nearly_everywhere_is_looked_up_for_a_few_sources() {
        let ways = found(100_000, 5_000_000, &[("quarter", 1_500), ("the", 90_000)]).ways_to(50);
        assert_eq!(ways.leading, Weighted::default());
        assert_eq!(ways.read.terms, ["quarter"]);
        assert_eq!(ways.looked_up.terms, ["the"]);
    }

    #[test]
    fn where_the_rarest_bring_too_few_more_lead_until_all_do() {
        let mut found = found(
            100_000,
            5_000_000,
            &[("net", 3), ("revenue", 6_000), ("quarter", 30_000), ("the", 90_000), ("of", 200_000)],
        );
        let leading = |found: &Statistics| found.ways_to_candidates(0).leading.terms.len();
        assert_eq!(leading(&found), 1);
        assert!(found.lead_on() && leading(&found) == 3);
        assert!(found.lead_on() && leading(&found) == 4);
        assert!(!found.lead_on() && !found.all_lead(), "it is too much to read");
        let mut found = super::tests::found(100_000, 5_000_000, &[("revenue", 6_000), ("net", 3)]);
        assert!(!found.all_lead() && found.lead_on() && found.all_lead() && !found.lead_on());
    }

    #[test]
    fn one_term_leads_however_frequent_it_is() {
        assert_eq!(found(100_000, 1, &[("data", 80_000)]).ways_to_candidates(0).leading.terms, ["data"]);
        assert!(found(0, 0, &[]).is_empty());
    }
}
