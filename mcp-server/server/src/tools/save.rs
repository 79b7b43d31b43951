//! `save`: stores something for later use: a query, a chart, a reusable prompt, a document.

#![expect(missing_docs, reason = "the comment of a field is its description in the schema that every host reads")]

use pgrecall_config::Secrets;
use pgrecall_postgres::db::Scope;
use pgrecall_record::{
    secrets,
    source::{Record, RecordFields, SourceKind, Stored, TextFormat, Visibility},
};
use pgrecall_store::versions;
use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::engine::Engine;
use uuid::Uuid;

use super::{
    Effect, Tool, ToolError,
    memory_remember::{joined, redacted},
};
use crate::prompts::own;
use pgrecall_callers::caller::Caller;

/// The tool `save`.
pub struct Save;

/// What it takes.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["title", "content"]))]
pub struct Arguments {
    /// Its name.
    pub title: String,
    /// Its text. A prompt may have {placeholders}.
    pub content: String,
    /// asset, the default, is a query, chart or the like.
    #[schemars(extend("enum" = ["asset", "prompt", "document"]))]
    pub kind: Option<String>,
    /// Your name for it; the same key replaces it.
    pub key: Option<String>,
    pub collection: String,
    pub url: Option<String>,
    pub tags: Vec<String>,
    /// Free data to filter by.
    pub metadata: Map<String, Value>,
    /// Data that fetch returns and search ignores.
    pub details: Map<String, Value>,
    /// Only you can find it.
    pub private: bool,
    // Without a description, to keep the list small: `private` explains one value, and
    // docs/use/tools.md the others.
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
    pub passages: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(skip)]
    pub note: String,
    /// The kept version of somebody else's text that this one replaced.
    #[serde(skip)]
    pub replaced_version: Option<Uuid>,
    /// The part of the note that is about redacted credentials.
    #[serde(skip)]
    pub redacted: String,
}

impl Arguments {
    /// Refuses what cannot be stored.
    pub fn check(&self, owner: &str, policy: Secrets) -> Result<(), ToolError> {
        self.clone().record(owner, policy).map(|_| ())
    }

    fn record(self, owner: &str, policy: Secrets) -> Result<Record, ToolError> {
        let kind = self.kind.as_deref().and_then(SourceKind::parse).unwrap_or(SourceKind::Asset);
        if self.title.trim().is_empty() || self.content.trim().is_empty() {
            return Err(ToolError::caller("`title` and `content` must not be blank"));
        }
        let visibility = match (self.private, self.visibility) {
            (true, Some(Visibility::Persona | Visibility::Tenant)) => {
                return Err(ToolError::caller("`private` and `visibility` contradict each other: give one of them"));
            }
            (true, _) => Visibility::Private,
            (false, visibility) => visibility.unwrap_or(Visibility::Tenant),
        };
        if kind == SourceKind::Prompt && own::is_like_ours(&self.title) {
            let sentence = "`title` is that of a prompt of pgrecall, or looks like it: give the prompt another title";
            return Err(ToolError::caller(sentence));
        }
        // The key is made from the title, so a credential must be redacted from it here. It is
        // counted only in the title.
        let title = if policy == Secrets::Off { self.title.as_str().into() } else { secrets::redact(&self.title) };
        let record = Record {
            fields: RecordFields {
                // The owner is in the key because two people may use the same title.
                key: Some(self.key.unwrap_or_else(|| format!("{owner}/{title}"))),
                title: self.title.clone(),
                collection: self.collection,
                uri: self.url,
                tags: self.tags,
                metadata: self.metadata,
                ..RecordFields::default()
            },
            format: TextFormat::Markdown,
            details: Some(self.details).filter(|details| !details.is_empty()),
            visibility,
            ..Record::new(kind, self.content)
        };
        record.check().map_err(ToolError::caller)?;
        Ok(record)
    }
}

impl Tool for Save {
    const NAME: &'static str = "save";
    const TITLE: &'static str = "Save";
    const DESCRIPTION: &'static str = "Saves a query, chart, reusable prompt or document, so that search finds it later. Call \
        it when the user will want it again.";
    const EFFECT: Effect = Effect::Adds;
    type Arguments = Arguments;
    type Answer = Answer;

    async fn call(engine: &Engine, caller: &Caller, arguments: Arguments) -> Result<Answer, ToolError> {
        save(engine, &caller.scope, arguments).await
    }
}

/// Writes it, and names the text of somebody else that it replaced.
pub async fn save(engine: &Engine, scope: &Scope, arguments: Arguments) -> Result<Answer, ToolError> {
    let record = arguments.record(&scope.owner, engine.config().memory.secrets)?;
    let written = engine.write(scope, vec![record]).await?.pop();
    let receipt = written.expect("a write answers for each record").map_err(ToolError::caller)?;
    let (mut replaced, mut replaced_version) = (String::new(), None);
    if receipt.stored == Stored::Replaced
        && let Some(version) =
            versions::list(engine.db(), scope, &[receipt.id], engine.keeps_forgotten()).await?.first()
        && version.replaced_by == scope.owner
    {
        let (id, writer) = (version.id, &version.written_by);
        replaced = format!("replaced a text written by {writer}; memory_manage restores it by the id {id}");
        replaced_version = Some(id);
    }
    let redacted = redacted(&receipt.redacted);
    let note = joined([replaced, redacted.clone()]);
    let (id, stored, passages) = (receipt.id.to_string(), receipt.stored, receipt.passages);
    Ok(Answer { id, stored, passages, note, replaced_version, redacted })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_an_asset_of_its_owner_and_title_unless_it_says_otherwise() {
        let saved = |kind: Option<&str>| Arguments {
            title: "Net revenue".into(),
            content: "SELECT 1".into(),
            kind: kind.map(str::to_owned),
            ..Default::default()
        };
        let record = saved(None).record("ana", Secrets::Redact).unwrap();
        assert_eq!((record.kind, record.fields.key.as_deref()), (SourceKind::Asset, Some("ana/Net revenue")));
        assert_eq!(saved(Some("prompt")).record("ana", Secrets::Redact).unwrap().kind, SourceKind::Prompt);
        let shown = |private, visibility| {
            let saved = Arguments { private, visibility, ..saved(None) };
            saved.record("ana", Secrets::Redact).map(|record| record.visibility).ok()
        };
        assert_eq!(shown(true, None), Some(Visibility::Private));
        assert_eq!(shown(false, Some(Visibility::Persona)), Some(Visibility::Persona));
        assert_eq!(shown(true, Some(Visibility::Tenant)), None);
        let ours = Arguments { title: "Recall before yоu answer".into(), ..saved(Some("prompt")) };
        assert!(ours.record("ana", Secrets::Redact).unwrap_err().to_string().contains("another title"));
        let blank = Arguments { title: "x".into(), ..Default::default() };
        assert!(blank.record("ana", Secrets::Redact).unwrap_err().to_string().contains("blank"));
    }
}
