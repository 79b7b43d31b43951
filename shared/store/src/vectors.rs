//! Store: reads what a claim has to embed, and stores the vectors.
//!
//! A vector is stored only while the lease holds and the passage still has the text that was
//! embedded: the lease token fences the job, the text's hash fences the passage. Stored vectors
//! remain if a later call fails, so a retry continues where this run ended.

use std::collections::HashSet;

use pgvector::HalfVector;

use crate::queue::{self, Claim, Job, Next};
use crate::spaces::SpaceId;
use crate::sql::{on_space, parameters, sql};
use pgrecall_postgres::db::parameters::typed;
use pgrecall_postgres::db::worker::Run;
use pgrecall_postgres::db::{Db, DbError};
use pgrecall_record::passage::{self, Limit};

/// A passage that needs a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Id of the passage.
    pub passage: i64,
    /// Its source, which identifies its job.
    pub source: i64,
    /// Hash of title, headings and the passage's text (decision 11).
    pub text_hash: Vec<u8>,
    /// The text to embed: title, headings and the passage's text.
    pub text: String,
}

/// Reads the passages of a claim that have no vector for their present text, and all passages of
/// forced jobs.
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

/// The result of storing a batch of vectors.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Number of vectors stored.
    pub stored: i64,
    /// Number of vectors not stored, because the passage has changed or the job's lease was lost.
    pub dropped: i64,
    /// Number of jobs that ended.
    pub settled: usize,
    /// Number of jobs whose lease was lost.
    pub lost: usize,
    /// The next jobs, if a claim was requested and there are any.
    pub next: Option<Claim>,
}

/// Stores the vectors of `embedded`, ends the jobs of `finished` and, if `next` is given, claims
/// the next jobs, all in one transaction. Claiming here saves a round trip and a commit. After an
/// error the commit may still have succeeded, and then the worker holds jobs that it does not know
/// of (decision 9).
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

/// Stores vectors of held jobs. Returns the number stored.
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
