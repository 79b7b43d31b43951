//! How answers are ranked, as far as that is configured.

use std::time::Duration;

use super::Stage;

/// The configured part of the ranking. The defaults are what the evaluation says (docs/evaluation.md).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuning {
    /// Whether two rankings are fused by reciprocal rank (RRF) instead of blending their scores.
    pub fuses_ranks: bool,
    /// The share of BM25 in a blend, 0 to 1.
    pub words: f64,
    /// The share of a score that age can take, 0 to 1.
    pub recency: f64,
    /// The half-life of the recency decay.
    pub half_life: Duration,
    /// From which cosine on two answers are near-duplicates.
    pub same: f32,
    /// Stages that are left out, for evaluations.
    pub skipped: &'static [Stage],
}

impl Default for Tuning {
    fn default() -> Self {
        let half_life = Duration::from_secs(30 * 86_400);
        Self { fuses_ranks: false, words: 0.3, recency: 0.0, half_life, same: 0.92, skipped: &[] }
    }
}

impl Tuning {
    /// The factor of a score for an age in seconds.
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
