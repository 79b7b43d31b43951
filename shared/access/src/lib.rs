//! Access control over HTTP: API keys of callers, and the audit log, both in Postgres.

pub mod audit;
pub mod keys;
