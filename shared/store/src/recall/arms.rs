//! The arms: candidates by words and by meaning from their indexes, and then both scores for every candidate of either.
//!
//! The blend needs both: fused from each arm's own hits only, it loses a point of nDCG.

use tokio_postgres::types::Type;

use super::lexicon::{B, K1, Lexicon};
use super::scope::Parameter;
use super::{Candidate, Meaning, Pool, Search};
use crate::sql::{on_space, scoring, sql};
use pgrecall_postgres::db::DbError;

/// Candidates of each arm for each answer: fewer miss some where dozens are nearly as good. Twenty rank no better on any judged set.
const CANDIDATES: usize = 6;
/// Candidates from the words, at the least.
const WORD_CANDIDATES: usize = 200;
/// Where the nearest passages are of a few long documents, more are asked for, up to so many.
const MOST_PASSAGES: usize = 3_200;

/// How far the indexes reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    /// They brought what was asked for.
    Enough,
    /// The scan of the vectors ended before, after so many rows that did not pass or with the last that did; or, by words alone, the rarest brought
    /// too few.
    TheEnd,
}

/// Whether the words bring candidates of their own.
enum Bringing {
    Candidates,
    Nothing,
}

impl Search<'_> {
    /// Candidates of both arms, with both scores, and how far the indexes reached.
    pub(super) async fn best_of_both_arms(&self) -> Result<(Pool, Lexicon, Reached), DbError> {
        let mut lexicon = Lexicon::of_corpus(self.statistics().await?);
        let mut pool = Pool::new();
        let mut reached = Reached::Enough;
        if let Some(meaning) = self.meaning {
            reached = self.vector_arm(meaning, &mut pool).await?;
        }
        // The vectors first: what they bring is scored by its words in the same statement that looks for candidates by words.
        self.score_words(&mut lexicon, Bringing::Candidates, &mut pool).await?;
        if let Some(meaning) = self.meaning {
            self.score_vectors(meaning, &mut pool).await?;
        } else if self.is_led_too_little(&pool, &lexicon) {
            reached = Reached::TheEnd;
        }
        Ok((pool, lexicon, reached))
    }

    /// Has more words bring candidates where nothing else does: the rarest lead to what others keep, or to what is over.
    pub(super) async fn lead_on(&self, pool: &mut Pool, lexicon: &mut Lexicon) -> Result<(), DbError> {
        while self.is_led_too_little(pool, lexicon) && lexicon.lead_on() {
            pool.clear();
            self.score_words(lexicon, Bringing::Candidates, pool).await?;
        }
        Ok(())
    }

    /// Whether there are too few candidates for the pages, and some words bring none yet.
    fn is_led_too_little(&self, pool: &Pool, lexicon: &Lexicon) -> bool {
        pool.len() <= self.reach && lexicon.corpus().is_some_and(|statistics| !statistics.all_lead())
    }

    /// Gives every candidate the score that it lacks.
    pub(super) async fn complete(
        &self,
        pool: &mut Pool,
        lexicon: &mut Lexicon,
        meaning: Option<&Meaning>,
    ) -> Result<(), DbError> {
        self.score_words(lexicon, Bringing::Nothing, pool).await?;
        match meaning {
            Some(meaning) => self.score_vectors(meaning, pool).await,
            None => Ok(()),
        }
    }

    #[tracing::instrument(level = "debug", skip_all)]
    async fn vector_arm(&self, meaning: &Meaning, pool: &mut Pool) -> Result<Reached, DbError> {
        let statement = on_space(&self.narrowing.statement(sql!("vector_candidates")), meaning.space);
        let mut passages = CANDIDATES * self.depth;
        loop {
            let mut parameters = self.narrowing.parameters().to_vec();
            let asked = passages as i64;
            parameters.extend::<[Parameter<'_>; 2]>([(&meaning.vector, self.db.halfvec()), (&asked, Type::INT8)]);
            let rows = self.transaction.query_typed(&statement, &parameters).await?;
            pool.extend(rows.iter().map(|row| row.get("source")).map(|source| (source, Candidate::of(source))));
            if rows.len() < passages {
                return Ok(Reached::TheEnd);
            }
            if pool.len() >= self.reach || passages >= MOST_PASSAGES {
                return Ok(Reached::Enough);
            }
            passages *= 4;
        }
    }

    /// Learns where the terms stand in the candidates of which that is not known, and brings in the best that the leading terms lead to; then all
    /// have their scores by words.
    #[tracing::instrument(level = "debug", skip_all)]
    async fn score_words(&self, lexicon: &mut Lexicon, bringing: Bringing, pool: &mut Pool) -> Result<(), DbError> {
        let asked: Vec<i64> =
            pool.values().filter(|candidate| !candidate.has_words).map(|candidate| candidate.source).collect();
        let Some(statistics) = lexicon.corpus() else { return Ok(()) };
        let ways = match bringing {
            Bringing::Candidates => statistics.ways_to_candidates(asked.len()),
            Bringing::Nothing => statistics.ways_to(asked.len()),
        };
        if statistics.is_empty() || (asked.is_empty() && ways.leading.terms.is_empty()) {
            return Ok(());
        }
        let brought = WORD_CANDIDATES.max(CANDIDATES * self.depth) as i64;
        let mut parameters = self.narrowing.parameters().to_vec();
        for weighted in [&ways.leading, &ways.read, &ways.looked_up] {
            parameters.extend::<[Parameter<'_>; 2]>([
                (&weighted.terms, Type::TEXT_ARRAY),
                (&weighted.weights, Type::FLOAT8_ARRAY),
            ]);
        }
        parameters.extend::<[Parameter<'_>; 5]>([
            (&asked, Type::INT8_ARRAY),
            (&statistics.mean_words, Type::FLOAT8),
            (&brought, Type::INT8),
            (&K1, Type::FLOAT8),
            (&B, Type::FLOAT8),
        ]);
        let statement = self.narrowing.statement(&scoring(sql!("word_scores")));
        let rows = self.transaction.query_typed(&statement, &parameters).await?;
        let terms: Vec<String> = [ways.leading.terms, ways.read.terms, ways.looked_up.terms].concat();
        for row in rows {
            let (source, place) = (row.get("source"), row.get::<_, i32>("place"));
            pool.entry(source).or_insert_with(|| Candidate::of(source));
            lexicon.learn(&terms[place as usize - 1], source, row.get("adds"));
        }
        lexicon.score(pool);
        Ok(())
    }

    /// Measures the candidates that were not measured yet by their best passages.
    #[tracing::instrument(level = "debug", skip_all)]
    async fn score_vectors(&self, meaning: &Meaning, pool: &mut Pool) -> Result<(), DbError> {
        let vectorless: Vec<i64> = pool.values().filter(|c| c.cosine.is_none()).map(|c| c.source).collect();
        if vectorless.is_empty() {
            return Ok(());
        }
        let statement = on_space(sql!("candidate_vectors"), meaning.space);
        let parameters: [Parameter<'_>; 2] = [(&vectorless, Type::INT8_ARRAY), (&meaning.vector, self.db.halfvec())];
        for row in self.transaction.query_typed(&statement, &parameters).await? {
            if let Some(candidate) = pool.get_mut(&row.get("source")) {
                candidate.take_passage(&row);
            }
        }
        Ok(())
    }
}
