//! `memory_remember`: writes one memory.

use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::{
    db::Scope,
    engine::Engine,
    source::{Receipt, Record, SourceKind, Stored},
};

use super::{Effect, Tool, ToolError, arguments::timestamp};

/// The tool.
pub(crate) struct MemoryRemember;

/// What it takes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["content"]))]
pub(crate) struct Arguments {
    /// One self-contained fact: names and dates written out.
    pub(crate) content: String,
    #[schemars(with = "String", extend("enum" = ["knowledge", "event", "entity", "relationship", "preference"]))]
    pub(crate) dimension: Option<String>,
    /// A finer label.
    #[schemars(with = "String")]
    pub(crate) category: Option<String>,
    #[schemars(with = "f64", range(min = 0, max = 1))]
    pub(crate) confidence: Option<f32>,
    /// Who or what said so.
    #[schemars(with = "String")]
    pub(crate) source: Option<String>,
    /// What it is about.
    pub(crate) entity_urns: Vec<String>,
    pub(crate) tags: Vec<String>,
    /// Free data to filter by; `session` groups memories in their order.
    pub(crate) metadata: Map<String, Value>,
    /// Your own name for it: the same key again replaces the memory.
    #[schemars(with = "String")]
    pub(crate) key: Option<String>,
    #[schemars(with = "String")]
    pub(crate) valid_from: Option<String>,
    #[schemars(with = "String")]
    pub(crate) valid_to: Option<String>,
}

/// What it answers.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Answer {
    pub(crate) id: String,
    /// created, replaced or unchanged.
    #[schemars(with = "String")]
    pub(crate) stored: Stored,
    /// pending: words find it now, meaning soon. done: nothing is left to embed.
    pub(crate) embedding: &'static str,
    pub(crate) passages: u32,
}

impl Answer {
    /// The answer for a receipt.
    pub(crate) fn of(receipt: &Receipt) -> Self {
        Self {
            id: receipt.id.to_string(),
            stored: receipt.stored,
            embedding: if receipt.passages > 0 { "pending" } else { "done" },
            passages: receipt.passages,
        }
    }
}

impl Arguments {
    /// The memory that they describe.
    pub(crate) fn record(self) -> Result<Record, ToolError> {
        let moment = |name: &str, text: Option<String>| {
            text.map(|text| timestamp(name, &text)).transpose().map_err(ToolError::Caller)
        };
        let mut record = Record::new(SourceKind::Memory, self.content);
        record.key = self.key;
        record.dimension = self.dimension;
        record.category = self.category;
        record.confidence = self.confidence;
        record.origin = self.source;
        record.entity_urns = self.entity_urns;
        record.tags = self.tags;
        record.metadata = self.metadata;
        record.valid_from = moment("valid_from", self.valid_from)?;
        record.valid_to = moment("valid_to", self.valid_to)?;
        record.check().map_err(|error| ToolError::Caller(error.to_string()))?;
        Ok(record)
    }
}

impl Tool for MemoryRemember {
    const NAME: &'static str = "memory_remember";
    const TITLE: &'static str = "Remember";
    const DESCRIPTION: &'static str = "Stores one memory for later conversations: a fact, decision, preference or event that \
        will matter again, or whatever the user asks you to remember. One fact a call.";
    const EFFECT: Effect = Effect::Adds;
    type Arguments = Arguments;
    type Answer = Answer;

    async fn call(engine: &Engine, scope: &Scope, arguments: Arguments) -> Result<Answer, ToolError> {
        Ok(Answer::of(&remember(engine, scope, arguments.record()?).await?))
    }
}

/// Writes one memory.
pub(crate) async fn remember(engine: &Engine, scope: &Scope, record: Record) -> Result<Receipt, ToolError> {
    let written = engine.write(scope, vec![record]).await?.pop();
    written.expect("a write answers for each record").map_err(|refused| ToolError::Caller(refused.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_stored_is_refused_with_a_sentence() {
        let refused = |arguments: Arguments| arguments.record().unwrap_err().to_string();
        assert!(refused(Arguments { content: " ".into(), ..Default::default() }).contains("empty"));
        assert!(refused(Arguments { content: "a\0".into(), ..Default::default() }).contains("NUL"));
        let long = Arguments { content: "x".repeat(100_000), ..Default::default() };
        assert!(refused(long).contains("65536"));
        let wrong = Arguments { content: "a".into(), valid_from: Some("soon".into()), ..Default::default() };
        assert!(refused(wrong).contains("valid_from"));
    }
}
