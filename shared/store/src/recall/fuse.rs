//! Fuse: two scores and the neighbours' into one list. No database here, and nothing but arithmetic.
//!
//! Score = 0.7 cosine + 0.3 BM25 (the best candidate's is 1) unless it is configured otherwise, and each record of a session takes half of its better neighbour's and a
//! quarter of the next one's. A convex blend beats reciprocal ranks on every judged set, since ranks forget how much better the first
//! is than the second; its best weight is flat from .25 to .40 (docs/evaluation.md has the figures).

use std::collections::{HashMap, HashSet};

use super::{Pool, Ranking, Tuning};
use pgrecall_record::source::SourceKind;

/// What is added to a rank before its reciprocal is taken.
const RANKS: f64 = 60.0;
/// What the records one and two steps away lend, as a share of the better of the two at that distance.
const LENT: [f64; 2] = [0.5, 0.25];
/// The share of a record's own score that its neighbours have on average: what one without neighbours is taken to be lent, so that
/// standing alone is neither punished nor rewarded.
const USUAL: f64 = 0.7;

/// A source that may answer, and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    pub(super) source: i64,
    /// 0 when no term of the query stands in it.
    pub(super) bm25: f64,
    /// Whether `bm25` was looked up.
    pub(super) has_words: bool,
    /// Of its best passage, with what the passages beside it lend; `None` when it has no vector, or none was asked for.
    pub(super) cosine: Option<f64>,
    /// What they lent, which is part of `cosine`.
    pub(super) lift: f64,
    pub(super) passage: Option<i64>,
    /// The records near it in its session, and how many steps away: 1 or 2.
    pub(super) neighbours: Vec<(i64, usize)>,
    /// What it is, where that is asked for.
    pub(super) kind: Option<SourceKind>,
    /// How old what it says is, in seconds, where that counts.
    pub(super) age: f64,
}

impl Candidate {
    pub(super) fn of(source: i64) -> Self {
        Self {
            source,
            bm25: 0.0,
            has_words: false,
            cosine: None,
            lift: 0.0,
            passage: None,
            neighbours: Vec::new(),
            kind: None,
            age: 0.0,
        }
    }

    /// Takes its best passage from a row of best_passages.sql.
    pub(super) fn take_passage(&mut self, row: &tokio_postgres::Row) {
        let (cosine, lent): (f64, f64) = (row.get("cosine"), row.get("lent"));
        self.passage = Some(row.get("passage"));
        self.lift = lent - cosine;
        self.cosine = Some(lent);
    }

    /// Takes its best passage's cosine to a question that has moved; the passages beside it still say what they said.
    pub(super) fn measure_again(&mut self, cosine: f64) {
        self.cosine = Some(cosine + self.lift);
    }
}

/// The blend of a pool: its weights, and the best scores that the others are measured by.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Blend {
    words: f64,
    best_bm25: f64,
    best_cosine: f64,
    /// Whether a source of which no score speaks is an answer too.
    unscored: bool,
    /// The scores by reciprocal ranks, where those are added and not the scores themselves.
    by_ranks: Option<HashMap<i64, f64>>,
}

impl Blend {
    pub(super) fn of(pool: &Pool, ranking: Ranking, tuning: &Tuning) -> Self {
        let best = |scores: &mut dyn Iterator<Item = f64>| scores.fold(0.0, f64::max);
        Self {
            words: match ranking {
                Ranking::Hybrid => tuning.words,
                Ranking::Semantic => 0.0,
                Ranking::Lexical | Ranking::Entity => 1.0,
            },
            best_bm25: best(&mut pool.values().map(|candidate| candidate.bm25)),
            best_cosine: best(&mut pool.values().filter_map(|candidate| candidate.cosine)),
            unscored: ranking == Ranking::Entity,
            by_ranks: (ranking == Ranking::Hybrid && tuning.fuses_ranks).then(|| by_ranks(pool)),
        }
    }

    /// 0 to 1, neighbours aside.
    pub(super) fn score(&self, candidate: &Candidate) -> f64 {
        if let Some(scores) = &self.by_ranks {
            return scores.get(&candidate.source).copied().unwrap_or_default();
        }
        let words = self.words(candidate);
        // What is not embedded yet is taken to mean what its words say: a record that was written a second ago ranks by them, and
        // not below everything that has a vector.
        let cosine = candidate.cosine.unwrap_or(words * self.best_cosine).clamp(0.0, 1.0);
        self.words * words + (1.0 - self.words) * cosine
    }

