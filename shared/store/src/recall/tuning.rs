//! The configurable part of the ranking.

use std::time::Duration;

use super::Stage;

/// Configured parameters of the ranking. The defaults come from the evaluation
/// (docs/internals/evaluation.md).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuning {
    /// Whether the two rankings are fused by reciprocal rank (RRF) instead of blending their
    /// scores.
    pub fuses_ranks: bool,
    /// Weight of BM25 in the blend, 0 to 1.
    pub bm25_weight: f64,
    /// Largest share of a score that the recency decay takes away, 0 to 1.
    pub recency: f64,
    /// Half-life of the recency decay.
    pub half_life: Duration,
    /// Cosine from which on two results are near-duplicates.
    pub near_duplicate_cosine: f32,
    /// Stages to skip, for evaluations.
    pub skipped: &'static [Stage],
}

impl Default for Tuning {
    fn default() -> Self {
        let half_life = Duration::from_secs(30 * 86_400);
        Self {
            fuses_ranks: false,
            bm25_weight: 0.3,
            recency: 0.0,
            half_life,
            near_duplicate_cosine: 0.92,
            skipped: &[],
        }
    }
}

impl Tuning {
    /// Returns the factor that the recency decay applies to the score of a record of this age, in
    /// seconds.
    pub(super) fn recency_factor(&self, age: f64) -> f64 {
        let halves = age.max(0.0) / self.half_life.as_secs_f64().max(1.0);
        1.0 - self.recency * (1.0 - 0.5_f64.powf(halves))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_takes_half_of_its_share_in_a_half_life() {
        let tuning = Tuning { recency: 0.4, half_life: Duration::from_secs(100), ..Tuning::default() };
        assert_eq!(tuning.recency_factor(0.0), 1.0);
        assert!((tuning.recency_factor(100.0) - 0.8).abs() < 1e-12);
        assert!(tuning.recency_factor(1e9) > 0.6 - 1e-12);
        assert_eq!(Tuning::default().recency_factor(1e9), 1.0, "unless it is configured, age does not count");
    }
}
