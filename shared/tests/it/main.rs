//! What is SQL, on a real Postgres. Each test has a database of its own.

mod any_text;
mod correcting;
mod files;
mod fixture;
mod keys;
mod migrations;
mod queueing;
mod reaching;
mod recalling;
mod remodelling;
mod scopes;
mod sizes;
mod secrets;
mod table_health;
mod writing;
