//! The engine that both programs run, and the parts around it that both use.
//!
//! The [`engine`] joins the crates next to it: configuration, Postgres, embedder and store.
//! [`database`] opens it in the background, [`listener`] serves HTTP, and [`telemetry`] writes logs
//! and sends traces.

/// The version of both programs, with the revision if the build names it.
pub const VERSION: &str = env!("PGRECALL_VERSION");

pub mod database;
pub mod engine;
pub mod listener;
pub mod telemetry;
