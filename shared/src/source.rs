//! A source: a record that someone wrote, and what may be said about it.
//!
//! This is where data enters. A [`Record`] is what a caller hands in; [`Record::check`] refuses what cannot be stored
//! before anything is written, with a sentence that the caller can act on.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// Bytes of text that one source may hold. A million words of English are about six million bytes; beyond this one
/// statement's parameters would come near Postgres' limit of 1 GB for a message.
pub const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of a memory: it is returned whole, and an agent's context is small.
pub const MAX_MEMORY_BYTES: usize = 64 * 1024;
/// Bytes of a title, key, collection, tag, URN, category or other short field.
pub const MAX_FIELD_BYTES: usize = 1024;
/// Bytes of a record's metadata, written as JSON.
pub const MAX_METADATA_BYTES: usize = 64 * 1024;
/// Bytes of a record's details, written as JSON.
pub const MAX_DETAILS_BYTES: usize = 1024 * 1024;
/// Tags or entity URNs that one record may carry.
pub const MAX_TAGS: usize = 64;

/// What a source is. The names are those of the database's `source_kind` column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// Something that an agent was asked to remember.
    Memory,
    /// A document, or a file that was ingested.
    Document,
    /// A saved asset, such as a query or a chart.
    Asset,
    /// A reusable prompt.
    Prompt,
    /// A tool of another server.
    Tool,
    /// One operation of an HTTP API.
    ApiOperation,
}

impl SourceKind {
    /// Every kind, memories first.
    pub const ALL: [SourceKind; 6] =
        [Self::Memory, Self::Document, Self::Asset, Self::Prompt, Self::Tool, Self::ApiOperation];

    /// What `search` looks through unless it is told: every kind but memories, which `memory_recall` is for.
    pub const SEARCHED: [SourceKind; 5] = [Self::Document, Self::Asset, Self::Prompt, Self::Tool, Self::ApiOperation];

    /// The name in the database, in JSON and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Document => "document",
            Self::Asset => "asset",
            Self::Prompt => "prompt",
            Self::Tool => "tool",
            Self::ApiOperation => "api_operation",
        }
    }

    /// The kind with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl std::fmt::Display for SourceKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who may see a record: its owner, everyone who works as its persona, or the whole tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Its owner only.
    #[default]
    Private,
    /// Everyone whose persona is the record's.
    Persona,
    /// Everyone in the tenant.
    Tenant,
}

impl Visibility {
    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Persona => "persona",
            Self::Tenant => "tenant",
        }
    }
}

/// Whether a record is still to be believed. What is not active answers only who asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As far as anyone knows it is true.
    #[default]
    Active,
    /// Somebody doubted it, and nothing has taken its place.
    Stale,
    /// Another record has taken its place.
    Superseded,
    /// It is kept, and no longer of use.
    Archived,
}

impl Status {
    /// Every status.
    pub const ALL: [Status; 4] = [Self::Active, Self::Stale, Self::Superseded, Self::Archived];

    /// The name in the database, and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Stale => "stale",
            Self::Superseded => "superseded",
            Self::Archived => "archived",
        }
    }

    /// The status with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// How a body is written, which decides where it may be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextFormat {
    /// Plain text.
    #[default]
    Plain,
    /// CommonMark.
    Markdown,
}

/// What kind of thing a memory says.
pub const DIMENSIONS: [&str; 5] = ["knowledge", "event", "entity", "relationship", "preference"];

