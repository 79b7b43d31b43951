//! A record with the data that a write derives from it before it calls the database: passages,
//! terms, labels and hashes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::hash;
use crate::labels;
use crate::passage::{self, Limit};
use crate::source::{Record, RecordFields, SourceKind, TextFormat, Visibility};
use crate::words;

/// A record that is ready to be stored.
pub struct Prepared {
    /// The record itself.
    pub record: Record,
    /// The hash of everything that the caller gave. If the stored record has the same hash, the
    /// write changes nothing.
    pub content_hash: Vec<u8>,
    /// The length in words, which BM25 normalizes by.
    pub length: i32,
    /// The rows of the passages.
    pub passages: Vec<PassageRow>,
    /// The rows of the terms.
    pub postings: Vec<Posting>,
    /// The labels of the record, sorted and without duplicates.
    pub labels: Vec<String>,
}

/// One row of the table `passages`.
pub struct PassageRow {
    /// The position in the record, from 0.
    pub ordinal: i32,
    /// The headings above the passage.
    pub heading: String,
    /// The text of the passage.
    pub text: String,
    /// Where the passage begins in the record's text, in characters.
    pub starts_at: i32,
    /// The hash of title, headings and text.
    pub text_hash: Vec<u8>,
}

/// One row of the table `postings`.
pub struct Posting {
    /// The term.
    pub term: String,
    /// The number of occurrences in the record.
    pub frequency: i32,
    /// The ordinals of the passages that contain the term, as a Postgres array literal; `None` if
    /// the record has one passage.
    pub ordinals: Option<String>,
}

/// Splits, tokenizes and hashes a record that [`Record::check`] has accepted.
pub fn prepare(record: Record, limit: &Limit) -> Prepared {
    let content_hash = content_hash(&record);
    let mut passages = passage::split(&record.body, record.format, limit);
    if passages.is_empty() {
        // One empty passage, so that a record with only a title gets an embedding of its title.
        passages.push(passage::Passage { ordinal: 0, heading: String::new(), text: String::new(), range: 0..0 });
    }
    let (postings, length) = count(&record, &passages);
    let (mut at, mut characters) = (0, 0);
    let passages = passages
        .into_iter()
        .map(|passage| PassageRow {
            ordinal: passage.ordinal as i32,
            starts_at: {
                characters += record.body[at..passage.range.start].chars().count();
                at = passage.range.start;
                // A body has at most 16 MiB.
                characters as i32
            },
            text_hash: text_hash(&record.fields.title, &passage.heading, &passage.text),
            heading: passage.heading,
            text: passage.text,
        })
        .collect();
    let labels = labels(&record);
    Prepared { content_hash, length, passages, postings, labels, record }
}

/// Returns the hash of everything that the caller gave. The hash is stored, so it must not depend
/// on how the fields are declared: names and order here never change, and a new field is left out
/// while it is empty.
fn content_hash(record: &Record) -> Vec<u8> {
    #[derive(Serialize)]
    struct Hashed<'a> {
        kind: SourceKind,
        collection: &'a str,
        key: &'a Option<String>,
        title: &'a str,
        body: &'a str,
        format: TextFormat,
        uri: &'a Option<String>,
        metadata: &'a Map<String, Value>,
        tags: &'a [String],
        entity_urns: &'a [String],
        dimension: &'a Option<String>,
        category: &'a Option<String>,
        confidence: Option<f32>,
        origin: &'a Option<String>,
        visibility: Visibility,
        valid_from: Option<Timestamp>,
        valid_to: Option<Timestamp>,
        #[serde(skip_serializing_if = "Option::is_none")]
        details: &'a Option<Map<String, Value>>,
        #[serde(skip_serializing_if = "<[Uuid]>::is_empty")]
        supersedes: &'a [Uuid],
        /// If the terms of the text are other ones than before, the record is not unchanged.
        #[serde(skip_serializing_if = "Option::is_none")]
        folding: Option<u32>,
    }
    // No `..`, so that the compiler reports a new field, which must be hashed too.
    let Record { kind, body, format, visibility, fields, details, supersedes, past: _ } = record;
    let RecordFields {
        key,
        collection,
        title,
        uri,
        dimension,
        category,
        confidence,
        origin,
        entity_urns,
        tags,
        metadata,
        valid_from,
        valid_to,
    } = fields;
    let hashed = Hashed {
        kind: *kind,
        collection,
        key,
        title,
        body,
        format: *format,
        uri,
        metadata,
        tags,
        entity_urns,
        dimension,
        category,
        confidence: *confidence,
        origin,
        visibility: *visibility,
        valid_from: *valid_from,
        valid_to: *valid_to,
        details,
        supersedes,
        folding: words::folding_revision(title).max(words::folding_revision(body)),
    };
    hash::of_parts(&[&serde_json::to_vec(&hashed).expect("a record has no map with keys that are not text")])
}

