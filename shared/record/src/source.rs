//! A source: a record that someone wrote, with its fields.
//!
//! A caller hands in a [`Record`]. [`Record::check`] refuses one that cannot be stored before
//! anything is written, with an error that the caller can act on.

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

/// The kind of a source. The names are the values of the column `source_kind`.
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
    /// A fact that an agent was asked to remember.
    Memory,
    /// A document or an ingested file.
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

    /// The kinds that `search` covers by default: all but memories, which `memory_recall` searches.
    pub const SEARCHED: [SourceKind; 5] = [Self::Document, Self::Asset, Self::Prompt, Self::Tool, Self::ApiOperation];
}

/// The readers of a record: its owner, every caller with its persona, or the whole tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Visibility {
    /// Only the owner.
    #[default]
    Private,
    /// Every caller whose persona is the record's.
    Persona,
    /// Every caller in the tenant.
    Tenant,
}

/// Whether a record still holds. By default recall returns active records, and superseded ones
/// whose validity has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// The record holds as far as anyone knows.
    #[default]
    Active,
    /// Someone disputed the record, and no other record has replaced it.
    Stale,
    /// Another record has replaced it.
    Superseded,
    /// The record is kept but no longer of use.
    Archived,
}

crate::named!(SourceKind, Visibility, Status);

/// The format of a body, which decides where it may be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextFormat {
    /// Plain text.
    #[default]
    Plain,
    /// CommonMark.
    Markdown,
}

/// The kinds of statement that a memory can make.
pub const DIMENSIONS: [&str; 5] = ["knowledge", "event", "entity", "relationship", "preference"];

/// The fields that a record's writer sets in addition to its text. They are declared once, here,
/// and stored, shown, exported and imported under these names; `sql/fragments/record_fields.sql`
/// has the columns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordFields {
    /// The caller's own name for the record, unique in (tenant, kind, collection) among the records
    /// with the same readers. A write with the same key replaces the record.
    pub key: Option<String>,
    /// The group of records that this one belongs to, and the namespace of its key. Empty for none.
    pub collection: String,
    /// The title. It is searched like the text, and put before each passage that is embedded.
    pub title: String,
    /// The address that the record came from.
    pub uri: Option<String>,
    /// One of [`DIMENSIONS`]; memories only.
    pub dimension: Option<String>,
    /// A finer label within the dimension; memories only.
    pub category: Option<String>,
    /// The confidence, from 0 to 1; memories only.
    #[serde(serialize_with = "as_shortest_decimal")]
    pub confidence: Option<f32>,
    /// The person or program that made the statement.
    #[serde(rename = "source")]
    pub origin: Option<String>,
    /// The URNs of the entities that the record is about.
    pub entity_urns: Vec<String>,
    /// Free labels for filters.
    pub tags: Vec<String>,
    /// Free data, which filters match by containment. `session` groups memories in the order of
    /// their creation.
    pub metadata: Map<String, Value>,
    /// The start of the record's validity.
    pub valid_from: Option<Timestamp>,
    /// The end of the record's validity.
    pub valid_to: Option<Timestamp>,
}

impl RecordFields {
    /// Serializes only the fields that are set, for people and models: `#[serde(flatten,
    /// serialize_with = "RecordFields::non_empty")]`.
    pub fn non_empty<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let empty = [Value::Null, Value::from(""), json!([]), json!({})];
        let Value::Object(mut fields) = serde_json::to_value(self).map_err(S::Error::custom)? else { unreachable!() };
        fields.retain(|_, value| !empty.contains(value));
        fields.serialize(serializer)
    }
}

/// Serializes 0.7 as 0.7. serde_json would widen it to an `f64` and print 0.699999988079071.
fn as_shortest_decimal<S: Serializer>(value: &Option<f32>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(|value| value.to_string().parse::<f64>().expect("a number as printed")).serialize(serializer)
}