/// A record on its way in. Everything but `body` may be left at its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What it is.
    pub kind: SourceKind,
    /// Groups records; together with the key it names one. Empty for none.
    pub collection: String,
    /// The caller's own name for it, unique in (tenant, kind, collection) among the records that the same people see. The same key again replaces
    /// the record.
    pub key: Option<String>,
    /// Counts as text: it is searched, and it stands before each passage that is embedded.
    pub title: String,
    /// The text.
    pub body: String,
    /// How the body is written.
    pub format: TextFormat,
    /// Where it came from.
    pub uri: Option<String>,
    /// Free data, filtered by containment. `session` groups memories in their order.
    pub metadata: Map<String, Value>,
    /// Labels.
    pub tags: Vec<String>,
    /// The URNs of the things that the record is about.
    pub entity_urns: Vec<String>,
    /// One of [`DIMENSIONS`]; memories only.
    pub dimension: Option<String>,
    /// A finer label within the dimension; memories only.
    pub category: Option<String>,
    /// 0 to 1; memories only.
    pub confidence: Option<f32>,
    /// Who or what said so; memories only.
    pub origin: Option<String>,
    /// Who may see it.
    pub visibility: Visibility,
    /// When it began to be true.
    pub valid_from: Option<Timestamp>,
    /// When it stopped being true.
    pub valid_to: Option<Timestamp>,
    /// What a fetch adds to the text, and nobody searches: the schema of an API operation, the input of a tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Map<String, Value>>,
    /// The records whose place it takes: they stay, and say what replaced them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub supersedes: Vec<Uuid>,
    /// What it was before it came here: for an import, and for what is brought back. No part of what it says.
    #[serde(skip)]
    pub past: Option<Past>,
}

/// What a record was before it was written here.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// Its public id. It keeps it, unless another record has it.
    pub id: Uuid,
    /// Whose it was, and as which persona, where it is brought back by somebody else.
    pub owner: Option<(String, Option<String>)>,
    /// Whether it was still believed.
    pub status: Status,
    /// What has taken its place, if it is superseded.
    pub superseded_by: Option<Uuid>,
    /// When it was first written.
    pub created_at: Option<Timestamp>,
    /// When it was last written.
    pub updated_at: Option<Timestamp>,
    /// When somebody last said that it is still true.
    pub last_verified: Option<Timestamp>,
}

impl Past {
    /// A past of nothing but an id.
    pub fn of(id: Uuid) -> Self {
        Self {
            id,
            owner: None,
            status: Status::Active,
            superseded_by: None,
            created_at: None,
            updated_at: None,
            last_verified: None,
        }
    }
}

/// Why a record was not accepted. Nothing of it was written.
#[derive(Debug, Clone, thiserror::Error, PartialEq)]
pub enum RecordError {
    /// There is no text in it.
    #[error("the text is empty: there is nothing to remember or to find")]
    Empty,
    /// It holds U+0000, which Postgres cannot store as text.
    #[error("{field} holds a NUL character (U+0000), which cannot be stored as text: remove it")]
    Nul {
        /// The field's name.
        field: &'static str,
    },
    /// A field is longer than its limit.
    #[error(
        "{field} is {bytes} bytes long; the limit is {limit} bytes: shorten it, or ingest a long text as a document"
    )]
    TooLong {
        /// The field's name.
        field: &'static str,
        /// Its length.
        bytes: usize,
        /// Its limit.
        limit: usize,
    },
    /// More tags or URNs than a record may carry.
    #[error("{field} has {count} entries; the limit is {MAX_TAGS}")]
    TooMany {
        /// The field's name.
        field: &'static str,
        /// How many there are.
        count: usize,
    },
    /// Not one of the dimensions.
    #[error("`{0}` is not a dimension: use one of knowledge, event, entity, relationship, preference")]
    Dimension(String),
    /// Something that only memories have.
    #[error("only memories have {0}: leave it out, or store it as a memory")]
    MemoriesOnly(&'static str),
    /// Shared with a persona that nobody named.
    #[error("it is shared with a persona, and does not say with which: make its visibility private or tenant")]
    NoPersona,
    /// Not between 0 and 1.
    #[error("confidence is {0}: it must lie between 0 and 1")]
    Confidence(f32),
    /// It ends before it begins.
    #[error("valid_to lies before valid_from")]
    ValidityOrder,
    /// It is superseded by nothing, or by something without being superseded.
    #[error("status is `{0}` and superseded_by is {1}: what is superseded says by what, and nothing else does")]
    Superseded(&'static str, &'static str),
    /// It would take its own place.
    #[error("it cannot supersede itself: to replace a record, write it again with its key, or update it")]
    SupersedesItself,
    /// It was to be made, and not to replace anything.
    #[error("its key names another record now: give that one another key, or forget it, first")]
    KeyTaken,
    /// It was to replace a record that is not there any more.
    #[error("the record is not there any more: it was forgotten meanwhile")]
    Gone,
    /// It would take the place of something that is not there.
    #[error("there is no record {0} that it could supersede: it may have been forgotten; recall it for its current id")]
    NothingToSupersede(Uuid),
}

