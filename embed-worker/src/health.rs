//! Health: whether the embedder can be used.
//!
//! An unavailable embedder must cost no job an attempt: the loops stop claiming as soon as the
//! client's breaker opens, and continue when one of its probes succeeds. The first vector also
//! gives the model's dimension.

use std::time::Duration;

use anyhow::Context;
use pgrecall_config::Provider;
use pgrecall_embedder::BreakerState;
use pgrecall_store::queue::EmbedderStatus;
use pgrecall_store::spaces::{self, Space};
use tokio::sync::watch;

use crate::Worker;

/// How long the first vector may take before the embedder is reported as down. The worker still
/// waits for it: the embedder may be loading its model.
const FIRST_VECTOR_TIMEOUT: Duration = Duration::from_secs(10);
/// Delay between two attempts that failed without opening the breaker, and between two reports of
/// why the embedder is down.
const RETRY_INTERVAL: Duration = Duration::from_secs(6);

/// Whether the embedder can be used, and the space that it fills.
#[derive(Debug)]
pub struct Health {
    status: watch::Sender<EmbedderStatus>,
    space: watch::Sender<Space>,
}

impl Health {
    /// Starts as `waiting`, or as `disabled` if the provider is `noop`.
    pub fn new(space: Space, provider: Provider) -> Self {
        let status = match provider {
            Provider::Noop => {
                EmbedderStatus { embedder: "disabled", reason: Some("the provider is `noop`".to_owned()) }
            }
            _ => EmbedderStatus { embedder: "waiting", reason: Some("its model is being loaded".to_owned()) },
        };
        Self { status: watch::Sender::new(status), space: watch::Sender::new(space) }
    }

    /// Subscribes to the embedder's status.
    pub fn status(&self) -> watch::Receiver<EmbedderStatus> {
        self.status.subscribe()
    }

    /// Returns the space that is filled.
    pub fn space(&self) -> Space {
        self.space.borrow().clone()
    }

    /// Subscribes to the space that is filled, and its changes.
    pub fn watch_space(&self) -> watch::Receiver<Space> {
        self.space.subscribe()
    }

    /// Waits until the embedder can be used.
    pub async fn ready(&self) {
        let mut status = self.status.subscribe();
        // The wait cannot fail: the sender lives as long as `self`.
        status.wait_for(|status| status.embedder == "ok").await.ok();
    }

    /// Waits until the space is active.
    pub async fn answers(&self) {
        let mut space = self.space.subscribe();
        // The wait cannot fail: the sender lives as long as `self`.
        space.wait_for(|space| space.active).await.ok();
    }

    /// Marks the space as active.
    pub fn activated(&self) {
        self.space.send_modify(|space| space.active = true);
    }

    fn up(&self, space: Space) {
        self.space.send_replace(space);
        self.status.send_replace(EmbedderStatus { embedder: "ok", reason: None });
    }

    fn down(&self, reason: String) {
        let down = EmbedderStatus { embedder: "down", reason: Some(reason) };
        if *self.status.borrow() != down {
            self.status.send_replace(down);
        }
    }
}

/// Waits until the status of one of two embedders changes. If one embedder's worker has ended, only
/// the other counts; if both have, the wait never ends.
pub(crate) async fn news(one: &mut watch::Receiver<EmbedderStatus>, other: &mut watch::Receiver<EmbedderStatus>) {
    tokio::select! {
        Ok(()) = one.changed() => {}
        Ok(()) = other.changed() => {}
        else => std::future::pending().await,
    }
}

/// Watches the embedder until the worker stops.
pub async fn watch(worker: Worker) {
    worker.stop.run_until_cancelled(follow(&worker)).await;
}

async fn follow(worker: &Worker) {
    if worker.client.model().provider == Provider::Noop {
        return std::future::pending().await;
    }
    let mut passing = worker.client.passing();
    let mut known = introduce(worker).await;
    loop {
        worker.health.up(known);
        worker.wake.up();
        // The wait cannot fail: the sender lives in the client.
        passing.wait_for(|passing| !passing).await.ok();
        wait_until_it_answers(worker).await;
        known = worker.health.space();
    }
}

