//! The stages of a recall, in their order. Each takes the candidates as the one before left them, and runs in a span of its name.

pub(super) mod diversify;
pub(super) mod feedback;
pub(super) mod hydrate;
pub(super) mod neighbors;
pub(super) mod page;
pub(super) mod rank;
pub(super) mod retrieve;
pub(super) mod reweight;

/// A stage that a measurement or a test can leave out: see [`Tuning::skipped`](super::Tuning).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Terms that most of the best candidates hold are discounted.
    Reweight,
    /// The query vector moves towards its best answers.
    Feedback,
    /// Records next to a candidate in its session boost it.
    Neighbors,
    /// Near-duplicates are collapsed, or the list is diversified.
    Diversify,
}
