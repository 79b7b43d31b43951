//! The records, the queue and the vectors in Postgres, and everything that reads and writes them.
//!
//! A record is [written](mod@write) with its passages, terms and jobs. A worker claims the jobs from the [`queue`], and stores the
//! [`vectors`] in an embedding [space](spaces). [`recall`] finds records by vector similarity and BM25.

pub mod corpora;
pub mod correct;
pub mod exported;
pub mod files;
pub mod forget;
pub mod metrics;
pub mod queue;
pub mod quotas;
pub mod read;
pub mod recall;
pub mod review;
pub mod spaces;
mod sql;
pub mod status;
pub mod triage;
pub mod vectors;
pub mod versions;
pub mod write;
