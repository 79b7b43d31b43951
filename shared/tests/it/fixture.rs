//! A database, a caller and a space without an embedder: the tests make the vectors themselves.

use std::sync::Arc;

use pgrecall_embedder::{ModelId, Provider};
use pgrecall_harness::postgres;
use pgrecall_postgres::db::{Db, DbError, Role, Scope};
use pgrecall_postgres::dsn::Dsn;
use pgrecall_record::passage::Limit;
use pgrecall_record::source::{Receipt, Record, RecordFields, SourceKind};
use pgrecall_store::queue::{Claim, Claims, Job};
use pgrecall_store::recall::{Answer, Filter, Query, QueryVector, Tuning};
use pgrecall_store::spaces::{self, Space, SpaceId};
use pgrecall_store::vectors::{self, Outcome, Pending};
use pgrecall_store::write::{self, Batch, Receipts};
use tokio_postgres::error::SqlState;

pub(crate) const DIMENSION: usize = 16;

pub(crate) struct Fixture {
    pub(crate) db: Db,
    pub(crate) scope: Scope,
    pub(crate) space: Space,
}

pub(crate) fn scope(tenant: &str, owner: &str) -> Scope {
    Scope { tenant: tenant.into(), owner: owner.into(), persona: None }
}

pub(crate) fn memory(text: &str) -> Record {
    Record::new(SourceKind::Memory, text)
}

pub(crate) fn document(key: &str, text: &str) -> Record {
    Record {
        fields: RecordFields { key: Some(key.into()), ..RecordFields::default() },
        ..Record::new(SourceKind::Document, text)
    }
}

pub(crate) fn limit() -> Limit {
    Limit { words: 180, tokens: 256, count: Arc::new(|text| text.split_whitespace().count() + 2) }
}

pub(crate) fn query(text: &str, kind: SourceKind) -> Query {
    Query { text: text.into(), filter: Filter::of(kind), limit: 10, ..Query::default() }
}

/// Whether Postgres denies a statement because the role lacks the privilege.
pub(crate) async fn is_denied(it: &Fixture, role: &Role, statement: &str) -> bool {
    let denied = it.db.query(role.clone(), statement, &[]).await;
    matches!(denied, Err(DbError::Statement(error)) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE))
}

/// Claims from the beginning of the queue, whatever was claimed before.
pub(crate) async fn claim_jobs(db: &Db, worker: i64, space: SpaceId, limit: i64) -> Result<Option<Claim>, DbError> {
    Claims::new(worker).claim(db, space, limit).await
}