impl Record {
    /// A record of this kind with this text, and nothing else.
    pub fn new(kind: SourceKind, body: impl Into<String>) -> Self {
        Self {
            kind,
            collection: String::new(),
            key: None,
            title: String::new(),
            body: body.into(),
            format: TextFormat::Plain,
            uri: None,
            metadata: Map::new(),
            tags: Vec::new(),
            entity_urns: Vec::new(),
            dimension: None,
            category: None,
            confidence: None,
            origin: None,
            // What is ingested belongs to the team; what is remembered belongs to the one who said it.
            visibility: if kind == SourceKind::Memory { Visibility::Private } else { Visibility::Tenant },
            valid_from: None,
            valid_to: None,
            details: None,
            supersedes: Vec::new(),
            past: None,
        }
    }

    /// Refuses what cannot be stored, before anything is written.
    pub fn check(&self) -> Result<(), RecordError> {
        if self.title.trim().is_empty() && self.body.trim().is_empty() {
            return Err(RecordError::Empty);
        }
        let body_limit = if self.kind == SourceKind::Memory { MAX_MEMORY_BYTES } else { MAX_BODY_BYTES };
        check_text("text", &self.body, body_limit)?;
        check_text("title", &self.title, MAX_FIELD_BYTES)?;
        check_text("collection", &self.collection, MAX_FIELD_BYTES)?;
        let short = [
            ("key", &self.key),
            ("uri", &self.uri),
            ("category", &self.category),
            ("source", &self.origin),
            ("dimension", &self.dimension),
        ];
        for (field, value) in short {
            check_text(field, value.as_deref().unwrap_or_default(), MAX_FIELD_BYTES)?;
        }
        for (field, values) in [("tags", &self.tags), ("entity_urns", &self.entity_urns)] {
            if values.len() > MAX_TAGS {
                return Err(RecordError::TooMany { field, count: values.len() });
            }
            for value in values {
                check_text(field, value, MAX_FIELD_BYTES)?;
            }
        }
        check_object("metadata", &self.metadata, MAX_METADATA_BYTES)?;
        if let Some(details) = &self.details {
            check_object("details", details, MAX_DETAILS_BYTES)?;
        }
        if let Some(dimension) = &self.dimension
            && !DIMENSIONS.contains(&dimension.as_str())
        {
            return Err(RecordError::Dimension(dimension.clone()));
        }
        let of_memories = [
            ("dimension", self.dimension.is_some()),
            ("category", self.category.is_some()),
            ("confidence", self.confidence.is_some()),
        ];
        if self.kind != SourceKind::Memory
            && let Some((field, _)) = of_memories.into_iter().find(|(_, is_set)| *is_set)
        {
            return Err(RecordError::MemoriesOnly(field));
        }
        if let Some(confidence) = self.confidence
            && !(0.0..=1.0).contains(&confidence)
        {
            return Err(RecordError::Confidence(confidence));
        }
        if let (Some(from), Some(to)) = (self.valid_from, self.valid_to)
            && to < from
        {
            return Err(RecordError::ValidityOrder);
        }
        if self.supersedes.len() > MAX_TAGS {
            return Err(RecordError::TooMany { field: "supersedes", count: self.supersedes.len() });
        }
        if let Some(past) = &self.past {
            if self.visibility == Visibility::Persona && matches!(past.owner, Some((_, None))) {
                return Err(RecordError::NoPersona);
            }
            if (past.status == Status::Superseded) != past.superseded_by.is_some() {
                let by = if past.superseded_by.is_some() { "set" } else { "not set" };
                return Err(RecordError::Superseded(past.status.as_str(), by));
            }
            if past.superseded_by == Some(past.id) {
                return Err(RecordError::SupersedesItself);
            }
        }
        Ok(())
    }

