//! Access: the API keys of HTTP callers and the audit log, in Postgres.

pub mod audit;
pub mod keys;
