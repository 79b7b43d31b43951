//! The callers of the server: who they are, what share of it each may take, and the record of what they did.

pub mod audit;
pub mod auth;
pub mod fair;
