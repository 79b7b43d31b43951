//! Health: whether the embedder can be used.
//!
//! An embedder that is away must cost no job an attempt: the loops stop claiming the moment one call says so, and a canary, a tiny text
//! that is embedded again and again, opens them when it succeeds. The first success also tells the model's dimension.

use std::time::Duration;

use shared::config::Provider;
use shared::queue::Standing;
use shared::spaces::{self, Space};
use tokio::sync::watch;

use crate::Worker;

/// Between the first two canaries; doubled up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(500);
/// Between two canaries while the embedder stays away.
const LONGEST: Duration = Duration::from_secs(15);

/// Whether the embedder can be used, and the space that it fills.
#[derive(Debug)]
pub struct Health {
    standing: watch::Sender<Standing>,
    space: watch::Sender<Space>,
}

impl Health {
    /// Not known yet, or known to be of no use.
    pub fn new(space: Space, provider: Provider) -> Self {
        let standing = match provider {
            Provider::Noop => Standing { embedder: "disabled", reason: Some("the provider is `noop`".to_owned()) },
            _ => Standing { embedder: "waiting", reason: Some("its model is being loaded".to_owned()) },
        };
        Self { standing: watch::Sender::new(standing), space: watch::Sender::new(space) }
    }

    /// What the worker says of its embedder.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// The space that is filled.
    pub fn space(&self) -> Space {
        self.space.borrow().clone()
    }

    /// The space that is filled, and what becomes of it.
    pub fn watch_space(&self) -> watch::Receiver<Space> {
        self.space.subscribe()
    }

    /// The embedder went away. Stops the claiming.
    pub fn down(&self, reason: String) {
        let was_ok = self.standing.borrow().embedder == "ok";
        if was_ok {
            tracing::warn!(reason, "the embedder is away; jobs wait, and cost no attempt");
        }
        self.standing.send_replace(Standing { embedder: "down", reason: Some(reason) });
    }

    /// Waits until the embedder can be used.
    pub async fn ready(&self) {
        let mut standing = self.standing.subscribe();
        // The sender lives as long as `self`.
        standing.wait_for(|standing| standing.embedder == "ok").await.ok();
    }

    fn up(&self, space: Space) {
        self.space.send_replace(space);
        self.standing.send_replace(Standing { embedder: "ok", reason: None });
    }

    /// The space answers queries by now.
    pub fn activated(&self) {
        self.space.send_modify(|space| space.active = true);
    }
}

/// Sends canaries while the embedder is not known to be well.
pub async fn watch(worker: Worker) {
    let mut standing = worker.health.standing();
    let mut pause = FIRST;
    loop {
        let now = standing.borrow_and_update().embedder;
        match now {
            "ok" => pause = FIRST,
            "disabled" => {}
            _ => {
                tokio::select! {
                    () = worker.stop.cancelled() => return,
                    healthy = canary(&worker) => if healthy { continue },
                }
                tokio::select! {
                    () = worker.stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(LONGEST);
                continue;
            }
        }
        tokio::select! {
            () = worker.stop.cancelled() => return,
            changed = standing.changed() => if changed.is_err() { return },
        }
    }
}

async fn canary(worker: &Worker) -> bool {
    let dimension = match worker.client.probe().await {
        Ok(dimension) => dimension,
        Err(error) => {
            worker.health.down(error.to_string());
            return false;
        }
    };
    let space = worker.health.space();
    if let Some(known) = space.dimension
        && known as usize != dimension
    {
        worker.health.down(format!(
            "the model gives vectors of {dimension} numbers and the stored ones have {known}: it is another model by the same name; \
             give it its own name in the configuration"
        ));
        return false;
    }
    let learned = match space.dimension {
        Some(_) => Ok(space),
        None => spaces::learn_dimension(worker.engine.db(), &space, dimension).await,
    };
    match learned {
        Ok(space) => {
            tracing::info!(dimension, model = space.model.model, "the embedder is well");
            worker.health.up(space);
            worker.wake.up();
            true
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the embedding space could not be made ready");
            false
        }
    }
}
