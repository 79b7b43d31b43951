//! Limits of a record's fields, and the errors for a record that is refused.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{DIMENSIONS, Record, SourceKind, Status, Visibility};

/// Maximum bytes of text in one source. A million English words take about 6 MB; far beyond this
/// limit, the parameters of one statement would approach Postgres' message limit of 1 GB.
pub const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;
/// Maximum bytes of a memory: answers return it whole, and an agent's context is small.
pub const MAX_MEMORY_BYTES: usize = 64 * 1024;
/// Maximum bytes of a title, key, collection, tag, URN, category or other short field.
pub const MAX_FIELD_BYTES: usize = 1024;
/// Maximum bytes of a record's metadata as JSON.
pub const MAX_METADATA_BYTES: usize = 64 * 1024;
/// Maximum bytes of a record's details as JSON.
pub const MAX_DETAILS_BYTES: usize = 1024 * 1024;
/// Maximum number of tags, of entity URNs, and of superseded records.
pub const MAX_TAGS: usize = 64;

/// The reason why a record was refused. Nothing of it was written.
#[derive(Debug, Clone, thiserror::Error, PartialEq)]
pub enum RecordError {
    /// The record has neither a title nor a text.
    #[error("the text is empty: there is nothing to remember or to find")]
    Empty,
    /// The key is blank: records with such a key would replace each other by accident.
    #[error("the key is blank: leave it out, or name the record")]
    BlankKey,
    /// A field contains U+0000, which Postgres cannot store as text.
    #[error("{field} holds a NUL character (U+0000), which cannot be stored as text: remove it")]
    Nul {
        /// The name of the field.
        field: &'static str,
    },
    /// A field exceeds its limit.
    #[error(
        "{field} is {bytes} bytes long; the limit is {limit} bytes: shorten it{}", if *field == "text" { ", or ingest it as a document" } else { "" }
    )]
    TooLong {
        /// The name of the field.
        field: &'static str,
        /// The field's length in bytes.
        bytes: usize,
        /// The field's limit in bytes.
        limit: usize,
    },
    /// A list has more than [`MAX_TAGS`] entries.
    #[error("{field} has {count} entries; the limit is {MAX_TAGS}")]
    TooMany {
        /// The name of the list.
        field: &'static str,
        /// The number of entries.
        count: usize,
    },
    /// The dimension is not one of [`DIMENSIONS`].
    #[error("`{0}` is not a dimension: use one of knowledge, event, entity, relationship, preference")]
    Dimension(String),
    /// A record that is not a memory has a field that only memories have.
    #[error("only memories have {0}: leave it out, or store it as a memory")]
    MemoriesOnly(&'static str),
    /// The visibility is `persona`, and there is no persona to share the record with.
    #[error(
        "it is shared with a persona, and does not say with which: make its visibility private or tenant, or work as a persona"
    )]
    NoPersona,
    /// The confidence is not between 0 and 1.
    #[error("confidence is {0}: it must lie between 0 and 1")]
    Confidence(f32),
    /// The validity ends before it begins.
    #[error("valid_to lies before valid_from")]
    ValidityOrder,
    /// The status is `superseded` without a successor, or there is a successor with another status.
    #[error("status is `{0}` and superseded_by is {1}: what is superseded says by what, and nothing else does")]
    Superseded(&'static str, &'static str),
    /// The record would supersede itself.
    #[error("it cannot supersede itself: to replace a record, write it again with its key, or update it")]
    SupersedesItself,
    /// The write may only create records, and the key exists; or the record that has the key cannot
    /// be replaced by this caller.
    #[error("its key names another record: give it another key, or forget that one first")]
    KeyTaken,
    /// The record to supersede does not exist.
    #[error("there is no record {0} that it could supersede: it may have been forgotten; recall it for its current id")]
    NothingToSupersede(Uuid),
    /// The URI has a scheme that a host must not follow.
    #[error("uri begins with `{0}:`, which is not taken: give an http, https, file or urn address, or a path")]
    Scheme(String),
    /// A field contains a credential in a known format.
    #[error(
        "{field} holds a secret ({kind}), which is not stored: remove it{}",
        if matches!(*field, "key" | "collection") { "" } else { ", or set `memory.secrets` to redact" }
    )]
    Secret {
        /// The name of the field.
        field: &'static str,
        /// The kind of the secret.
        kind: &'static str,
    },
    /// The record would hide a shared record of another owner from readers who cannot see the new
    /// one.
    #[error(
        "{0} is shared by {1}, and not everyone who sees it would see this record: give this one the same visibility, or leave it out of `supersedes`"
    )]
    MayNotSupersede(Uuid, String),
    /// The record to supersede already has a successor.
    #[error("{0} is superseded by {1} already: supersede that one, or restore {0} first")]
    SupersededAlready(Uuid, Uuid),
}

