//! Status: how much is embedded, how much is pending, and whether a worker is embedding it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::coverage::{self, Passages};
use crate::spaces::{self, Space};
use crate::sql::{parameters, sql};
use crate::triage::{self, Failing};
use crate::workers::{self, EmbedderState, Worker};
use pgrecall_postgres::db::{Db, DbError, Scope, Transaction};
use pgrecall_record::source::SourceKind;

/// Counts for one kind of source, or for all kinds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Counts {
    /// Number of sources that wait for their vectors.
    pub pending: i64,
    /// Number of sources that a worker holds.
    pub running: i64,
    /// Number of parked sources. Dismissed ones do not count.
    pub failed: i64,
    /// Number of sources whose vectors are complete.
    pub succeeded: i64,
    /// Share of passages that have a vector of their present text, 0 to 1.
    pub coverage: f64,
    /// Numbers of their passages.
    pub passages: Passages,
}

/// The model of the target space.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NextModel {
    /// As `provider/model`.
    pub model: String,
    /// Share of passages that have its vector, 0 to 1.
    pub coverage: f64,
    /// Seconds until all have one, at the present rate; `None` without a rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<f64>,
    /// Number of sources that it keeps failing to embed. While there are many, the cutover does not
    /// happen.
    pub failed: i64,
}

/// Summary of a status in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything is embedded.
    Healthy,
    /// A worker is embedding.
    Indexing,
    /// Some sources failed, or sources are pending and no worker is alive.
    Degraded,
    /// Sources are pending, but the embedder is unavailable or its model is not ready.
    WaitingForModel,
}

/// Status of the pipeline for one caller: it covers the records that the caller can read.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Counts over all kinds.
    #[serde(flatten)]
    pub all: Counts,
    /// Counts of each kind that has a source.
    pub kinds: BTreeMap<String, Counts>,
    /// Summary in one word.
    pub verdict: Verdict,
    /// Model of the active space, as `provider/model`; `None` until a model was configured.
    pub model: Option<String>,
    /// Dimension of its vectors, once known.
    pub dimension: Option<i32>,
    /// Model of the target space, while that is being filled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_model: Option<NextModel>,
    /// State of the embedder, as the workers report it.
    pub embedder: EmbedderState,
    /// Why no worker embeds what is pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The live workers. Only the operator sees them, because their names and reasons contain hosts
    /// and addresses.
    #[serde(skip)]
    pub workers: Vec<Worker>,
    /// Seconds until the rest is embedded, at the present rate; `None` without a rest or a rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<f64>,
    /// The sources that fail now, at most five.
    pub failing: Vec<Failing>,
}

impl Status {
    /// Whether the caller may read no record.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Adapts the status to a configuration without an embedder: jobs that wait are as configured.
    pub fn disable_embedder(&mut self) {
        self.embedder = EmbedderState::Disabled;
        (self.reason, self.seconds_left) = (None, None);
        self.verdict = if self.all.failed == 0 { Verdict::Healthy } else { Verdict::Degraded };
    }
}

/// Maximum number of failing sources in a status.
const MAX_FAILING: i64 = 5;

/// Reads the status of the pipeline.
pub async fn status(db: &Db, scope: &Scope) -> Result<Status, DbError> {
    let workers = workers::live(db).await?;
    db.run(scope, async |transaction| read(&transaction, &workers).await).await
}

