//! Workers: which are alive, and why nothing is embedded.

use serde::Serialize;

use crate::sql::sql;
use pgrecall_postgres::db::{Db, DbError, Role};

/// A live worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Worker {
    /// Name of the worker: host and process.
    pub name: String,
    /// State of its embedder: ok, waiting, down or disabled.
    pub embedder: String,
    /// Why the embedder is not ok.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

pgrecall_postgres::from_row! { Worker: name, embedder, reason }

/// State of the embedder, as all workers together report it. A caller learns neither the number of
/// workers nor their hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EmbedderState {
    /// A worker can embed.
    Working,
    /// No worker can embed, and at least one waits for its model.
    Waiting,
    /// No worker can embed, and at least one cannot reach its embedder.
    Down,
    /// The provider of every worker is `noop`.
    Disabled,
    /// No worker is alive.
    NoWorker,
}

/// Lists the live workers.
pub async fn live(db: &Db) -> Result<Vec<Worker>, DbError> {
    let rows = db.query(Role::Worker, sql!("live_workers"), &[]).await?;
    Ok(rows.iter().map(Worker::from).collect())
}

/// Returns why nothing is embedded now, as the end of a sentence; `None` while a worker embeds.
pub fn why_not_embedding(workers: &[Worker]) -> Option<String> {
    if workers.is_empty() {
        return Some("no worker is alive: start `mcp-server` or `embed-worker`".to_owned());
    }
    if workers.iter().any(|worker| worker.embedder == "ok") {
        return None;
    }
    // A worker that knows a fault says more than one that still starts, or has no embedder.
    let of = |state: &str| workers.iter().find(|worker| worker.embedder == state);
    let worker = of("down").or_else(|| of("waiting")).or_else(|| workers.first())?;
    let why = worker.reason.as_deref().unwrap_or("the worker gives no reason").trim_end_matches('.');
    Some(format!("the embedder is {}: {why}", worker.embedder))
}

/// Sums up the state of all workers' embedders.
pub(crate) fn embedder(workers: &[Worker]) -> EmbedderState {
    let says = |state: &str| workers.iter().any(|worker| worker.embedder == state);
    match () {
        () if workers.is_empty() => EmbedderState::NoWorker,
        () if says("ok") => EmbedderState::Working,
        () if says("waiting") => EmbedderState::Waiting,
        () if says("down") => EmbedderState::Down,
        () => EmbedderState::Disabled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(embedder: &str) -> Worker {
        Worker { name: "w".into(), embedder: embedder.into(), reason: None }
    }

    #[test]
    fn the_reason_is_that_of_the_worker_that_knows_most() {
        let with_reason = |embedder: &str, why: &str| Worker { reason: Some(why.to_owned()), ..worker(embedder) };
        assert_eq!(why_not_embedding(&[]).as_deref(), Some("no worker is alive: start `mcp-server` or `embed-worker`"));
        assert_eq!(why_not_embedding(&[worker("down"), worker("ok")]), None);
        let down = [worker("disabled"), with_reason("waiting", "it loads"), with_reason("down", "It is away.")];
        assert_eq!(why_not_embedding(&down).as_deref(), Some("the embedder is down: It is away"));
        assert_eq!(why_not_embedding(&down[..2]).as_deref(), Some("the embedder is waiting: it loads"));
    }

    #[test]
    fn the_embedder_works_if_it_does_for_one_worker() {
        assert_eq!(embedder(&[]), EmbedderState::NoWorker);
        assert_eq!(embedder(&[worker("down"), worker("ok")]), EmbedderState::Working);
        assert_eq!(embedder(&[worker("down"), worker("waiting")]), EmbedderState::Waiting);
        assert_eq!(embedder(&[worker("down"), worker("disabled")]), EmbedderState::Down);
        assert_eq!(embedder(&[worker("disabled")]), EmbedderState::Disabled);
    }
}