    /// A candidate's BM25 score as a share of the best one's, 0 to 1.
    fn words(&self, candidate: &Candidate) -> f64 {
        if self.best_bm25 > 0.0 { candidate.bm25 / self.best_bm25 } else { 0.0 }
    }

    /// The sources with the best score, best first.
    pub(super) fn best(&self, pool: &Pool, limit: usize) -> Vec<i64> {
        let mut all: Vec<(f64, i64)> =
            pool.values().map(|candidate| (self.score(candidate), candidate.source)).collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        all.truncate(limit);
        all.into_iter().map(|(_, source)| source).collect()
    }

    /// What a candidate's neighbours lend it.
    fn lent(&self, candidate: &Candidate, own: f64, pool: &Pool) -> f64 {
        let at = |steps: usize| {
            let there = candidate.neighbours.iter().filter(|(_, away)| *away == steps);
            let scores = there.map(|(source, _)| pool.get(source).map_or(0.0, |neighbour| self.score(neighbour)));
            scores.reduce(f64::max).unwrap_or(USUAL * own)
        };
        LENT[0] * at(1) + LENT[1] * at(2)
    }
}

/// A candidate in its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ranked {
    pub(super) candidate: Candidate,
    /// Its BM25 score as a share of the best one's, 0 to 1.
    pub(super) words: f64,
    pub(super) blended: f64,
    pub(super) lent: f64,
    /// What its age left of its score.
    pub(super) recency: f64,
    /// 0 to 1.
    pub(super) score: f64,
}

/// Scores by reciprocal ranks, 1 for what is first by words and by meaning.
fn by_ranks(pool: &Pool) -> HashMap<i64, f64> {
    let mut scores: HashMap<i64, f64> = HashMap::with_capacity(pool.len());
    let mut add = |mut ranked: Vec<(f64, i64)>| {
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        for (rank, (_, source)) in ranked.into_iter().enumerate() {
            *scores.entry(source).or_default() += (RANKS + 1.0) / (RANKS + 1.0 + rank as f64) / 2.0;
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

/// Ranks the pool. Sources about which nothing speaks are left out. Equal scores fall to the newer source.
pub(super) fn rank(pool: &Pool, ranking: Ranking, tuning: &Tuning) -> Vec<Ranked> {
    let blend = Blend::of(pool, ranking, tuning);
    // A record without neighbours keeps its own score.
    let whole = 1.0 + USUAL * LENT.iter().sum::<f64>();
    let mut ranked: Vec<Ranked> = pool
        .values()
        .map(|candidate| {
            let blended = blend.score(candidate);
            let lent = blend.lent(candidate, blended, pool);
            let recency = tuning.kept(candidate.age);
            let score = ((blended + lent) / whole).min(1.0) * recency;
            Ranked { candidate: candidate.clone(), words: blend.words(candidate), blended, lent, recency, score }
        })
        .filter(|ranked| blend.unscored || ranked.score > 0.0)
        .collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.candidate.source.cmp(&a.candidate.source)));
    ranked
}

/// The candidates of the pool about which nothing speaks, the newest first.
pub(super) fn unscored(pool: &Pool, ranked: &[Ranked], tuning: &Tuning) -> Vec<Ranked> {
    let scored: HashSet<i64> = ranked.iter().map(|ranked| ranked.candidate.source).collect();
    let others = pool.values().filter(|candidate| !scored.contains(&candidate.source));
    let mut others: Vec<Ranked> = others
        .map(|candidate| Ranked {
            candidate: candidate.clone(),
            words: 0.0,
            blended: 0.0,
            lent: 0.0,
            recency: tuning.kept(candidate.age),
            score: 0.0,
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
    fn a_record_without_neighbours_keeps_its_own_score() {
        let alone = Candidate { bm25: 5.0, cosine: Some(0.5), ..Candidate::of(1) };
        let ranked = rank(&pool([alone]), Ranking::Hybrid, &Tuning::default());
        assert!((ranked[0].score - (0.3 + 0.7 * 0.5)).abs() < 1e-12);
    }

    #[test]
    fn a_neighbour_lends_and_the_score_stays_within_one() {
        let answer = Candidate { bm25: 0.1, cosine: Some(0.1), neighbours: vec![(2, 1)], ..Candidate::of(1) };
        let question = Candidate { bm25: 10.0, cosine: Some(1.0), neighbours: vec![(1, 1)], ..Candidate::of(2) };
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