impl Record {
    /// Refuses a record that cannot be stored, before anything is written.
    pub fn check(&self) -> Result<(), RecordError> {
        if self.fields.title.trim().is_empty() && self.body.trim().is_empty() {
            return Err(RecordError::Empty);
        }
        let body_limit = if self.kind == SourceKind::Memory { MAX_MEMORY_BYTES } else { MAX_BODY_BYTES };
        check_text("text", &self.body, body_limit)?;
        check_text("title", &self.fields.title, MAX_FIELD_BYTES)?;
        check_text("collection", &self.fields.collection, MAX_FIELD_BYTES)?;
        if self.fields.key.as_ref().is_some_and(|key| key.trim().is_empty()) {
            return Err(RecordError::BlankKey);
        }
        let short = [
            ("key", &self.fields.key),
            ("uri", &self.fields.uri),
            ("category", &self.fields.category),
            ("source", &self.fields.origin),
            ("dimension", &self.fields.dimension),
        ];
        for (field, value) in short {
            check_text(field, value.as_deref().unwrap_or_default(), MAX_FIELD_BYTES)?;
        }
        if let Some(scheme) = self.fields.uri.as_deref().and_then(foreign_scheme) {
            return Err(RecordError::Scheme(scheme));
        }
        for (field, values) in [("tags", &self.fields.tags), ("entity_urns", &self.fields.entity_urns)] {
            if values.len() > MAX_TAGS {
                return Err(RecordError::TooMany { field, count: values.len() });
            }
            for value in values {
                check_text(field, value, MAX_FIELD_BYTES)?;
            }
        }
        check_object("metadata", &self.fields.metadata, MAX_METADATA_BYTES)?;
        if let Some(details) = &self.details {
            check_object("details", details, MAX_DETAILS_BYTES)?;
        }
        if let Some(dimension) = &self.fields.dimension
            && !DIMENSIONS.contains(&dimension.as_str())
        {
            return Err(RecordError::Dimension(dimension.clone()));
        }
        let of_memories = [
            ("dimension", self.fields.dimension.is_some()),
            ("category", self.fields.category.is_some()),
            ("confidence", self.fields.confidence.is_some()),
        ];
        if self.kind != SourceKind::Memory
            && let Some((field, _)) = of_memories.into_iter().find(|(_, is_set)| *is_set)
        {
            return Err(RecordError::MemoriesOnly(field));
        }
        if let Some(confidence) = self.fields.confidence
            && !(0.0..=1.0).contains(&confidence)
        {
            return Err(RecordError::Confidence(confidence));
        }
        if let (Some(from), Some(to)) = (self.fields.valid_from, self.fields.valid_to)
            && to < from
        {
            return Err(RecordError::ValidityOrder);
        }
        if self.supersedes.len() > MAX_TAGS {
            return Err(RecordError::TooMany { field: "supersedes", count: self.supersedes.len() });
        }
        if let Some(past) = &self.past {
            if let Some((_, persona)) = &past.owner {
                let persona = persona.as_deref().unwrap_or_default();
                if self.visibility == Visibility::Persona && persona.trim().is_empty() {
                    return Err(RecordError::NoPersona);
                }
                check_text("persona", persona, MAX_FIELD_BYTES)?;
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
}

/// Schemes of addresses that records come from, and of names. Hosts turn a record's URI into a
/// link, so a scheme that runs code (`javascript:`), carries content (`data:`) or starts a program
/// is not on the list.
const SCHEMES: &str = "http https ws wss file ftp ftps sftp ssh git git+https git+ssh s3 gs abfs abfss hdfs urn doi isbn arxiv mailto \
                       pgrecall memory document asset prompt tool";

/// Returns the scheme of an address if the scheme is not allowed. Like a browser, it ignores
/// control characters within the scheme and blanks before it.
pub fn foreign_scheme(uri: &str) -> Option<String> {
    let uri: String = uri.chars().filter(|letter| !letter.is_control()).collect();
    let (scheme, _) = uri.trim_start().split_once(':')?;
    let scheme = scheme.to_ascii_lowercase();
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    // A single letter is a Windows drive, not a scheme.
    (is_scheme && scheme.len() > 1 && !SCHEMES.split(' ').any(|known| known == scheme)).then_some(scheme)
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

/// Returns whether a value contains U+0000, which jsonb refuses everywhere, keys included.
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
        record.fields.title = "Extraction of Roots".into();
        assert_eq!(record.check(), Ok(()));
    }

    #[test]
    fn a_nul_is_refused_wherever_it_stands() {
        assert_eq!(Record::new(SourceKind::Memory, "a\0b").check(), Err(RecordError::Nul { field: "text" }));
        let mut record = Record::new(SourceKind::Memory, "a");
        record.fields.metadata = json!({"deep": [{"k\0": 1}]}).as_object().expect("an object").clone();
        assert_eq!(record.check(), Err(RecordError::Nul { field: "metadata" }));
    }

    #[test]
    fn an_address_that_runs_or_carries_something_is_refused() {
        let mut record = Record::new(SourceKind::Document, "x");
        for uri in [
            "javascript:alert(1)",
            " java\tscript:alert(1)",
            "JaVaScRiPt:x",
            "data:text/html,x",
            "vbscript:x",
            "\u{1}blob:x",
            "ms-word:ofe",
        ] {
            record.fields.uri = Some(uri.into());
            assert!(matches!(record.check(), Err(RecordError::Scheme(_))), "{uri}");
        }
        for uri in [
            "https://h/a:b",
            "file:///a%20b",
            "urn:li:dataset:x",
            "docs/a.md",
            "C:\\docs\\a.md",
            "/a/b:c",
            "#part",
            "a b: c",
            "s3://b/k",
            "doi:10.1000/182",
            "pgrecall://memory/x",
            "12:30",
        ] {
            record.fields.uri = Some(uri.into());
            assert_eq!(record.check(), Ok(()), "{uri}");
        }
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
}