impl Fixture {
    /// Opens the database like a worker whose sessions are verified.
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let it = Self::behind_a_pooler().await?;
        it.db.use_sessions(true);
        Ok(it)
    }

    /// Opens the database like a worker behind a transaction pooler: no session state is kept.
    pub(crate) async fn behind_a_pooler() -> anyhow::Result<Self> {
        let dsn = Dsn::parse(&postgres::database().await?)?;
        let db = Db::open(&dsn, &dsn, 4).await?;
        let model = ModelId::new(Provider::Local, None, "by-hand");
        let space = spaces::ensure(&db, &Role::Worker, &model).await?;
        let space = spaces::learn_dimension(&db, &space, DIMENSION).await?;
        Ok(Self { db, scope: scope("acme", "ana"), space })
    }

    pub(crate) async fn write(&self, records: Vec<Record>) -> anyhow::Result<Receipts> {
        Ok(write::write(&self.db, &self.scope, &Batch::prepare(records, &limit())).await?)
    }

    pub(crate) async fn write_one(&self, record: Record) -> anyhow::Result<Receipt> {
        Ok(self.write(vec![record]).await?.remove(0)?)
    }

    pub(crate) async fn recall(&self, query: &Query) -> anyhow::Result<Answer> {
        Ok(pgrecall_store::recall::recall(&self.db, &self.scope, query, None, &Tuning::default()).await?)
    }

    /// Recalls with a query vector in the direction `toward`.
    pub(crate) async fn recall_by(&self, query: &Query, toward: usize) -> anyhow::Result<Answer> {
        Ok(pgrecall_store::recall::recall(
            &self.db,
            &self.scope,
            query,
            Some(&self.query_vector(toward)),
            &Tuning::default(),
        )
        .await?)
    }

    pub(crate) fn query_vector(&self, toward: usize) -> QueryVector {
        QueryVector { space: self.space.id, vector: pgvector::HalfVector::from_f32_slice(&unit(toward)) }
    }

    pub(crate) async fn pending(&self, claim: &Claim) -> anyhow::Result<Vec<Pending>> {
        Ok(vectors::pending_passages(&self.db, self.space.id, claim, &limit()).await?)
    }

    /// Stores a vector for each pending passage, in the direction that `toward` returns for its
    /// text, and settles the claim.
    pub(crate) async fn embed(&self, claim: &Claim, toward: impl Fn(&str) -> usize) -> anyhow::Result<Outcome> {
        let pending = self.pending(claim).await?;
        let embedded: Vec<_> =
            pending.iter().map(|passage| (passage, near(toward(&passage.text), passage.passage))).collect();
        Ok(vectors::store(&self.db, self.space.id, claim, &embedded, &claim.jobs, None).await?)
    }

    /// Returns the claimed job of the source with this text.
    pub(crate) async fn job(&self, claim: &Claim, text: &str) -> anyhow::Result<Job> {
        let pending = self.pending(claim).await?;
        let source = pending.iter().find(|passage| passage.text == text).map(|passage| passage.source);
        Ok(claim.jobs.iter().find(|job| Some(job.source) == source).expect("it was claimed").clone())
    }

    /// Claims the next job and reports a failure. Returns whether that parked the job.
    pub(crate) async fn fail_next(&self, worker: i64, class: &str) -> anyhow::Result<Option<bool>> {
        let claim = claim_jobs(&self.db, worker, self.space.id, 1).await?.expect("a job");
        Ok(pgrecall_store::queue::fail(&self.db, claim.token, &claim.jobs[0], class, "scripted").await?)
    }

    /// Runs statements as the owner of the database.
    pub(crate) async fn run_sql(&self, statements: &str) -> anyhow::Result<()> {
        let (client, connection) = self.db.dsn().connect().await?;
        let serving = pgrecall_process::tasks::connection("test", connection);
        client.batch_execute(&format!("SET search_path = pgrecall, public; {statements}")).await?;
        drop(client);
        serving.await?;
        Ok(())
    }

    /// Claims and embeds all jobs.
    pub(crate) async fn embed_all(&self, toward: impl Fn(&str) -> usize) -> anyhow::Result<()> {
        let worker = pgrecall_store::queue::register(&self.db, "test", 60.0, false).await?;
        while let Some(claim) = claim_jobs(&self.db, worker, self.space.id, 100).await? {
            self.embed(&claim, &toward).await?;
        }
        Ok(())
    }
}

pub(crate) fn unit(direction: usize) -> Vec<f32> {
    let mut vector = vec![0.01; DIMENSION];
    vector[direction % DIMENSION] = 1.0;
    vector
}

/// Returns a vector near a direction, and different for each passage: an HNSW graph of equal
/// vectors falls apart, and no model makes them.
fn near(direction: usize, passage: i64) -> Vec<f32> {
    let mut vector = unit(direction);
    for (place, number) in vector.iter_mut().enumerate() {
        // SplitMix64: a different number for each passage and place, the same in every run.
        let mut bits = (passage as u64 * 64 + place as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        *number += ((bits >> 40) as f32 / (1_u64 << 24) as f32 - 0.5) * 0.7;
    }
    vector
}

pub(crate) fn texts(answer: &Answer) -> Vec<&str> {
    answer.hits.iter().map(|hit| hit.text.as_str()).collect()
}
