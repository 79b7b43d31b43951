//! `save`: keeps something that was made and will be wanted again: a query, a chart, a reusable prompt, a document.

use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::{
    db::Scope,
    engine::Engine,
    source::{Record, SourceKind, Stored, TextFormat, Visibility},
};

use super::{Effect, Tool, ToolError};

/// The tool.
pub(crate) struct Save;

/// What it takes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["title", "content"]))]
pub(crate) struct Arguments {
    /// What it is called.
    title: String,
    /// The thing itself, with what it is for. A prompt may have {places} to fill in.
    content: String,
    /// asset (the default): a query, chart or the like.
    #[schemars(with = "String", extend("enum" = ["asset", "prompt", "document"]))]
    kind: Option<String>,
    /// Your own name for it: the same key again replaces it.
    #[schemars(with = "String")]
    key: Option<String>,
    collection: String,
    #[schemars(with = "String")]
    url: Option<String>,
    tags: Vec<String>,
    /// Free data to filter by.
    metadata: Map<String, Value>,
    /// What fetch adds to the text and nobody searches.
    details: Map<String, Value>,
    /// true: only you find it.
    private: bool,
}

/// What it answers.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Answer {
    id: String,
    /// created, replaced or unchanged.
    #[schemars(with = "String")]
    stored: Stored,
    passages: u32,
}

impl Arguments {
    fn record(self, owner: &str) -> Result<Record, ToolError> {
        let kind = self.kind.as_deref().and_then(SourceKind::parse).unwrap_or(SourceKind::Asset);
        if self.title.trim().is_empty() || self.content.trim().is_empty() {
            return Err(ToolError::Caller("`title` and `content` must not be blank".to_owned()));
        }
        let record = Record {
            // Two people may call two things the same.
            key: Some(self.key.unwrap_or_else(|| format!("{owner}/{}", self.title))),
            title: self.title,
            collection: self.collection,
            format: TextFormat::Markdown,
            uri: self.url,
            tags: self.tags,
            metadata: self.metadata,
            details: Some(self.details).filter(|details| !details.is_empty()),
            visibility: if self.private { Visibility::Private } else { Visibility::Tenant },
            ..Record::new(kind, self.content)
        };
        record.check().map_err(|error| ToolError::Caller(error.to_string()))?;
        Ok(record)
    }
}

impl Tool for Save {
    const NAME: &'static str = "save";
    const TITLE: &'static str = "Save";
    const DESCRIPTION: &'static str = "Saves something that will be wanted again, for search to find: a query, a chart, a reusable prompt, a document.";
    const EFFECT: Effect = Effect::Adds;
    type Arguments = Arguments;
    type Answer = Answer;

    async fn call(engine: &Engine, scope: &Scope, arguments: Arguments) -> Result<Answer, ToolError> {
        let written = engine.write(scope, vec![arguments.record(&scope.owner)?]).await?.pop();
        let receipt = written
            .expect("a write answers for each record")
            .map_err(|refused| ToolError::Caller(refused.to_string()))?;
        Ok(Answer { id: receipt.id.to_string(), stored: receipt.stored, passages: receipt.passages })
    }
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
        let record = saved(None).record("ana").unwrap();
        assert_eq!((record.kind, record.key.as_deref()), (SourceKind::Asset, Some("ana/Net revenue")));
        assert_eq!(saved(Some("prompt")).record("ana").unwrap().kind, SourceKind::Prompt);
        let blank = Arguments { title: "x".into(), ..Default::default() };
        assert!(blank.record("ana").unwrap_err().to_string().contains("blank"));
    }
}
