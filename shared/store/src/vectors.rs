//! Store: what a claim has to embed, and the vectors that come back.
//!
//! A vector is stored only while the lease holds and the passage still says what was embedded: the token fences the job, the text's
//! hash fences the passage. What was stored stays stored when the next call fails, so that a retry goes on where this one ended.

use std::collections::HashSet;

use pgvector::HalfVector;

use crate::queue::{self, Claim, Job, Next};
use crate::spaces::SpaceId;
use crate::sql::{on_space, parameters, sql};
use pgrecall_postgres::db::parameters::typed;
use pgrecall_postgres::db::worker::Run;
use pgrecall_postgres::db::{Db, DbError};
use pgrecall_record::passage::{self, Limit};

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

/// The passages of a claim without a vector of their current text, and all passages of sources that are embedded again.
pub async fn pending_passages(db: &Db, space: SpaceId, claim: &Claim, limit: &Limit) -> Result<Vec<Pending>, DbError> {
    let sources: Vec<i64> = claim.jobs.iter().map(|job| job.source).collect();
    let forced: Vec<i64> = claim.jobs.iter().filter(|job| job.forced).map(|job| job.source).collect();
    let rows = db.run_as_worker(&on_space(sql!("pending_passages"), space), parameters![sources, forced]).await?;
    let pending = rows.iter().map(|row| Pending {
        passage: row.get("id"),
        source: row.get("source"),
        text_hash: row.get("text_hash"),
        text: passage::embed_text(row.get("title"), row.get("heading"), row.get("text"), limit),
    });
    Ok(pending.collect())
}

/// What became of a batch of vectors.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Vectors that were stored.
    pub stored: i64,
    /// Vectors that were not stored: their passage has changed, or their job's lease was lost.
    pub dropped: i64,
    /// Jobs that ended.
    pub settled: usize,
    /// Jobs that another worker holds by now.
    pub lost: usize,
    /// The next jobs, where they were asked for and there are any.
    pub next: Option<Claim>,
}

/// Stores the vectors of `embedded`, ends the jobs of `finished`, and claims the next jobs if that is asked for: together or not at all. The
/// claim saves a round trip and a commit. After an error, jobs may be claimed that nobody knows of.
pub async fn store(
    db: &Db,
    space: SpaceId,
    claim: &Claim,
    embedded: &[(&Pending, Vec<f32>)],
    finished: &[Job],
    next: Option<Next<'_>>,
) -> Result<Outcome, DbError> {
    let mut client = db.worker().await?;
    let mut outcome = Outcome::default();
    if embedded.is_empty() {
        (outcome.settled, outcome.next) = queue::settle(&mut client, space, claim.token, finished, next).await?;
    } else {
        let mut transaction = client.begin().await?;
        let embedding = embedded.iter().map(|(pending, _)| pending.source);
        let held: Vec<i64> = embedding.chain(finished.iter().map(|job| job.source)).collect();
        queue::hold(&mut transaction, claim.token, &held).await?;
        outcome.stored = store_vectors(db, &mut transaction, space, claim.token, embedded).await?;
        outcome.dropped = embedded.len() as i64 - outcome.stored;
        if !finished.is_empty() || next.is_some() {
            (outcome.settled, outcome.next) =
                queue::settle(&mut transaction, space, claim.token, finished, next).await?;
        }
        transaction.commit().await?;
    }
    outcome.lost = finished.len() - outcome.settled;
    Ok(outcome)
}

/// Stores vectors of jobs that are held. Returns how many.
async fn store_vectors(
    db: &Db,
    on: &mut impl Run,
    space: SpaceId,
    token: i64,
    embedded: &[(&Pending, Vec<f32>)],
) -> Result<i64, DbError> {
    let sources: HashSet<i64> = embedded.iter().map(|(pending, _)| pending.source).collect();
    let sources: Vec<i64> = sources.into_iter().collect();
    let passages: Vec<i64> = embedded.iter().map(|(pending, _)| pending.passage).collect();
    let hashes: Vec<&[u8]> = embedded.iter().map(|(pending, _)| pending.text_hash.as_slice()).collect();
    let vectors: Vec<HalfVector> = embedded.iter().map(|(_, vector)| HalfVector::from_f32_slice(vector)).collect();
    let parameters = [typed(&sources), typed(&token), typed(&passages), typed(&hashes), (&vectors, db.halfvec_array())];
    let rows = on.run(&on_space(sql!("store_vectors"), space), &parameters).await?;
    Ok(rows.iter().map(|row| i64::from(row.get::<_, i32>("stored"))).sum())
}
