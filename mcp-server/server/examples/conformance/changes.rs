//! Lists that change while the server runs, and the notifications about the changes.

use std::sync::atomic::{AtomicBool, Ordering};

use rmcp::service::SubscriptionContext;
use tokio::sync::broadcast::{self, error::RecvError};

/// The list that changed.
#[derive(Debug, Clone, Copy)]
enum Change {
    Tools,
    Prompts,
}

/// A tool and a prompt that are added and removed while the server runs.
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

    /// Adds the extra tool, or removes it.
    pub(crate) fn change_tools(&self) {
        self.extra_tool.fetch_xor(true, Ordering::Relaxed);
        // An error means that there is no subscriber.
        self.happened.send(Change::Tools).ok();
    }

    /// Adds the extra prompt, or removes it.
    pub(crate) fn change_prompts(&self) {
        self.extra_prompt.fetch_xor(true, Ordering::Relaxed);
        self.happened.send(Change::Prompts).ok();
    }

    /// Notifies a client of the changes that it subscribed to, until it cancels the subscription.
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
