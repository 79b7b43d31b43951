//! Lists that change while the server runs, and who hears of it.

use std::sync::atomic::{AtomicBool, Ordering};

use rmcp::service::SubscriptionContext;
use tokio::sync::broadcast::{self, error::RecvError};

/// Which list has changed.
#[derive(Debug, Clone, Copy)]
enum Change {
    Tools,
    Prompts,
}

/// One tool and one prompt come and go.
pub(crate) struct Changes {
    extra_tool: AtomicBool,
    extra_prompt: AtomicBool,
    happened: broadcast::Sender<Change>,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            extra_tool: AtomicBool::default(),
            extra_prompt: AtomicBool::default(),
            happened: broadcast::channel(16).0,
        }
    }
}

impl Changes {
    pub(crate) fn has_extra_tool(&self) -> bool {
        self.extra_tool.load(Ordering::Relaxed)
    }

    pub(crate) fn has_extra_prompt(&self) -> bool {
        self.extra_prompt.load(Ordering::Relaxed)
    }

    /// Adds the tool, or takes it away.
    pub(crate) fn change_tools(&self) {
        self.extra_tool.fetch_xor(true, Ordering::Relaxed);
        // An error says that nobody listens.
        self.happened.send(Change::Tools).ok();
    }

    /// Adds the prompt, or takes it away.
    pub(crate) fn change_prompts(&self) {
        self.extra_prompt.fetch_xor(true, Ordering::Relaxed);
        self.happened.send(Change::Prompts).ok();
    }

    /// Tells a client of the changes that it asked for, until it has heard enough.
    pub(crate) async fn tell(&self, subscription: &SubscriptionContext) {
        let (mut changes, sink) = (self.happened.subscribe(), subscription.sink());
        let accepted = subscription.accepted();
        loop {
            let change = tokio::select! {
                () = subscription.cancelled() => return,
                change = changes.recv() => change,
            };
            let told = match change {
                Ok(Change::Tools) if accepted.tools_list_changed == Some(true) => sink.notify_tool_list_changed().await,
                Ok(Change::Prompts) if accepted.prompts_list_changed == Some(true) => {
                    sink.notify_prompt_list_changed().await
                }
                Ok(_) | Err(RecvError::Lagged(_)) => Ok(()),
                Err(RecvError::Closed) => return,
            };
            if told.is_err() {
                return;
            }
        }
    }
}
