//! What both programs share, in the order in which data flows.
//!
//! A [`source`] is split into [`passage`]s and [`words`], [`write`](mod@write)n with its job in the [`queue`], claimed by a worker, embedded by an
//! [`embedder`], kept by [`store`] in an embedding [space](spaces), and found by [`recall`]. The [`engine`] holds it all together.

/// The version of both programs, with the revision where their builder named it.
pub const VERSION: &str = env!("PGRECALL_VERSION");

pub mod rights;
pub mod secrets;
pub mod source;

pub mod labels;
pub mod metrics;
pub mod model;
pub mod passage;
pub mod triage;
pub mod words;
pub mod write;

pub mod queue;

pub mod embedder;

pub mod spaces;
pub mod store;

pub mod recall;

pub mod corpora;
pub mod correct;
pub mod exported;
pub mod files;
pub mod forget;
pub mod quotas;
pub mod read;
pub mod review;
pub mod status;
pub mod versions;
pub mod visible;

pub mod api_keys;
pub mod audit;
pub mod backup;
pub mod config;
pub mod db;
pub mod dsn;
pub mod embedded;
pub mod engine;
pub mod integrity;
pub mod listener;
pub mod open_files;
pub mod runtime;
pub mod secret;
pub mod session;
pub mod tasks;
pub mod telemetry;
pub mod ttl_map;

pub mod hash;
pub mod identity;
pub mod nofollow;
mod sql;
