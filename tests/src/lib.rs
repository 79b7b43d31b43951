//! Chaos tests: faults drawn from a seed, under load, and a comparison of the whole database with
//! its expected state.

pub mod chaos;