async fn read(transaction: &Transaction, workers: &[Worker]) -> Result<Status, DbError> {
    let (space, next) = (spaces::serving(transaction).await?, spaces::next(transaction).await?);
    let id = space.as_ref().map_or(0, |space| space.id.0);
    let mut coverage = coverage::read_in(transaction, space.as_ref()).await?;
    let kinds = count(transaction, id, &coverage).await?;
    let mut failing = Vec::new();
    for space in space.iter().chain(&next) {
        failing.extend(triage::read(transaction, space, false, MAX_FAILING - failing.len() as i64).await?);
    }
    let next_model = match next {
        Some(next) => Some(next_model(transaction, next).await?),
        None => None,
    };
    let mut all = Counts::default();
    for counts in kinds.values() {
        all.pending += counts.pending;
        all.running += counts.running;
        all.failed += counts.failed;
        all.succeeded += counts.succeeded;
        all.passages.add(&counts.passages);
    }
    all.coverage = all.passages.share();
    if all.pending + all.running > 0 {
        coverage.explain(workers);
    }
    Ok(Status {
        verdict: verdict(&all, workers),
        all,
        kinds,
        model: space.as_ref().map(|space| space.model.name()),
        dimension: space.and_then(|space| space.dimension),
        next_model,
        embedder: workers::embedder(workers),
        reason: coverage.reason,
        workers: workers.to_vec(),
        seconds_left: coverage.seconds_left,
        failing,
    })
}

/// Counts sources by kind, and adds the counts of their passages.
async fn count(
    transaction: &Transaction,
    space: i32,
    coverage: &coverage::Kinds,
) -> Result<BTreeMap<String, Counts>, DbError> {
    let mut kinds: BTreeMap<String, Counts> = BTreeMap::new();
    let all_kinds: Vec<&str> = SourceKind::ALL.iter().map(|kind| kind.as_str()).collect();
    for row in transaction.query_typed(sql!("status_jobs"), parameters![space, all_kinds]).await? {
        let counts = kinds.entry(row.get("source_kind")).or_default();
        counts.pending = row.get("pending");
        counts.running = row.get("running");
        counts.failed = row.get("failed");
        let open = counts.pending + counts.running + counts.failed + row.get::<_, i64>("dismissed");
        counts.succeeded = (row.get::<_, i64>("sources") - open).max(0);
    }
    for (kind, passages) in &coverage.kinds {
        let counts = kinds.entry(kind.to_string()).or_default();
        (counts.passages, counts.coverage) = (*passages, passages.share());
    }
    Ok(kinds)
}

async fn next_model(transaction: &Transaction, space: Space) -> Result<NextModel, DbError> {
    let coverage::Kinds { kinds, seconds_left, .. } = coverage::read_in(transaction, Some(&space)).await?;
    let mut passages = Passages::default();
    kinds.values().for_each(|counted| passages.add(counted));
    let jobs = transaction.query_typed(sql!("count_failed"), parameters![space.id.0]).await?;
    let (model, failed) = (space.model.name(), jobs[0].get("failed"));
    Ok(NextModel { model, coverage: passages.share(), seconds_left, failed })
}

/// Returns whether the caller may read any record.
pub async fn has_sources(db: &Db, scope: &Scope) -> Result<bool, DbError> {
    let rows = db.query(scope, sql!("has_sources"), &[]).await?;
    Ok(rows[0].get("has_sources"))
}

fn verdict(all: &Counts, workers: &[Worker]) -> Verdict {
    let waits = all.pending + all.running > 0;
    let at_work = workers.iter().any(|worker| worker.embedder == "ok");
    let away = workers.iter().any(|worker| worker.embedder != "ok");
    match (waits, at_work, away) {
        (false, ..) if all.failed == 0 => Verdict::Healthy,
        (true, true, _) => Verdict::Indexing,
        (true, false, true) => Verdict::WaitingForModel,
        _ => Verdict::Degraded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(embedder: &str) -> Worker {
        Worker { name: "w".into(), embedder: embedder.into(), reason: None }
    }

    #[test]
    fn the_verdict_tells_work_from_waiting_and_from_trouble() {
        let waits = Counts { pending: 3, ..Counts::default() };
        assert_eq!(verdict(&Counts::default(), &[]), Verdict::Healthy);
        assert_eq!(verdict(&waits, &[worker("ok"), worker("down")]), Verdict::Indexing);
        assert_eq!(verdict(&waits, &[worker("down")]), Verdict::WaitingForModel);
        assert_eq!(verdict(&waits, &[]), Verdict::Degraded);
        assert_eq!(verdict(&Counts { failed: 1, ..Counts::default() }, &[worker("ok")]), Verdict::Degraded);
    }
}