/// Returns the hash of title, headings and text. The model's prefix and the part of the headings
/// that its window cuts off are left out, so that all embedding spaces share one hash (decision
/// 11).
fn text_hash(title: &str, heading: &str, text: &str) -> Vec<u8> {
    hash::of_parts(&[title.as_bytes(), heading.as_bytes(), text.as_bytes()])
}

/// Counts the terms of a record and notes the passages that contain each. BM25 then scores a long
/// text as one document, and an answer can still show the matching passage.
fn count(record: &Record, passages: &[passage::Passage]) -> (Vec<Posting>, i32) {
    let mut held: BTreeMap<String, (u32, Vec<u32>)> = BTreeMap::new();
    let mut length = 0;
    let mut add = |text: &str, ordinal: Option<u32>, counts_in_length: bool| {
        let words = words::index_terms(text);
        if counts_in_length {
            length += words.length;
        }
        for (term, frequency) in words.counts {
            let entry = held.entry(term).or_default();
            entry.0 += frequency;
            if let Some(ordinal) = ordinal
                && entry.1.last() != Some(&ordinal)
            {
                entry.1.push(ordinal);
            }
        }
    };
    for passage in passages {
        add(&passage.text, Some(passage.ordinal), true);
    }
    add(&record.fields.title, None, true);
    // Keyword search finds labels too, but they do not count in the record's length.
    for label in record.fields.tags.iter().chain(&record.fields.entity_urns).chain(&record.fields.category) {
        add(label, None, false);
    }
    // Keyword search finds text in the metadata too, above all dates and names, which queries such
    // as "when did ..." ask for. It does not count in the length either.
    for value in record.fields.metadata.values() {
        each_text(value, &mut |text| add(text, None, false));
    }
    let several = passages.len() > 1;
    let postings = held
        .into_iter()
        .map(|(term, (frequency, ordinals))| Posting {
            term,
            frequency: i32::try_from(frequency).unwrap_or(i32::MAX),
            ordinals: several.then(|| array_literal(&ordinals)),
        })
        .collect();
    (postings, i32::try_from(length).unwrap_or(i32::MAX))
}