/// A record to be written. All fields but `body` may keep their defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The kind of the record.
    pub kind: SourceKind,
    /// The text.
    pub body: String,
    /// The format of the body.
    pub format: TextFormat,
    /// The readers of the record.
    pub visibility: Visibility,
    /// The fields in addition to the text.
    #[serde(flatten)]
    pub fields: RecordFields,
    /// Data that a fetch returns with the text and that is not searched: the schema of an API
    /// operation, the input of a tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Map<String, Value>>,
    /// The records that this one replaces. They are kept, with a link to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub supersedes: Vec<Uuid>,
    /// The earlier state of a record that is imported or restored. It is not part of the content,
    /// so the content hash leaves it out.
    #[serde(skip)]
    pub past: Option<Past>,
}

/// The scope in which a key identifies one record, for one caller: where it is stored, its readers,
/// and its owner if it is imported or restored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    kind: SourceKind,
    collection: String,
    key: String,
    visibility: Visibility,
    owner: Option<(String, Option<String>)>,
}

/// The earlier state of a record that is imported or restored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Past {
    /// The public id. The record keeps it unless another record has it.
    pub id: Uuid,
    /// The owner and the owner's persona, if they are not to be the caller's.
    pub owner: Option<(String, Option<String>)>,
    /// The writer of the text, if not the owner.
    pub written_by: Option<String>,
    /// The status.
    pub status: Status,
    /// The successor, if the record is superseded.
    pub superseded_by: Option<Uuid>,
    /// The time of the first write.
    pub created_at: Option<Timestamp>,
    /// The time of the last write.
    pub updated_at: Option<Timestamp>,
    /// The last time at which someone confirmed the record.
    pub last_verified: Option<Timestamp>,
}

impl Past {
    /// Creates a past that consists of an id only.
    pub fn of(id: Uuid) -> Self {
        Self { id, ..Self::default() }
    }

    /// Returns the past of a restored record: active, without a successor, and with the restore as
    /// its last change.
    pub fn active(self) -> Self {
        Self { status: Status::Active, superseded_by: None, updated_at: None, ..self }
    }
}

impl Record {
    /// Creates a record with this kind and text, and defaults for the rest.
    pub fn new(kind: SourceKind, body: impl Into<String>) -> Self {
        Self {
            kind,
            body: body.into(),
            format: TextFormat::Plain,
            // Ingested records belong to the team; a memory belongs to the caller who wrote it.
            visibility: if kind == SourceKind::Memory { Visibility::Private } else { Visibility::Tenant },
            fields: RecordFields::default(),
            details: None,
            supersedes: Vec::new(),
            past: None,
        }
    }

    /// Returns the scope of the record's key, if it has a key.
    pub fn name(&self) -> Option<Name> {
        Some(Name {
            kind: self.kind,
            collection: self.fields.collection.clone(),
            key: self.fields.key.clone()?,
            visibility: self.visibility,
            owner: self.past.as_ref().and_then(|past| past.owner.clone()),
        })
    }

    /// Returns the session of the record: `metadata.session`, if it is a nonempty string or a
    /// number.
    pub fn session(&self) -> Option<String> {
        match self.fields.metadata.get("session")? {
            Value::String(session) if !session.is_empty() => Some(session.clone()),
            Value::Number(session) => Some(session.to_string()),
            _ => None,
        }
    }
}

/// The result of writing one record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Receipt {
    /// The source's public id.
    pub id: Uuid,
    /// The outcome.
    pub stored: Stored,
    /// The number of passages that wait for an embedding.
    pub passages: u32,
    /// The secrets that were redacted before the record was stored.
    #[serde(skip_serializing_if = "Redactions::is_empty")]
    pub redacted: Redactions,
}

/// The three successful outcomes of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stored {
    /// A new record was created.
    Created,
    /// The record with the same key was replaced.
    Replaced,
    /// The same record existed already; nothing was written.
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
