//! The engine that both programs run, and what they serve and report the same way.
//!
//! The [`engine`] joins the crates next to it: configuration, Postgres, embedder and store. [`database`] opens it in the background,
//! [`listener`] serves HTTP, and [`telemetry`] writes logs and sends traces.

/// The version of both programs, with the revision where their builder named it.
pub const VERSION: &str = env!("PGRECALL_VERSION");

pub mod database;
pub mod engine;
pub mod listener;
pub mod telemetry;