    /// The session that the record belongs to: `metadata.session`, when it is a string or a number.
    pub fn session(&self) -> Option<String> {
        match self.metadata.get("session")? {
            Value::String(session) if !session.is_empty() => Some(session.clone()),
            Value::Number(session) => Some(session.to_string()),
            _ => None,
        }
    }
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Receipt {
    /// The source's public id.
    pub id: Uuid,
    /// What was done.
    pub stored: Stored,
    /// Passages that wait for their vectors.
    pub passages: u32,
}

/// The three normal outcomes of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stored {
    /// It is new.
    Created,
    /// It replaced the record with the same key.
    Replaced,
    /// The same record was there already; nothing was written.
    Unchanged,
}

fn check_text(field: &'static str, text: &str, limit: usize) -> Result<(), RecordError> {
    if text.len() > limit {
        return Err(RecordError::TooLong { field, bytes: text.len(), limit });
    }
    if text.contains('\0') { Err(RecordError::Nul { field }) } else { Ok(()) }
}

fn check_object(field: &'static str, object: &Map<String, Value>, limit: usize) -> Result<(), RecordError> {
    if object.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)) {
        return Err(RecordError::Nul { field });
    }
    let bytes = serde_json::to_string(object).expect("an object has text keys only").len();
    if bytes > limit { Err(RecordError::TooLong { field, bytes, limit }) } else { Ok(()) }
}

/// jsonb refuses U+0000 wherever it stands, keys included.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(map) => map.iter().any(|(key, item)| key.contains('\0') || holds_nul(item)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_blank_record_is_refused_and_a_title_alone_is_enough() {
        let mut record = Record::new(SourceKind::Document, " \n\t");
        assert_eq!(record.check(), Err(RecordError::Empty));
        record.title = "Extraction of Roots".into();
        assert_eq!(record.check(), Ok(()));
    }

    #[test]
    fn a_nul_is_refused_wherever_it_stands() {
        assert_eq!(Record::new(SourceKind::Memory, "a\0b").check(), Err(RecordError::Nul { field: "text" }));
        let mut record = Record::new(SourceKind::Memory, "a");
        record.metadata = json!({"deep": [{"k\0": 1}]}).as_object().expect("an object").clone();
        assert_eq!(record.check(), Err(RecordError::Nul { field: "metadata" }));
    }

    #[test]
    fn limits_are_named_in_the_error() {
        let long = "x".repeat(MAX_MEMORY_BYTES + 1);
        let said = Record::new(SourceKind::Memory, long.clone()).check().expect_err("over the limit").to_string();
        assert!(said.contains("65537") && said.contains("65536"), "{said}");
        assert_eq!(Record::new(SourceKind::Document, long).check(), Ok(()));
    }

    #[test]
    fn details_hold_much_and_not_everything() {
        let mut record = Record::new(SourceKind::ApiOperation, "GET /orders");
        record.details = json!({"schema": "x".repeat(MAX_METADATA_BYTES)}).as_object().cloned();
        assert_eq!(record.check(), Ok(()));
        record.details = json!({"schema": "x".repeat(MAX_DETAILS_BYTES)}).as_object().cloned();
        assert!(matches!(record.check(), Err(RecordError::TooLong { field: "details", .. })));
    }

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in SourceKind::ALL {
            assert_eq!(SourceKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(SourceKind::parse("nonsense"), None);
    }
}
