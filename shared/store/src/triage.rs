//! Triage: lists the sources that fail, and lets a person dismiss or reindex them.
//!
//! The first failure of a source in a space inserts a row. The next success resolves it, in the
//! transaction that stores the vectors. Dismissing leaves the source without its vectors.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::queue::Flows;
use crate::spaces::{self, Space};
use crate::sql::{enqueuing, on_space, parameters, sql};
use pgrecall_postgres::db::{Db, DbError, Scope, Transaction};
use pgrecall_record::source::SourceKind;

/// A source that could not be embedded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failing {
    /// Model that fails to embed it: that of the active or of the target space.
    pub model: String,
    /// Kind of the source.
    pub kind: String,
    /// Public id.
    pub id: Uuid,
    /// Key that the caller gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `retrying`, `parked`, `dismissed` or `resolved`.
    pub state: String,
    /// Class of the failure: refused, too_long, bad_vector, transient or crash.
    pub class: String,
    /// Last error message of the embedder.
    pub error: String,
    /// Failed attempts since the source was written or reindexed.
    pub attempts: i32,
    /// Failures since the last success.
    pub occurrences: i32,
    /// Time of the first of these failures.
    pub first_failed_at: Timestamp,
    /// Time of the last failure.
    pub last_failed_at: Timestamp,
    /// Time of the last success after a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success_at: Option<Timestamp>,
    /// Time of the next automatic retry; `None` while the job runs, or if it was dismissed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<Timestamp>,
}

/// Which sources an operation applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Units {
    /// All sources.
    All,
    /// All sources of a kind.
    Kind(SourceKind),
    /// Sources with these ids or keys.
    Named(Vec<String>),
    /// Sources whose vectors are missing or stale, for whatever reason.
    Gaps,
}

/// Lists the caller's failing sources, parked ones first. `all`: also dismissed and resolved ones,
/// for as long as they are kept.
pub async fn list(db: &Db, scope: &Scope, all: bool, limit: i64) -> Result<Vec<Failing>, DbError> {
    db.run(scope, async |transaction| {
        let mut failing = Vec::new();
        for space in in_use(&transaction).await? {
            failing.extend(read(&transaction, &space, all, limit - failing.len() as i64).await?);
        }
        Ok(failing)
    })
    .await
}

/// Reads the active space and the target space, if they exist.
async fn in_use(transaction: &Transaction) -> Result<Vec<Space>, DbError> {
    let (serving, next) = (spaces::serving(transaction).await?, spaces::next(transaction).await?);
    Ok(serving.into_iter().chain(next).collect())
}

pub(crate) async fn read(
    transaction: &Transaction,
    space: &Space,
    all: bool,
    limit: i64,
) -> Result<Vec<Failing>, DbError> {
    let rows = transaction.query_typed(sql!("triage"), parameters![space.id.0, all, limit]).await?;
    let failing = rows.iter().map(|row| Failing {
        model: space.model.name(),
        kind: row.get("source_kind"),
        id: row.get("source_id"),
        key: row.get("key"),
        state: row.get("state"),
        class: row.get("error_class"),
        error: row.get("last_error"),
        attempts: row.get("attempts"),
        occurrences: row.get("occurrences"),
        first_failed_at: row.get("first_failed_at"),
        last_failed_at: row.get("last_failed_at"),
        last_success_at: row.get("last_success_at"),
        next_try_at: row.get::<_, Option<Timestamp>>("parked_until").or_else(|| row.get("retry_at")),
    });
    Ok(failing.collect())
}

/// Dismisses failing sources, all of them or the named ones. Returns how many.
pub async fn dismiss(db: &Db, scope: &Scope, units: &Units) -> Result<u64, DbError> {
    let names = names(units);
    let all = *units == Units::All;
    db.run(scope, async |transaction| {
        let spaces: Vec<i32> = in_use(&transaction).await?.iter().map(|space| space.id.0).collect();
        let rows = transaction.query_typed(sql!("dismiss"), parameters![spaces, all, names]).await?;
        Ok(rows[0].get::<_, i64>("dismissed").unsigned_abs())
    })
    .await
}

/// Enqueues sources to be embedded once more or, with [`Units::Gaps`], where vectors are missing.
/// Returns how many; if there are two spaces, the number of the one with more.
pub async fn reindex(db: &Db, scope: &Scope, units: &Units) -> Result<u64, DbError> {
    db.run(scope, async |transaction| {
        let mut enqueued = 0;
        for space in in_use(&transaction).await? {
            enqueued = enqueued.max(reindex_in(&transaction, scope, &space, units).await?);
        }
        Ok(enqueued)
    })
    .await
}

async fn reindex_in(transaction: &Transaction, scope: &Scope, space: &Space, units: &Units) -> Result<u64, DbError> {
    let names = names(units);
    let flow = Flows { scope, in_bulk: names.is_empty() }.of("reindex");
    Ok(if *units == Units::Gaps {
        // If a space has no table yet, every source already has a job.
        let statement = enqueuing(&on_space(sql!("reindex_gaps"), space.id));
        match space.dimension {
            Some(_) => transaction.execute_typed(&statement, parameters![space.id.0, flow]).await?,
            None => 0,
        }
    } else {
        let kind = if let Units::Kind(kind) = units { Some(kind.as_str()) } else { None };
        let all = *units == Units::All;
        let parameters = parameters![space.id.0, flow, all, kind, names];
        transaction.execute_typed(&enqueuing(sql!("reindex")), parameters).await?
    })
}

fn names(units: &Units) -> Vec<String> {
    if let Units::Named(names) = units { names.clone() } else { Vec::new() }
}
