//! Generated input for tests: texts with a few changes, and pseudo-random choices from a seed.

pub mod mutate;
pub mod rng;
