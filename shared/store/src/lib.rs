//! Reads and writes the records, the queue and the vectors in Postgres.
//!
//! [`write`](mod@write) stores a record with its passages, postings, labels and jobs. A worker
//! claims the jobs from the [`queue`] and stores the [`vectors`] in an embedding [space](spaces).
//! [`recall`] finds records by vector similarity and BM25.

pub mod corpora;
pub mod correct;
pub mod coverage;
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
pub mod workers;
pub mod write;
