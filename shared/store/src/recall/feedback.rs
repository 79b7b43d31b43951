//! Feedback: the question moves towards what answers it best, and the candidates are measured again.
//!
//! A question and its answer are seldom phrased alike; the three best answers of the first round know the words that the others use.
//! Only candidates are measured again, by their best passages: no second scan of the index. Worth half a point to a point of nDCG on
//! every judged set.

use std::collections::HashMap;

use pgvector::HalfVector;
use tokio_postgres::types::Type;

use super::fuse::Blend;
use super::scope::Parameter;
use super::{Meaning, Pool, Ranking, Search};
use crate::sql::{on_space, sql};
use pgrecall_postgres::db::DbError;

/// How far the question moves, against its own length of 1.
const STRENGTH: f32 = 0.4;
/// How many answers it moves towards.
const TOP: usize = 3;
/// Candidates that are measured again at the least, the best ones: the others would not come into the answer.
const MEASURED: usize = 600;
/// How fast an answer's say falls with its distance from the best: a clear winner leads, a tie is averaged.
const TEMPERATURE: f64 = 0.1;

impl Search<'_> {
    /// Moves the question and gives every candidate its new cosine. Returns the question as it is now.
    #[tracing::instrument(level = "debug", skip_all)]
    pub(super) async fn feed_back(&self, pool: &mut Pool, meaning: &Meaning) -> Result<Meaning, DbError> {
        let blend = Blend::of(pool, Ranking::Hybrid, &self.tuning);
        let best = blend.best(pool, TOP);
        let top: Vec<(i64, f64)> = best
            .iter()
            .filter_map(|source| pool.get(source))
            .filter_map(|candidate| Some((candidate.passage?, blend.score(candidate))))
            .collect();
        let vectors = self.vectors(meaning, top.iter().map(|(passage, _)| *passage).collect()).await?;
        let answers: Vec<(&[f32], f64)> =
            top.iter().filter_map(|(passage, score)| Some((vectors.get(passage)?.as_slice(), *score))).collect();
        let question: Vec<f32> = meaning.vector.as_slice().iter().map(|number| number.to_f32()).collect();
        let moved = Meaning { space: meaning.space, vector: HalfVector::from_f32_slice(&towards(question, &answers)) };
        let best = blend.best(pool, MEASURED.max(self.reach));
        self.measure(pool, &best, &moved).await?;
        Ok(moved)
    }

    async fn vectors(&self, meaning: &Meaning, passages: Vec<i64>) -> Result<HashMap<i64, Vec<f32>>, DbError> {
        let parameters: [Parameter<'_>; 1] = [(&passages, Type::INT8_ARRAY)];
        let statement = on_space(sql!("passage_vectors"), meaning.space);
        let rows = self.transaction.query_typed(&statement, &parameters).await?;
        Ok(rows.iter().map(|row| (row.get("passage"), parse(row.get("embedding")))).collect())
    }

    async fn measure(&self, pool: &mut Pool, best: &[i64], moved: &Meaning) -> Result<(), DbError> {
        let mut by_passage: HashMap<i64, i64> = HashMap::new();
        for source in best {
            by_passage.extend(pool.get(source).and_then(|candidate| Some((candidate.passage?, candidate.source))));
        }
        let passages: Vec<i64> = by_passage.keys().copied().collect();
        let parameters: [Parameter<'_>; 2] = [(&passages, Type::INT8_ARRAY), (&moved.vector, self.db.halfvec())];
        let statement = on_space(sql!("passage_cosines"), moved.space);
        for row in self.transaction.query_typed(&statement, &parameters).await? {
            if let Some(candidate) = by_passage.get(&row.get("passage")).and_then(|source| pool.get_mut(source)) {
                candidate.measure_again(row.get("cosine"));
            }
        }
        Ok(())
    }
}

/// pgvector writes a vector as `[1,2.5,-3]`.
pub(super) fn parse(vector: &str) -> Vec<f32> {
    vector.trim_matches(['[', ']']).split(',').filter_map(|number| number.parse().ok()).collect()
}

/// The question, moved towards the answers by their scores, with length 1 again.
fn towards(mut question: Vec<f32>, answers: &[(&[f32], f64)]) -> Vec<f32> {
    let best = answers.iter().map(|(_, score)| *score).fold(f64::MIN, f64::max);
    let say: Vec<f64> = answers.iter().map(|(_, score)| ((score - best) / TEMPERATURE).exp()).collect();
    let total: f64 = say.iter().sum();
    for ((answer, _), say) in answers.iter().zip(&say) {
        let share = STRENGTH * (say / total) as f32;
        for (number, towards) in question.iter_mut().zip(*answer) {
            *number += share * towards;
        }
    }
    let length = question.iter().map(|number| number * number).sum::<f32>().sqrt();
    if length > 0.0 {
        question.iter_mut().for_each(|number| *number /= length);
    }
    question
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_moves_towards_the_clear_winner_and_keeps_its_length() {
        let moved = towards(vec![1.0, 0.0, 0.0], &[(&[0.0, 1.0, 0.0], 0.9), (&[0.0, 0.0, 1.0], 0.1)]);
        assert!(moved[1] > 0.3 && moved[2] < 0.01, "{moved:?}");
        assert!((moved.iter().map(|n| n * n).sum::<f32>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn without_an_answer_the_question_stays() {
        assert_eq!(towards(vec![1.0, 0.0], &[]), [1.0, 0.0]);
        assert_eq!(parse("[1,-2.5,3e-05]"), [1.0, -2.5, 3e-5]);
    }
}
