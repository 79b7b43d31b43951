//! Feedback: moves the query vector towards the best candidates (pseudo-relevance feedback) and
//! computes the candidates' cosines again.
//!
//! A question and its answer are seldom phrased alike, but the three best candidates often use the
//! words of the other answers. Only the best passages of candidates are measured again, so no index
//! is scanned a second time. Worth 0.5 to 1 point of nDCG on every judged set (decision 5).

use std::collections::HashMap;

use pgvector::HalfVector;

use crate::recall::answer::Context;
use crate::recall::candidates::{Candidates, Pool};
use crate::recall::stages::Stage;
use crate::recall::stages::rank::Blend;
use crate::recall::{QueryVector, Ranking};
use crate::sql::{on_space, parameters, sql};
use pgrecall_postgres::db::{DbError, parameters::typed};

/// How far the query vector moves, relative to its own length of 1.
const STRENGTH: f32 = 0.4;
/// Number of best candidates that the query vector moves towards.
const TOP: usize = 3;
/// Minimum number of candidates to measure again, best first: candidates below would not reach the
/// page.
const MIN_MEASURED: usize = 600;
/// Softmax temperature of the candidates' weights: a clear winner dominates, close scores are
/// averaged.
const TEMPERATURE: f64 = 0.1;

/// Moves the query vector, and reads the cosines of the candidates to it.
#[tracing::instrument(name = "feedback", level = "debug", skip_all)]
pub(in crate::recall) async fn run(context: &Context<'_>, candidates: &mut Candidates) -> Result<(), DbError> {
    let Some(query) = context.vector.filter(|_| context.ranking == Ranking::Hybrid && context.runs(Stage::Feedback))
    else {
        return Ok(());
    };
    let pool = &mut candidates.pool;
    let blend = Blend::of(pool, Ranking::Hybrid, &context.tuning);
    let best = blend.best(pool, TOP).into_iter().filter_map(|source| pool.get(&source));
    let top: Vec<(i64, f64)> = best.filter_map(|it| Some((it.passage?, blend.score(it)))).collect();
    let vectors = passage_vectors(context, query, &top.iter().map(|(passage, _)| *passage).collect::<Vec<_>>()).await?;
    let answers: Vec<(&[f32], f64)> =
        top.iter().filter_map(|(passage, score)| Some((vectors.get(passage)?.as_slice(), *score))).collect();
    let vector: Vec<f32> = query.vector.as_slice().iter().map(|number| number.to_f32()).collect();
    let vector = HalfVector::from_f32_slice(&towards(vector, &answers));
    let moved = QueryVector { space: query.space, vector };
    let best = blend.best(pool, MIN_MEASURED.max(context.window.reach));
    measure_again(context, pool, &best, &moved).await?;
    candidates.vector = Some(moved);
    Ok(())
}

/// Reads the vectors of passages.
pub(in crate::recall) async fn passage_vectors(
    context: &Context<'_>,
    query: &QueryVector,
    passages: &[i64],
) -> Result<HashMap<i64, Vec<f32>>, DbError> {
    let statement = on_space(sql!("passage_vectors"), query.space);
    let rows = context.transaction.query_typed(&statement, parameters![passages]).await?;
    Ok(rows.iter().map(|row| (row.get("passage"), parse(row.get("embedding")))).collect())
}

/// Reads the cosines of these candidates' best passages to the moved query vector.
async fn measure_again(
    context: &Context<'_>,
    pool: &mut Pool,
    best: &[i64],
    moved: &QueryVector,
) -> Result<(), DbError> {
    let best = best.iter().filter_map(|source| pool.get(source));
    let by_passage: HashMap<i64, i64> = best.filter_map(|it| Some((it.passage?, it.source))).collect();
    let passages: Vec<i64> = by_passage.keys().copied().collect();
    let parameters = [typed(&passages), (&moved.vector, context.db.halfvec())];
    let statement = on_space(sql!("passage_cosines"), moved.space);
    for row in context.transaction.query_typed(&statement, &parameters).await? {
        if let Some(candidate) = by_passage.get(&row.get("passage")).and_then(|source| pool.get_mut(source)) {
            candidate.set_cosine(row.get("cosine"));
        }
    }
    Ok(())
}

/// Parses a vector as pgvector prints it: `[1,2.5,-3]`.
fn parse(vector: &str) -> Vec<f32> {
    vector.trim_matches(['[', ']']).split(',').filter_map(|number| number.parse().ok()).collect()
}

/// Moves the query vector towards the answers, weighted by their scores, and normalizes it to
/// length 1.
fn towards(mut query: Vec<f32>, answers: &[(&[f32], f64)]) -> Vec<f32> {
    let best = answers.iter().map(|(_, score)| *score).fold(f64::MIN, f64::max);
    let weights: Vec<f64> = answers.iter().map(|(_, score)| ((score - best) / TEMPERATURE).exp()).collect();
    let total: f64 = weights.iter().sum();
    for ((answer, _), weight) in answers.iter().zip(&weights) {
        let share = STRENGTH * (weight / total) as f32;
        for (number, towards) in query.iter_mut().zip(*answer) {
            *number += share * towards;
        }
    }
    let length = query.iter().map(|number| number * number).sum::<f32>().sqrt();
    if length > 0.0 {
        query.iter_mut().for_each(|number| *number /= length);
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_vector_moves_towards_the_clear_winner_and_keeps_its_length() {
        let moved = towards(vec![1.0, 0.0, 0.0], &[(&[0.0, 1.0, 0.0], 0.9), (&[0.0, 0.0, 1.0], 0.1)]);
        assert!(moved[1] > 0.3 && moved[2] < 0.01, "{moved:?}");
        assert!((moved.iter().map(|n| n * n).sum::<f32>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn without_an_answer_the_query_vector_stays() {
        assert_eq!(towards(vec![1.0, 0.0], &[]), [1.0, 0.0]);
        assert_eq!(parse("[1,-2.5,3e-05]"), [1.0, -2.5, 3e-5]);
    }
}
