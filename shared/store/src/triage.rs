//! Triage: what fails now and has not recovered, and what a person can do about it.
//!
//! A unit's row is made by its first failure and resolved by its next success, in the transaction that stores the vectors. A person can
//! dismiss it, which leaves the source without its vectors, or have it embedded again.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::spaces::{self, Space};
use crate::sql::{on_space, parameters, sql};
use pgrecall_postgres::db::{Db, DbError, Scope, Transaction};
use pgrecall_record::source::SourceKind;

/// How many seconds the jobs of a reindexed kind are ordered behind fresh writes.
const STANDS_BACK: f64 = 3_600.0;

/// A source that could not be embedded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failing {
    /// The model that fails over it: the one that answers, or the one that is to replace it.
    pub model: String,
    /// What it is.
    pub kind: String,
    /// Its public id.
    pub id: Uuid,
    /// The caller's own name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `retrying`, `parked` (left alone for long), `dismissed` or `resolved`.
    pub state: String,
    /// What kind of failure it was: refused, too_long, bad_vector, transient or crash.
    pub class: String,
    /// What the embedder said last.
    pub error: String,
    /// Attempts that failed since it was written or reindexed.
    pub attempts: i32,
    /// Failures since it last worked.
    pub occurrences: i32,
    /// When it began.
    pub first_failed_at: Timestamp,
    /// When it last happened.
    pub last_failed_at: Timestamp,
    /// When it last worked after a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success_at: Option<Timestamp>,
    /// When it is retried automatically; none while it runs, or when it was dismissed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<Timestamp>,
}

/// Which sources are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Units {
    /// Every one that it can be about.
    All,
    /// All of a kind.
    Kind(SourceKind),
    /// Those with these ids or keys.
    Named(Vec<String>),
    /// Those whose vectors are missing or stale, whatever the reason.
    Gaps,
}

/// The caller's failing sources, those that are left alone first. `all`: dismissed and resolved ones too, as long as they are kept.
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

/// The active space and the target space, where they exist.
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

/// Takes failing sources off the triage, all of them or those that are named. Returns how many.
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

/// Enqueues sources to be embedded again, or with [`Units::Gaps`] where vectors are missing. Returns how many, of the model that has
/// most of them to do.
pub async fn reindex(db: &Db, scope: &Scope, units: &Units) -> Result<u64, DbError> {
    db.run(scope, async |transaction| {
        let mut enqueued = 0;
        for space in in_use(&transaction).await? {
            enqueued = enqueued.max(reindex_in(&transaction, &space, units).await?);
        }
        Ok(enqueued)
    })
    .await
}

async fn reindex_in(transaction: &Transaction, space: &Space, units: &Units) -> Result<u64, DbError> {
    Ok(if *units == Units::Gaps {
        // A space that has no table yet has a job for every source already.
        let statement = on_space(sql!("reindex_gaps"), space.id);
        match space.dimension {
            Some(_) => transaction.execute_typed(&statement, parameters![space.id.0]).await?,
            None => 0,
        }
    } else {
        let names = names(units);
        let kind = if let Units::Kind(kind) = units { Some(kind.as_str()) } else { None };
        let stands_back = if names.is_empty() { STANDS_BACK } else { 0.0 };
        let all = *units == Units::All;
        transaction.execute_typed(sql!("reindex"), parameters![space.id.0, all, kind, names, stands_back]).await?
    })
}

fn names(units: &Units) -> Vec<String> {
    if let Units::Named(names) = units { names.clone() } else { Vec::new() }
}
