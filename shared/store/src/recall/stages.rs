//! The stages of a recall, in the order in which [`answer`](super::answer) runs them. Each stage
//! takes the candidates that the stage before it left, and runs in a span of its own name.

pub(super) mod diversify;
pub(super) mod feedback;
pub(super) mod hydrate;
pub(super) mod neighbors;
pub(super) mod page;
pub(super) mod rank;
pub(super) mod retrieve;
pub(super) mod reweight;

/// A stage that a test or an evaluation can skip: see [`Tuning::skipped`](super::Tuning).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Discounts terms that most of the best candidates contain.
    Reweight,
    /// Moves the query vector towards the best candidates.
    Feedback,
    /// Boosts a candidate by the records next to it in its session.
    Neighbors,
    /// Collapses near-duplicates, or applies MMR.
    Diversify,
}
