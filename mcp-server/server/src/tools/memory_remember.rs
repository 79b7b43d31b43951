//! `memory_remember`: writes one memory.

#![expect(missing_docs, reason = "the comment of a field is its description in the schema that every host reads")]

use pgrecall_postgres::db::Scope;
use pgrecall_record::{
    secrets::Redactions,
    source::{Record, SourceKind, Stored, Visibility},
    words::WeightedTerms,
};
use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::engine::{Engine, Remembered};
use uuid::Uuid;

use super::{
    Effect, StoredText, Tool, ToolError,
    budget::{Shown, fit},
    present::{moment, parse_id, rounded},
};
use pgrecall_callers::caller::Caller;

/// The tool `memory_remember`.
pub struct MemoryRemember;

/// What it takes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["content"]))]
pub struct Arguments {
    /// One self-contained fact, with names and dates written out.
    pub content: String,
    #[schemars(extend("enum" = ["knowledge", "event", "entity", "relationship", "preference"]))]
    pub dimension: Option<String>,
    /// A finer label.
    pub category: Option<String>,
    /// 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub confidence: Option<f32>,
    /// Who or what said it.
    pub source: Option<String>,
    /// URNs of what it is about.
    pub entity_urns: Vec<String>,
    pub tags: Vec<String>,
    /// Free data; `session` groups memories in order.
    pub metadata: Map<String, Value>,
    /// Your name for it; the same key replaces it.
    pub key: Option<String>,
    /// A date or time, as in valid_to.
    pub valid_from: Option<String>,
    pub valid_to: Option<String>,
    /// Ids of memories that this one replaces.
    pub supersedes: Vec<String>,
    /// Who may read it; private by default.
    #[schemars(with = "String", extend("enum" = ["private", "persona", "tenant"]))]
    pub visibility: Option<Visibility>,
}

/// What it answers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Answer {
    pub id: String,
    /// created, replaced or unchanged.
    #[schemars(with = "String")]
    pub stored: Stored,
    /// pending: keyword search finds it now, vector search once it is embedded. done: nothing is left to embed.
    pub embedding: &'static str,
    pub passages: u32,
    // Present if there is stored text below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    notice: Option<StoredText>,
    /// Near-duplicates among the caller's memories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<serde_json::Map<String, Value>>")]
    pub similar: Vec<Near>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub superseded: Vec<Uuid>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// The part of the note that is about redacted credentials.
    #[serde(skip)]
    pub redacted: String,
}

/// A near-duplicate of the memory.
#[derive(Debug, Serialize)]
pub struct Near {
    pub id: Uuid,
    pub content: String,
    pub similarity: f64,
}

impl Answer {
    fn of(remembered: Remembered) -> Result<Self, ToolError> {
        let Remembered { outcome, similar, superseded, was_known } = remembered;
        let receipt = outcome.map_err(ToolError::caller)?;
        let near = similar.into_iter().filter(|similar| !superseded.contains(&similar.id) && similar.id != receipt.id);
        let mut similar: Vec<Near> =
            near.map(|near| Near { id: near.id, content: near.text, similarity: rounded(near.similarity) }).collect();
        fit(&mut similar, None, &WeightedTerms::default(), |near| vec![Shown { text: &mut near.content, place: None }]);
        let note = match (receipt.stored, was_known, similar.is_empty()) {
            (Stored::Unchanged, ..) => "an identical memory exists already",
            (_, true, _) => "an identical memory exists; the new details were added to it",
            (_, _, false) => {
                "if one of `similar` is no longer true, remember this again with its id in `supersedes`; if they mean the same, consolidate them"
            }
            (..) => "",
        };
        Ok(Self {
            notice: (!similar.is_empty()).then_some(StoredText),
            id: receipt.id.to_string(),
            stored: receipt.stored,
            embedding: if receipt.passages > 0 { "pending" } else { "done" },
            passages: receipt.passages,
            similar,
            superseded,
            note: joined([note.to_owned(), redacted(&receipt.redacted)]),
            redacted: redacted(&receipt.redacted),
        })
    }

    /// Leaves out text that was stored before.
    ///
    /// A caller without the scope `read` learns only about its own write.
    fn without_stored_text(self, named: &[String]) -> Self {
        let superseded = self.superseded.into_iter().filter(|id| named.contains(&id.to_string())).collect();
        let note = if self.similar.is_empty() { self.note } else { self.redacted.clone() };
        Self { similar: Vec::new(), notice: None, superseded, note, ..self }
    }
}

/// Makes the note about redacted credentials; empty if there were none.
pub(super) fn redacted(redacted: &Redactions) -> String {
    if redacted.is_empty() { String::new() } else { format!("{redacted} redacted, and not stored") }
}

/// Joins the notes that are not empty.
pub(super) fn joined<const N: usize>(notes: [String; N]) -> String {
    notes.into_iter().filter(|note| !note.is_empty()).collect::<Vec<_>>().join("; ")
}

impl Arguments {
    /// Converts the arguments to a record.
    pub fn record(self) -> Result<Record, ToolError> {
        let mut record = Record::new(SourceKind::Memory, self.content.trim());
        record.supersedes = self.supersedes.iter().map(|id| parse_id(id)).collect::<Result<_, _>>()?;
        record.fields.key = self.key;
        record.fields.dimension = self.dimension;
        record.fields.category = self.category;
        record.fields.confidence = self.confidence;
        record.fields.origin = self.source;
        record.fields.entity_urns = self.entity_urns;
        record.fields.tags = self.tags;
        record.fields.metadata = self.metadata;
        record.fields.valid_from = moment("valid_from", self.valid_from.as_ref())?;
        record.fields.valid_to = moment("valid_to", self.valid_to.as_ref())?;
        record.visibility = self.visibility.unwrap_or_default();
        record.check().map_err(ToolError::caller)?;
        Ok(record)
    }
}

impl Tool for MemoryRemember {
    const NAME: &'static str = "memory_remember";
    const TITLE: &'static str = "Remember";
    const DESCRIPTION: &'static str = "Stores one memory for later conversations: a fact, decision, preference or event \
        that will matter again, or anything the user asks you to remember. Store one fact per call.";
    const EFFECT: Effect = Effect::Adds;
    type Arguments = Arguments;
    type Answer = Answer;

    async fn call(engine: &Engine, caller: &Caller, arguments: Arguments) -> Result<Answer, ToolError> {
        let named = arguments.supersedes.clone();
        let record = arguments.record()?;
        let now = jiff::Timestamp::now();
        let is_over = record.fields.valid_to.is_some_and(|until| until <= now);
        let is_to_come = record.fields.valid_from.is_some_and(|from| from > now);
        let mut answer = remember(engine, &caller.scope, record).await?;
        if !caller.scopes.read {
            answer = answer.without_stored_text(&named);
        }
        if is_over || is_to_come {
            answer.note = joined([answer.note, "it is not valid now: recall finds it with as_of".to_owned()]);
        }
        Ok(answer)
    }
}

/// Writes one memory.
pub async fn remember(engine: &Engine, scope: &Scope, record: Record) -> Result<Answer, ToolError> {
    Answer::of(engine.remember(scope, record).await?)
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
