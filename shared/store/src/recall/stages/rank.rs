//! Rank: combines the BM25 score, the cosine, the neighbor boost and age into one list. Plain
//! arithmetic, without the database.
//!
//! By default a score is 0.7 cosine + 0.3 BM25, where the best candidate's BM25 is 1. A record adds
//! half of the score of its better neighbor one step away, and a quarter of that of the better one
//! two steps away; the sum is scaled back to 0 to 1. The blend beats RRF on every judged set, since
//! ranks drop the distance between scores; its weight is flat from 0.25 to 0.40 (decision 5;
//! docs/internals/evaluation.md has the figures).

use std::collections::{HashMap, HashSet};

use crate::recall::answer::{Context, KindCounts};
use crate::recall::candidates::{Candidate, Pool};
use crate::recall::{Ranking, Strategy, Tuning};

/// RRF's `k`, which is added to a rank before its reciprocal is taken.
const RRF_K: f64 = 60.0;
/// Share of the score of the better neighbor at one step and at two steps.
const NEIGHBOR_BOOSTS: [f64; 2] = [0.5, 0.25];
/// Average score of a neighbor, as a share of the record's own score. It replaces a missing
/// neighbor, so that a record without neighbors is neither penalized nor favored.
const DEFAULT_NEIGHBOR_RATIO: f64 = 0.7;

/// The blend for a pool: the weight of BM25, the best BM25 score, by which the others are divided,
/// and the best cosine, from which the cosine of a source without a vector is estimated.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::recall) struct Blend {
    bm25_weight: f64,
    best_bm25: f64,
    best_cosine: f64,
    /// Whether a source without any score is a result too.
    unscored: bool,
    /// RRF scores by source, if the ranking uses them instead of the blend.
    by_ranks: Option<HashMap<i64, f64>>,
}

impl Blend {
    pub(in crate::recall) fn of(pool: &Pool, ranking: Ranking, tuning: &Tuning) -> Self {
        let best = |scores: &mut dyn Iterator<Item = f64>| scores.fold(0.0, f64::max);
        Self {
            bm25_weight: match ranking {
                Ranking::Hybrid => tuning.bm25_weight,
                Ranking::Semantic => 0.0,
                Ranking::Lexical | Ranking::Entity => 1.0,
            },
            best_bm25: best(&mut pool.values().map(|candidate| candidate.bm25)),
            best_cosine: best(&mut pool.values().filter_map(|candidate| candidate.cosine)),
            unscored: ranking == Ranking::Entity,
            by_ranks: (ranking == Ranking::Hybrid && tuning.fuses_ranks).then(|| by_ranks(pool)),
        }
    }

    /// Computes the score without the neighbor boost, 0 to 1.
    pub(in crate::recall) fn score(&self, candidate: &Candidate) -> f64 {
        if let Some(scores) = &self.by_ranks {
            return scores.get(&candidate.source).copied().unwrap_or_default();
        }
        let bm25 = self.bm25_share(candidate);
        // A source that is not embedded yet gets a cosine in proportion to its BM25 score.
        // Otherwise a record that was written a second ago would rank below all records with a
        // vector.
        let cosine = candidate.cosine.unwrap_or(bm25 * self.best_cosine).clamp(0.0, 1.0);
        self.bm25_weight * bm25 + (1.0 - self.bm25_weight) * cosine
    }

    /// Normalizes a candidate's BM25 score by the best one, 0 to 1.
    fn bm25_share(&self, candidate: &Candidate) -> f64 {
        if self.best_bm25 > 0.0 { candidate.bm25 / self.best_bm25 } else { 0.0 }
    }

    /// Returns the sources with the best scores, best first; at equal scores the older one first.
    pub(in crate::recall) fn best(&self, pool: &Pool, limit: usize) -> Vec<i64> {
        let mut all: Vec<(f64, i64)> =
            pool.values().map(|candidate| (self.score(candidate), candidate.source)).collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        all.truncate(limit);
        all.into_iter().map(|(_, source)| source).collect()
    }

    /// Computes the boost from a candidate's neighbors.
    fn neighbor_boost(&self, candidate: &Candidate, own: f64, pool: &Pool) -> f64 {
        let at = |steps: usize| {
            let there = candidate.neighbors.iter().filter(|(_, away)| *away == steps);
            let scores = there.map(|(source, _)| pool.get(source).map_or(0.0, |neighbor| self.score(neighbor)));
            scores.reduce(f64::max).unwrap_or(DEFAULT_NEIGHBOR_RATIO * own)
        };
        NEIGHBOR_BOOSTS[0] * at(1) + NEIGHBOR_BOOSTS[1] * at(2)
    }
}

