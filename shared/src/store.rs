//! Store: what a claim has to embed, and the vectors that come back.
//!
//! A vector is stored only while the lease holds and the passage still says what was embedded: the token fences the job, the text's
//! hash fences the passage. What was stored stays stored when the next call fails, so that a retry goes on where this one ended.

use std::collections::HashSet;

use pgvector::HalfVector;
use tokio_postgres::types::Type;

use crate::db::{Db, DbError, Role};
use crate::passage::{self, Limit};
use crate::queue::{self, Claim, Job};
use crate::spaces::SpaceId;
use crate::sql::{on_space, sql};

/// A passage that waits for its vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its row.
    pub passage: i64,
    /// Its source, which names its job.
    pub source: i64,
    /// The hash of `text`.
    pub text_hash: Vec<u8>,
    /// What is embedded: title, heading and text.
    pub text: String,
}

/// The passages of a claim that have no vector for what they say now, and all of those that are made anew.
pub async fn pending_passages(db: &Db, space: SpaceId, claim: &Claim, limit: &Limit) -> Result<Vec<Pending>, DbError> {
    let sources: Vec<i64> = claim.jobs.iter().map(|job| job.source).collect();
    let forced: Vec<i64> = claim.jobs.iter().filter(|job| job.forced).map(|job| job.source).collect();
    let mut client = db.client().await?;
    let transaction = db.begin(&mut client, &Role::Worker).await?;
    let rows = transaction
        .query_typed(
            &on_space(sql!("pending_passages"), space),
            &[(&sources, Type::INT8_ARRAY), (&forced, Type::INT8_ARRAY)],
        )
        .await?;
    let pending = rows.iter().map(|row| Pending {
        passage: row.get("id"),
        source: row.get("source"),
        text_hash: row.get("text_hash"),
        text: passage::embed_text(row.get("title"), row.get("heading"), row.get("text"), limit),
    });
    Ok(pending.collect())
}

/// What became of a batch of vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Vectors that were stored.
    pub stored: i64,
    /// Vectors that were not: their passage changed meanwhile, or their job's lease was lost.
    pub dropped: i64,
    /// Jobs that ended.
    pub settled: usize,
    /// Jobs that another worker holds by now.
    pub lost: usize,
}

/// Stores the vectors of `embedded` and ends the jobs of `finished`, together or not at all.
pub async fn store(
    db: &Db,
    space: SpaceId,
    claim: &Claim,
    embedded: &[(&Pending, Vec<f32>)],
    finished: &[Job],
) -> Result<Outcome, DbError> {
    let mut client = db.client().await?;
    let transaction = db.begin(&mut client, &Role::Worker).await?;
    let mut outcome = Outcome::default();
    let touched: HashSet<i64> = embedded.iter().map(|(pending, _)| pending.source).collect();
    let jobs: Vec<i64> = claim.jobs.iter().filter(|job| touched.contains(&job.source)).map(|job| job.id).collect();
    let held: Vec<i64> = jobs.iter().copied().chain(finished.iter().map(|job| job.id)).collect();
    queue::hold(&transaction, claim.token, &held).await?;
    if !embedded.is_empty() {
        let passages: Vec<i64> = embedded.iter().map(|(pending, _)| pending.passage).collect();
        let hashes: Vec<&[u8]> = embedded.iter().map(|(pending, _)| pending.text_hash.as_slice()).collect();
        let vectors: Vec<HalfVector> = embedded.iter().map(|(_, vector)| HalfVector::from_f32_slice(vector)).collect();
        let rows = transaction
            .query_typed(
                &on_space(sql!("store_vectors"), space),
                &[
                    (&jobs, Type::INT8_ARRAY),
                    (&claim.token, Type::INT8),
                    (&passages, Type::INT8_ARRAY),
                    (&hashes, Type::BYTEA_ARRAY),
                    (&vectors, db.halfvec_array()),
                ],
            )
            .await?;
        outcome.stored = rows.iter().map(|row| i64::from(row.get::<_, i32>("stored"))).sum();
        outcome.dropped = embedded.len() as i64 - outcome.stored;
    }
    if !finished.is_empty() {
        outcome.settled = queue::settle(&transaction, claim.token, finished).await?;
        outcome.lost = finished.len() - outcome.settled;
    }
    transaction.commit().await?;
    Ok(outcome)
}
