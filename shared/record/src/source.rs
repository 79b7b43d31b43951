//! A source: a record that someone wrote, and what may be said about it.
//!
//! This is where data enters. A [`Record`] is what a caller hands in; [`Record::check`] refuses what cannot be stored
//! before anything is written, with a sentence that the caller can act on.

mod check;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer, ser::Error};
use serde_json::{Map, Value, json};
use strum::{EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

use crate::secrets::Redactions;

pub use self::check::{
    MAX_BODY_BYTES, MAX_DETAILS_BYTES, MAX_FIELD_BYTES, MAX_MEMORY_BYTES, MAX_METADATA_BYTES, MAX_TAGS, RecordError,
    foreign_scheme,
};

/// What a source is. The names are those of the database's `source_kind` column.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
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
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// What `search` looks through unless it is told: every kind but memories, which `memory_recall` is for.
    pub const SEARCHED: [SourceKind; 5] = [Self::Document, Self::Asset, Self::Prompt, Self::Tool, Self::ApiOperation];
}

/// Who may see a record: its owner, everyone who works as its persona, or the whole tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Visibility {
    /// Its owner only.
    #[default]
    Private,
    /// Everyone whose persona is the record's.
    Persona,
    /// Everyone in the tenant.
    Tenant,
}

/// Whether a record is still to be believed. What is not active answers only who asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
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

crate::named!(SourceKind, Visibility, Status);

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

/// What the writer of a record says about its text. Declared here once, and stored, shown, exported and imported by these names; the
/// columns are in `sql/fragments/record_fields.sql`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordFields {
    /// The caller's own name for it, unique in (tenant, kind, collection) among the records that the same people see. The same key again replaces
    /// the record.
    pub key: Option<String>,
    /// Groups records; together with the key it names one. Empty for none.
    pub collection: String,
    /// Counts as text: it is searched, and it stands before each passage that is embedded.
    pub title: String,
    /// Where it came from.
    pub uri: Option<String>,
    /// One of [`DIMENSIONS`]; memories only.
    pub dimension: Option<String>,
    /// A finer label within the dimension; memories only.
    pub category: Option<String>,
    /// 0 to 1; memories only.
    #[serde(serialize_with = "as_shortest_decimal")]
    pub confidence: Option<f32>,
    /// Who or what said so.
    #[serde(rename = "source")]
    pub origin: Option<String>,
    /// The URNs of the things that the record is about.
    pub entity_urns: Vec<String>,
    /// Labels.
    pub tags: Vec<String>,
    /// Free data, filtered by containment. `session` groups memories in their order.
    pub metadata: Map<String, Value>,
    /// When it began to be true.
    pub valid_from: Option<Timestamp>,
    /// When it stopped being true.
    pub valid_to: Option<Timestamp>,
}

impl RecordFields {
    /// Serializes the fields that say something, for people and models: `#[serde(flatten, serialize_with = "RecordFields::non_empty")]`.
    pub fn non_empty<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let empty = [Value::Null, Value::from(""), json!([]), json!({})];
        let Value::Object(mut fields) = serde_json::to_value(self).map_err(S::Error::custom)? else { unreachable!() };
        fields.retain(|_, value| !empty.contains(value));
        fields.serialize(serializer)
    }
}

/// Serializes 0.7 as 0.7, also where serde_json widens it to an `f64`, which would be 0.699999988079071.
fn as_shortest_decimal<S: Serializer>(value: &Option<f32>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(|value| value.to_string().parse::<f64>().expect("a number as printed")).serialize(serializer)
}

/// A record on its way in. Everything but `body` may be left at its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What it is.
    pub kind: SourceKind,
    /// The text.
    pub body: String,
    /// How the body is written.
    pub format: TextFormat,
    /// Who may see it.
    pub visibility: Visibility,
    /// What is said about the text.
    #[serde(flatten)]
    pub fields: RecordFields,
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

/// What a key is unique in, for one caller: where it lies, who sees it, and whose it was before.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    kind: SourceKind,
    collection: String,
    key: String,
    visibility: Visibility,
    owner: Option<(String, Option<String>)>,
}

/// What a record was before it was written here.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// Its public id. It keeps it, unless another record has it.
    pub id: Uuid,
    /// Whose it was, and as which persona, where it is brought back by somebody else.
    pub owner: Option<(String, Option<String>)>,
    /// Who wrote its text, where that was not the owner.
    pub written_by: Option<String>,
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
            written_by: None,
            status: Status::Active,
            superseded_by: None,
            created_at: None,
            updated_at: None,
            last_verified: None,
        }
    }

    /// The same past of a record that is active again, changed at the moment of its restore.
    pub fn active(self) -> Self {
        Self { status: Status::Active, superseded_by: None, updated_at: None, ..self }
    }
}

impl Record {
    /// A record of this kind with this text, and nothing else.
    pub fn new(kind: SourceKind, body: impl Into<String>) -> Self {
        Self {
            kind,
            body: body.into(),
            format: TextFormat::Plain,
            // What is ingested belongs to the team; what is remembered belongs to the one who said it.
            visibility: if kind == SourceKind::Memory { Visibility::Private } else { Visibility::Tenant },
            fields: RecordFields::default(),
            details: None,
            supersedes: Vec::new(),
            past: None,
        }
    }

    /// What its key names, if it has one.
    pub fn name(&self) -> Option<Name> {
        Some(Name {
            kind: self.kind,
            collection: self.fields.collection.clone(),
            key: self.fields.key.clone()?,
            visibility: self.visibility,
            owner: self.past.as_ref().and_then(|past| past.owner.clone()),
        })
    }

    /// The session that the record belongs to: `metadata.session`, when it is a string or a number.
    pub fn session(&self) -> Option<String> {
        match self.fields.metadata.get("session")? {
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
    /// Secrets that were redacted before it was stored.
    #[serde(skip_serializing_if = "Redactions::is_empty")]
    pub redacted: Redactions,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confidence_is_shown_as_it_was_given() {
        #[derive(Serialize)]
        struct Shown(#[serde(serialize_with = "RecordFields::non_empty")] RecordFields);
        let fields = RecordFields { confidence: Some(0.7), ..RecordFields::default() };
        assert_eq!(serde_json::to_string(&Shown(fields)).unwrap(), r#"{"confidence":0.7}"#);
    }

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in SourceKind::ALL {
            assert_eq!(SourceKind::parse(kind.as_str()), Some(*kind));
        }
        assert_eq!(SourceKind::parse("nonsense"), None);
    }
}