/// A candidate with its score, in rank order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::recall) struct Ranked {
    pub(in crate::recall) candidate: Candidate,
    /// BM25 score as a share of the best one's, 0 to 1.
    pub(in crate::recall) bm25: f64,
    /// Blend of both scores.
    pub(in crate::recall) blended: f64,
    /// Boost from its neighbors.
    pub(in crate::recall) neighbor_boost: f64,
    /// Factor from the recency decay.
    pub(in crate::recall) recency: f64,
    /// Final score, 0 to 1.
    pub(in crate::recall) score: f64,
}

/// Ranks the candidates of a query.
#[tracing::instrument(name = "rank", level = "debug", skip_all)]
pub(in crate::recall) fn run(context: &Context<'_>, pool: &Pool) -> Vec<Ranked> {
    let mut ranked = rank(pool, context.ranking, &context.tuning);
    if context.query.strategy == Strategy::Entity {
        // Each of them names a requested entity, so it is a result whatever its score.
        ranked.extend(unscored(pool, &ranked, &context.tuning));
    }
    ranked
}

/// Counts the ranked candidates of each kind.
pub(in crate::recall) fn count_kinds(context: &Context<'_>, ranked: &[Ranked]) -> KindCounts {
    if let [only] = context.query.filter.kinds[..] {
        return KindCounts::from([(only, ranked.len())]);
    }
    let mut kinds = KindCounts::new();
    for kind in ranked.iter().filter_map(|ranked| ranked.candidate.kind) {
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

/// Computes the RRF scores, scaled so that a source that is first in both rankings gets 1.
fn by_ranks(pool: &Pool) -> HashMap<i64, f64> {
    let mut scores: HashMap<i64, f64> = HashMap::with_capacity(pool.len());
    let mut add = |mut ranked: Vec<(f64, i64)>| {
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        for (rank, (_, source)) in ranked.into_iter().enumerate() {
            *scores.entry(source).or_default() += (RRF_K + 1.0) / (RRF_K + 1.0 + rank as f64) / 2.0;
        }
    };
    add(pool
        .values()
        .filter(|candidate| candidate.bm25 > 0.0)
        .map(|candidate| (candidate.bm25, candidate.source))
        .collect());
    add(pool.values().filter_map(|candidate| Some((candidate.cosine?, candidate.source))).collect());
    scores
}

/// Ranks the pool, best first and the newer source first if scores are equal. Sources without any
/// score are left out, unless the ranking is by entity.
fn rank(pool: &Pool, ranking: Ranking, tuning: &Tuning) -> Vec<Ranked> {
    let blend = Blend::of(pool, ranking, tuning);
    // Dividing by this leaves the score of a record without neighbors unchanged.
    let whole = 1.0 + DEFAULT_NEIGHBOR_RATIO * NEIGHBOR_BOOSTS.iter().sum::<f64>();
    let mut ranked: Vec<Ranked> = pool
        .values()
        .map(|candidate| {
            let blended = blend.score(candidate);
            let neighbor_boost = blend.neighbor_boost(candidate, blended, pool);
            let recency = tuning.recency_factor(candidate.age);
            let score = ((blended + neighbor_boost) / whole).min(1.0) * recency;
            Ranked {
                candidate: candidate.clone(),
                bm25: blend.bm25_share(candidate),
                blended,
                neighbor_boost,
                recency,
                score,
            }
        })
        .filter(|ranked| blend.unscored || ranked.score > 0.0)
        .collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.candidate.source.cmp(&a.candidate.source)));
    ranked
}

