//! Tests of the SQL on a real Postgres. Each test has its own database.

mod any_text;
mod audit;
mod correcting;
mod covering;
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod dsn;
mod files;
mod fixture;
mod guarding;
mod keys;
mod migrations;
mod ordering;
mod queueing;
mod reaching;
mod recalling;
mod remodelling;
mod restoring;
mod rights;
mod scopes;
mod secrets;
mod sizes;
mod table_health;
mod writing;
