//! `index_status`: how much is embedded, what is pending, and what is wrong.

use pgrecall_store::status::Status;
use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::engine::Engine;

use super::{Effect, Tool, ToolError};
use pgrecall_callers::caller::Caller;

/// The tool `index_status`.
pub(crate) struct IndexStatus;

/// It takes nothing.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct Arguments {}

// The answer. Its schema names only the fields that are always present; a `//` comment stays out of
// the schema.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(with = "Shape")]
pub(crate) struct Answer(Status);

/// The shape of a [`Status`] in JSON.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Shape {
    /// Sources that wait for vectors.
    pending: i64,
    running: i64,
    /// Sources that keep failing.
    failed: i64,
    succeeded: i64,
    /// 0 to 1: the share of passages with vectors.
    coverage: f64,
    /// The same by kind.
    kinds: Map<String, Value>,
    /// healthy, indexing, degraded or waiting_for_model.
    verdict: String,
}

impl Tool for IndexStatus {
    const NAME: &'static str = "index_status";
    const TITLE: &'static str = "Index status";
    const DESCRIPTION: &'static str = "Reports how much is embedded, what waits or fails, and whether the embedder works. \
        Call it when an answer is degraded or a new record is not found.";
    const EFFECT: Effect = Effect::Reads;
    type Arguments = Arguments;
    type Answer = Answer;

    async fn call(engine: &Engine, caller: &Caller, _: Arguments) -> Result<Answer, ToolError> {
        Ok(Answer(engine.status(&caller.scope).await?))
    }
}