/// Returns the candidates that [`rank`] left out because they have no score, newest first.
fn unscored(pool: &Pool, ranked: &[Ranked], tuning: &Tuning) -> Vec<Ranked> {
    let scored: HashSet<i64> = ranked.iter().map(|ranked| ranked.candidate.source).collect();
    let others = pool.values().filter(|candidate| !scored.contains(&candidate.source));
    let mut others: Vec<Ranked> = others
        .map(|candidate| Ranked {
            candidate: candidate.clone(),
            recency: tuning.recency_factor(candidate.age),
            ..Ranked::default()
        })
        .collect();
    others.sort_by_key(|ranked| std::cmp::Reverse(ranked.candidate.source));
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(candidates: impl IntoIterator<Item = Candidate>) -> Pool {
        candidates.into_iter().map(|candidate| (candidate.source, candidate)).collect()
    }

    fn order(ranked: &[Ranked]) -> Vec<i64> {
        ranked.iter().map(|ranked| ranked.candidate.source).collect()
    }

    #[test]
    fn both_scores_count_for_every_candidate() {
        let words = Candidate { bm25: 10.0, cosine: Some(0.0), ..Candidate::of(1) };
        let meaning = Candidate { bm25: 0.0, cosine: Some(0.9), ..Candidate::of(2) };
        let both = Candidate { bm25: 8.0, cosine: Some(0.8), ..Candidate::of(3) };
        assert_eq!(order(&rank(&pool([words, meaning, both]), Ranking::Hybrid, &Tuning::default())), [3, 2, 1]);
    }

    #[test]
    fn a_record_without_neighbors_keeps_its_own_score() {
        let alone = Candidate { bm25: 5.0, cosine: Some(0.5), ..Candidate::of(1) };
        let ranked = rank(&pool([alone]), Ranking::Hybrid, &Tuning::default());
        assert!((ranked[0].score - (0.3 + 0.7 * 0.5)).abs() < 1e-12);
    }

    #[test]
    fn a_neighbor_boosts_and_the_score_stays_within_one() {
        let answer = Candidate { bm25: 0.1, cosine: Some(0.1), neighbors: vec![(2, 1)], ..Candidate::of(1) };
        let question = Candidate { bm25: 10.0, cosine: Some(1.0), neighbors: vec![(1, 1)], ..Candidate::of(2) };
        let other = Candidate { bm25: 1.0, cosine: Some(0.2), ..Candidate::of(3) };
        let ranked = rank(&pool([answer, question, other]), Ranking::Hybrid, &Tuning::default());
        assert_eq!(order(&ranked), [2, 1, 3]);
        assert!(ranked.iter().all(|ranked| (0.0..=1.0).contains(&ranked.score)));
    }

    #[test]
    fn what_is_not_embedded_yet_ranks_by_its_words() {
        let fresh = Candidate { bm25: 10.0, cosine: None, ..Candidate::of(1) };
        let embedded = Candidate { bm25: 2.0, cosine: Some(0.6), ..Candidate::of(2) };
        assert_eq!(order(&rank(&pool([fresh, embedded]), Ranking::Hybrid, &Tuning::default())), [1, 2]);
    }

    #[test]
    fn by_words_alone_a_source_without_a_match_is_no_answer() {
        let hit = Candidate { bm25: 1.0, ..Candidate::of(1) };
        assert_eq!(order(&rank(&pool([hit.clone(), Candidate::of(2)]), Ranking::Lexical, &Tuning::default())), [1]);
        assert!(rank(&pool([Candidate::of(2)]), Ranking::Lexical, &Tuning::default()).is_empty());
        assert_eq!(order(&rank(&pool([Candidate::of(2)]), Ranking::Entity, &Tuning::default())), [2]);
    }

    #[test]
    fn equal_scores_fall_to_the_newer_source() {
        let two = pool([Candidate { bm25: 1.0, ..Candidate::of(1) }, Candidate { bm25: 1.0, ..Candidate::of(2) }]);
        assert_eq!(order(&rank(&two, Ranking::Lexical, &Tuning::default())), [2, 1]);
        assert_eq!(Blend::of(&two, Ranking::Lexical, &Tuning::default()).best(&two, 1), [1]);
    }

    #[test]
    fn by_ranks_the_first_of_both_has_everything() {
        let both = Candidate { bm25: 9.0, cosine: Some(0.9), ..Candidate::of(1) };
        let words = Candidate { bm25: 1.0, ..Candidate::of(2) };
        let ranks = Tuning { fuses_ranks: true, ..Tuning::default() };
        let ranked = rank(&pool([both, words]), Ranking::Hybrid, &ranks);
        assert_eq!(order(&ranked), [1, 2]);
        assert!((ranked[0].score - 1.0).abs() < 1e-12 && ranked[1].score < 0.5);
    }

    #[test]
    fn age_takes_its_share_where_it_counts() {
        let fresh = Candidate { bm25: 8.0, ..Candidate::of(1) };
        let old = Candidate { bm25: 10.0, age: 1e9, ..Candidate::of(2) };
        assert_eq!(order(&rank(&pool([fresh.clone(), old.clone()]), Ranking::Lexical, &Tuning::default())), [2, 1]);
        let aging = Tuning { recency: 0.5, ..Tuning::default() };
        let ranked = rank(&pool([fresh, old]), Ranking::Lexical, &aging);
        assert_eq!(order(&ranked), [1, 2]);
        assert!((ranked[1].recency - 0.5).abs() < 1e-6);
    }
}
