//! Chaos: faults of a seed's choice under load, and the comparison of everything with what it must be.

pub mod chaos;