fn each_text(value: &Value, add: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => add(text),
        Value::Array(items) => items.iter().for_each(|item| each_text(item, add)),
        Value::Object(object) => object.values().for_each(|item| each_text(item, add)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn array_literal(ordinals: &[u32]) -> String {
    let list: Vec<String> = ordinals.iter().map(u32::to_string).collect();
    format!("{{{}}}", list.join(","))
}

fn labels(record: &Record) -> Vec<String> {
    let mut all = labels::metadata(&record.fields.metadata);
    all.extend(record.fields.tags.iter().map(|tag| labels::tag(tag)));
    all.extend(record.fields.entity_urns.iter().map(|urn| labels::urn(urn)));
    all.extend(record.fields.dimension.iter().map(|dimension| labels::dimension(dimension)));
    all.extend(record.fields.category.iter().map(|category| labels::category(category)));
    if !record.fields.collection.is_empty() {
        all.push(labels::collection(&record.fields.collection));
    }
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit() -> Limit {
        Limit { words: 180, tokens: 256, count: std::sync::Arc::new(|text| text.split_whitespace().count() + 2) }
    }

    #[test]
    fn a_title_alone_is_one_empty_passage_that_is_found_by_its_title() {
        let mut record = Record::new(SourceKind::Document, "");
        record.fields.title = "Extraction of Roots".into();
        let prepared = prepare(record, &limit());
        assert_eq!(prepared.passages.len(), 1);
        assert!(prepared.postings.iter().any(|posting| posting.term == "root"));
        assert_eq!(prepared.passages[0].text_hash, text_hash("Extraction of Roots", "", ""));
    }

    #[test]
    fn a_tag_is_a_word_and_makes_no_record_longer() {
        let plain = prepare(Record::new(SourceKind::Memory, "net revenue"), &limit());
        let mut record = Record::new(SourceKind::Memory, "net revenue");
        record.fields.tags = vec!["finance".into()];
        let tagged = prepare(record, &limit());
        assert!(tagged.postings.iter().any(|posting| posting.term == "financ"));
        assert_eq!(tagged.length, plain.length);
        assert_ne!(tagged.content_hash, plain.content_hash);
    }

    #[test]
    fn a_text_whose_terms_have_changed_is_not_the_stored_one() {
        let json = |body| {
            let record = Record::new(SourceKind::Document, body);
            (content_hash(&record), words::folding_revision(body))
        };
        assert_eq!(json("Text, café, текст, 漢字").1, None);
        for body in ["محمد", "of שלום", "ﻣﺤﻤﺪ"] {
            assert_eq!(json(body).1, Some(2), "{body}");
        }
        let mut titled = Record::new(SourceKind::Document, "Text");
        titled.fields.title = "שלום".into();
        assert_ne!(content_hash(&titled), json("Text").0);
    }

    #[test]
    fn a_passage_says_where_it_begins_in_characters() {
        let text = format!("Ää {}\n\n𝒳 {}\n\nend", "wörd ".repeat(170), "word ".repeat(170));
        let prepared = prepare(Record::new(SourceKind::Document, &text), &limit());
        assert!(prepared.passages.len() > 1);
        for passage in &prepared.passages {
            let rest: String = text.chars().skip(passage.starts_at as usize).collect();
            assert!(rest.starts_with(&passage.text), "{}", passage.starts_at);
        }
    }

    // A change of these stored hashes would make the next write of each record replace it.
    #[test]
    fn the_content_hash_is_that_of_the_records_in_the_database() {
        let hash = |record| crate::hash::hex(&prepare(record, &limit()).content_hash);
        assert_eq!(
            hash(Record::new(SourceKind::Document, "Text")),
            "964d8e260bb2c837c3405b6b386a32cac8edd6b8dab9f63e8709cd8045486fc1"
        );
        let full = Record {
            format: TextFormat::Markdown,
            visibility: Visibility::Tenant,
            fields: RecordFields {
                key: Some("k".into()),
                collection: "c".into(),
                title: "Title".into(),
                uri: Some("urn:x".into()),
                dimension: Some("event".into()),
                category: Some("meeting".into()),
                confidence: Some(0.7),
                origin: Some("ana".into()),
                entity_urns: vec!["urn:e".into()],
                tags: vec!["a".into()],
                metadata: Map::from_iter([("session".to_owned(), "s".into())]),
                valid_from: Some("2026-01-02T03:04:05Z".parse().unwrap()),
                valid_to: Some("2026-02-02T00:00:00Z".parse().unwrap()),
            },
            details: Some(Map::from_iter([("in".to_owned(), 1.into())])),
            supersedes: vec![Uuid::from_u128(0x0190a1b2_0000_7000_8000_000000000001)],
            ..Record::new(SourceKind::Memory, "Text")
        };
        assert_eq!(hash(full), "8b2756951fcfa7e7a93abf31a62878f2ca65afdbb4c3a009c7137dae79bd3495");
    }
}