/// Probes the embedder until it returns a vector, and prepares the space for the vector's
/// dimension.
async fn introduce(worker: &Worker) -> Space {
    loop {
        let reason = match first_answer(worker).await {
            Ok(dimension) => match learn(worker, dimension).await {
                Ok(space) => {
                    tracing::info!(dimension, model = space.model.model, "the embedder is well");
                    return space;
                }
                Err(error) => {
                    let reason = format!("{error:#}");
                    if worker.health.status.borrow().reason.as_ref() != Some(&reason) {
                        tracing::error!("the embedder answers and cannot be used: {reason}");
                    }
                    reason
                }
            },
            Err(error) => error.to_string(),
        };
        worker.health.down(reason);
        // While the breaker is open, the client probes the embedder; while it is closed, only this
        // loop does.
        if worker.client.breaker().is_closed() {
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
        wait_until_it_answers(worker).await;
    }
}

/// Waits until the embedder takes calls. Until then it reports the breaker's reason repeatedly,
/// because the reason can change: an embedder that is back may still lack its model.
async fn wait_until_it_answers(worker: &Worker) {
    loop {
        if let BreakerState::Open { reason, .. } = worker.client.breaker() {
            worker.health.down(reason);
        }
        if tokio::time::timeout(RETRY_INTERVAL, worker.client.available()).await.is_ok() {
            return;
        }
    }
}

async fn first_answer(worker: &Worker) -> Result<usize, pgrecall_embedder::EmbedError> {
    let answer = worker.client.probe();
    tokio::pin!(answer);
    if let Ok(answer) = tokio::time::timeout(FIRST_VECTOR_TIMEOUT, &mut answer).await {
        return answer;
    }
    worker.health.down(format!("no answer in {} s: it may be loading its model", FIRST_VECTOR_TIMEOUT.as_secs()));
    answer.await
}

/// Prepares the space for vectors of this dimension.
async fn learn(worker: &Worker, dimension: usize) -> anyhow::Result<Space> {
    let space = worker.health.space();
    if space.dimension.is_some() {
        // The client was built with this dimension, and rejects vectors of any other.
        return Ok(space);
    }
    spaces::check_dimension(worker.client.model().provider, dimension)?;
    let learnt = spaces::learn_dimension(worker.engine.db(), &space, dimension).await;
    let learnt = learnt.context("the embedding space could not be made ready")?;
    let expected = learnt.dimension.and_then(|numbers| usize::try_from(numbers).ok()).unwrap_or_default();
    if expected != dimension {
        // Another worker set the dimension first, with another model. This client insists on the
        // dimension of its own first vector, so the session ends. The next session builds its
        // client with the space's dimension, and continues as soon as the right model is there.
        worker.session.cancel();
        let embedder = worker.client.model().to_string();
        return Err(pgrecall_embedder::EmbedError::DimensionChanged { embedder, expected, got: dimension }.into());
    }
    Ok(learnt)
}

#[cfg(test)]
mod tests {
    use pgrecall_embedder::ModelId;
    use pgrecall_store::spaces::SpaceId;

    use super::*;

    #[tokio::test]
    async fn a_model_that_is_gone_has_no_news_and_the_other_is_still_heard() {
        let model = ModelId::new(Provider::Local, None, "by-hand");
        let space = Space { id: SpaceId(1), model, dimension: None, active: false, retired: false };
        let [new, old] = [1, 2].map(|_| Health::new(space.clone(), Provider::Local));
        let (mut news_of_new, mut news_of_old) = (new.status(), old.status());
        let mut heard = async |within: u64| {
            let news = news(&mut news_of_new, &mut news_of_old);
            tokio::time::timeout(Duration::from_millis(within), news).await.is_ok()
        };
        old.down("its server is gone".to_owned());
        assert!(heard(5_000).await);
        drop(old);
        assert!(!heard(20).await, "there is nothing to say");
        new.down("its server is gone, too".to_owned());
        assert!(heard(5_000).await);
        drop(new);
        assert!(!heard(20).await);
    }
}
