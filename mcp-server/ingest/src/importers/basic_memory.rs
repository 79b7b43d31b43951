//! Notes of Basic Memory: Markdown with front matter; list items are observations and relations.
//!
//! The note becomes a document, so that `search` finds all of its text. Each observation and each
//! relation also becomes a memory, since a recall returns memories. Both begin with the note's
//! title, without which they cannot be understood.

mod items;

use std::io::Read;

use pgrecall_record::source::{
    MAX_BODY_BYTES, MAX_FIELD_BYTES, MAX_TAGS, Record, RecordFields, SourceKind, TextFormat, Visibility,
};
use serde_json::{Map, Value};

use self::items::{Item, Observation, Relation};
use super::names;
use crate::{
    Part,
    batch::{Batcher, Stop},
    formats::front_matter::{self, FrontMatter},
    origin::Origin,
};

/// Reads one note.
pub(super) fn read(origin: &Origin, opened: impl Read, out: &mut Batcher) -> Result<(), Stop> {
    let mut bytes = Vec::new();
    opened.take(MAX_BODY_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_BODY_BYTES {
        return Err(format!("it is longer than {} MiB", MAX_BODY_BYTES / 1024 / 1024).into());
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let name = origin.relative_path().with_extension("");
    records(&name.to_string_lossy(), &text, &mut |line, record| {
        let part = line.map_or(Part::Whole, |line| Part::Line(line as u64));
        out.record(origin.place(part), record, 0)
    })
}

/// Makes the document of a note, and the memories in it with their lines.
///
/// They are passed on one at a time, because a note may hold a million.
fn records(
    path: &str,
    text: &str,
    emit: &mut dyn FnMut(Option<usize>, Record) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let text = text.trim_start_matches('\u{feff}');
    let (front, body) = front_matter::split(text);
    let first_line = text[..text.len() - body.len()].lines().count();
    let mut document = Record {
        format: TextFormat::Markdown,
        // Ingested documents belong to the team, but a person's notes do not.
        visibility: Visibility::Private,
        ..Record::new(SourceKind::Document, body.trim())
    };
    let note = Note::of(path, front.unwrap_or_default(), &mut document);
    emit(None, document)?;
    items::find(body).try_for_each(|(line, item)| {
        let record = match item {
            Item::Observation(observation) => note.observation(&observation),
            Item::Relation(relation) => note.relation(&relation),
        };
        emit(Some(first_line + line), record)
    })
}

/// The fields that all records of a note share.
struct Note {
    title: String,
    /// The note's name within Basic Memory, independent of its title.
    permalink: String,
    tags: Vec<String>,
}

impl Note {
    /// Gives a note's document the fields of its front matter, and returns those that its memories
    /// share.
    fn of(path: &str, mut front: FrontMatter, document: &mut Record) -> Self {
        let permalink = front.take_text("permalink").filter(|permalink| permalink.len() <= MAX_FIELD_BYTES);
        let permalink = permalink.unwrap_or_else(|| path.to_owned());
        front.apply(document);
        let fields = &mut document.fields;
        if fields.title.is_empty() {
            fields.title = path.rsplit('/').next().unwrap_or(path).to_owned();
        }
        // The title is shortened because each memory of the note contains all of it.
        fields.title = names::shortened(&fields.title).to_owned();
        fields.key = Some(permalink.clone());
        fields.entity_urns = vec![names::urn(&fields.title)];
        Self { title: fields.title.clone(), permalink, tags: fields.tags.clone() }
    }

    fn observation(&self, said: &Observation) -> Record {
        let category = said.category.as_deref().unwrap_or_default();
        let mut tags = said.tags.clone();
        tags.extend(self.tags.iter().filter(|tag| !said.tags.contains(tag)).cloned());
        tags.truncate(MAX_TAGS);
        Record {
            fields: RecordFields {
                key: Some(names::key("observation", &[&self.permalink, category, &said.text])),
                metadata: self.memory_metadata(said.context.as_deref()),
                dimension: Some("knowledge".to_owned()),
                category: said.category.clone(),
                tags,
                entity_urns: vec![names::urn(&self.title)],
                origin: Some("basic-memory".to_owned()),
                ..RecordFields::default()
            },
            ..Record::new(SourceKind::Memory, format!("{}: {}", self.title, said.text))
        }
    }

    fn relation(&self, relation: &Relation) -> Record {
        let Relation { kind, target, context } = relation;
        let mut record = super::relation("basic-memory", &self.permalink, [&self.title, kind, target]);
        record.fields.metadata = self.memory_metadata(context.as_deref());
        record
    }

    /// Returns the metadata of a memory: its note, and its context.
    fn memory_metadata(&self, context: Option<&str>) -> Map<String, Value> {
        let note = ("note".to_owned(), self.permalink.as_str().into());
        [note].into_iter().chain(context.map(|context| ("context".to_owned(), context.into()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(path: &str, text: &str) -> Vec<(Option<usize>, Record)> {
        let mut all = Vec::new();
        records(path, text, &mut |line, record| {
            all.push((line, record));
            Ok(())
        })
        .unwrap();
        all
    }

    #[test]
    fn a_note_is_a_document_and_what_it_observes_and_relates_are_memories() {
        let text = "---\ntitle: Coffee Brewing\ntype: note\npermalink: coffee/brewing\ntags:\n- coffee\n- kitchen\n---\n\n# Coffee Brewing\n\n\
                    ## Observations\n- [method] Pour over brings out the acids #pour-over #coffee (tried twice)\n\n\
                    ## Relations\n- pairs_well_with [[Dark Chocolate]] (on Sundays)\n";
        let made = made("notes/coffee", text);
        let (_, note) = &made[0];
        assert_eq!(
            (note.fields.title.as_str(), note.fields.key.as_deref()),
            ("Coffee Brewing", Some("coffee/brewing"))
        );
        assert!(note.body.starts_with("# Coffee Brewing") && note.fields.metadata["type"] == "note");
        let (line, observed) = &made[1];
        assert_eq!(*line, Some(13));
        assert_eq!(observed.body, "Coffee Brewing: Pour over brings out the acids #pour-over #coffee");
        assert_eq!(observed.fields.tags, ["pour-over", "coffee", "kitchen"]);
        assert_eq!(
            (observed.fields.category.as_deref(), &observed.fields.metadata["context"]),
            (Some("method"), &"tried twice".into())
        );
        let (_, related) = &made[2];
        assert_eq!(related.body, "Coffee Brewing pairs well with Dark Chocolate");
        assert_eq!(related.fields.entity_urns, ["urn:entity:Coffee_Brewing", "urn:entity:Dark_Chocolate"]);
        assert_eq!(made.len(), 3);
    }

    #[test]
    fn a_note_without_front_matter_is_named_by_where_it_lies() {
        let made = made("deep/plain", "Only text.");
        assert_eq!((made[0].1.fields.title.as_str(), made[0].1.fields.key.as_deref()), ("plain", Some("deep/plain")));
        assert_eq!(made.len(), 1);
    }
}
