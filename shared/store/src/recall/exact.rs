//! The exact pass: every source of a small scope gets both scores, so that no filter can shorten an answer.
//!
//! What is rare within one conversation says more about it than what is rare in everything that was ever said: the statistics are those of just
//! the scope, worth .012 recall@10 on LoCoMo.

use tokio_postgres::types::Type;

use super::lexicon::{Lexicon, Posting};
use super::scope::Parameter;
use super::{Candidate, Pool, Search};
use crate::sql::{Begin, on_space, sql};
use pgrecall_postgres::db::DbError;

/// About how many words that are indexed a passage holds.
const PASSAGE_WORDS: i64 = 100;
/// Distances that cost about as much as the index does where it has to pass over most of what it finds.
const MANY_PASSAGES: i64 = 30_000;

/// The sources of a scope.
pub(super) struct Sources {
    ids: Vec<i64>,
    /// In all of them.
    words: i64,
}

impl Sources {
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether so many passages stand in them that the index is quicker than a distance for each.
    pub(super) fn are_long(&self) -> bool {
        self.ids.len() as i64 + self.words / PASSAGE_WORDS > MANY_PASSAGES
    }
}

impl Search<'_> {
    /// Every source that may answer; `None`: there are more than `most`.
    #[tracing::instrument(level = "debug", skip_all)]
    pub(super) async fn sources(&self, begin: Begin, most: Option<i64>) -> Result<Option<Sources>, DbError> {
        let statement = self.narrowing.statement_from(begin, sql!("scope_sources"));
        let bound = most.map(|most| most + 1);
        let mut parameters = self.narrowing.parameters().to_vec();
        parameters.push((&bound, Type::INT8));
        let rows = self.transaction.query_typed(&statement, &parameters).await?;
        if most.is_some_and(|most| rows.len() as i64 > most) {
            return Ok(None);
        }
        let words = rows.iter().map(|row| i64::from(row.get::<_, i32>("words"))).sum();
        Ok(Some(Sources { ids: rows.iter().map(|row| row.get("source")).collect(), words }))
    }

    /// Scores all of these.
    #[tracing::instrument(level = "debug", skip_all)]
    pub(super) async fn score_all(&self, sources: &Sources) -> Result<(Pool, Lexicon), DbError> {
        let mut pool: Pool = sources.ids.iter().map(|source| (*source, Candidate::of(*source))).collect();
        let lexicon = self.scope_terms(&pool, sources.words).await?;
        lexicon.score(&mut pool);
        if let Some(meaning) = self.meaning {
            let sources: Vec<i64> = pool.keys().copied().collect();
            let parameters: [Parameter<'_>; 2] = [(&sources, Type::INT8_ARRAY), (&meaning.vector, self.db.halfvec())];
            let statement = on_space(sql!("candidate_vectors"), meaning.space);
            for row in self.transaction.query_typed(&statement, &parameters).await? {
                if let Some(candidate) = pool.get_mut(&row.get("source")) {
                    candidate.take_passage(&row);
                }
            }
        }
        Ok((pool, lexicon))
    }

    /// Where the question's terms stand in the scope.
    async fn scope_terms(&self, pool: &Pool, words: i64) -> Result<Lexicon, DbError> {
        if self.question.terms.is_empty() || pool.is_empty() {
            return Ok(Lexicon::default());
        }
        let ways = self.costs().await?.ways_to(pool.len());
        let sources: Vec<i64> = pool.keys().copied().collect();
        let parameters: [Parameter<'_>; 4] = [
            self.narrowing.kinds(),
            (&ways.read.terms, Type::TEXT_ARRAY),
            (&ways.looked_up.terms, Type::TEXT_ARRAY),
            (&sources, Type::INT8_ARRAY),
        ];
        let said = |term: &String| {
            let place = self.question.terms.iter().position(|asked| asked == term);
            place.map_or(0.0, |place| self.question.weights[place])
        };
        let all = ways.read.terms.iter().chain(&ways.looked_up.terms);
        let mut terms: Vec<(String, f64, Vec<Posting>)> =
            all.map(|term| (term.clone(), said(term), Vec::new())).collect();
        for row in self.transaction.query_typed(sql!("scope_postings"), &parameters).await? {
            let place = row.get::<_, i64>("place") as usize - 1;
            let (source, frequency, length) = (row.get("source"), row.get("frequency"), row.get("length"));
            terms[place].2.push(Posting { source, frequency, length });
        }
        terms.retain(|(_, _, postings)| !postings.is_empty());
        // In one order, whatever the terms cost to read: sums of floating-point numbers depend on it.
        terms.sort_by(|a, b| a.0.cmp(&b.0));
        let mean_words = (words as f64 / pool.len() as f64).max(1.0);
        Ok(Lexicon::of_scope(pool.len(), mean_words, terms))
    }

    /// The newest sources of the scope, unscored.
    #[tracing::instrument(level = "debug", skip_all)]
    pub(super) async fn newest(&self, limit: usize) -> Result<Pool, DbError> {
        let limit = limit as i64;
        let mut parameters = self.narrowing.parameters().to_vec();
        parameters.push((&limit, Type::INT8));
        let statement = self.narrowing.statement(sql!("entity_sources"));
        let rows = self.transaction.query_typed(&statement, &parameters).await?;
        Ok(rows.iter().map(|row| row.get("source")).map(|source| (source, Candidate::of(source))).collect())
    }
}
