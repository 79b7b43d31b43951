//! A prepared record: what a write derives from it before it asks the database, its passages, terms, labels and hashes.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::hash;
use crate::labels;
use crate::passage::{self, Limit};
use crate::source::Record;
use crate::words;

/// A record, ready to be stored.
pub struct Prepared {
    /// The record.
    pub record: Record,
    /// Of everything that the caller gave: the same hash means that there is nothing to write.
    pub content_hash: Vec<u8>,
    /// In words, for BM25's normalisation by length.
    pub length: i32,
    /// Its passages.
    pub passages: Vec<PassageRow>,
    /// Its terms.
    pub postings: Vec<Posting>,
    /// Its labels, each once.
    pub labels: Vec<String>,
}

/// One row of `passages`.
pub struct PassageRow {
    /// Its place in the record, from 0.
    pub ordinal: i32,
    /// The headings above it.
    pub heading: String,
    /// Its text.
    pub text: String,
    /// Of title, headings and text.
    pub text_hash: Vec<u8>,
}

/// One row of `postings`.
pub struct Posting {
    /// The term.
    pub term: String,
    /// How often it stands in the record.
    pub frequency: i32,
    /// The passages that hold it, as a Postgres array literal; `None` where the source has one passage.
    pub ordinals: Option<String>,
}

/// Splits, counts and hashes a record that [`Record::check`] accepted.
pub fn prepare(record: Record, limit: &Limit) -> Prepared {
    let written = serde_json::to_vec(&record).expect("a record has no map with keys that are not text");
    let content_hash = hash::of_parts(&[&written]);
    let mut passages = passage::split(&record.body, record.format, limit);
    if passages.is_empty() {
        // A record that is a title alone is found by its title.
        passages.push(passage::Passage { ordinal: 0, heading: String::new(), text: String::new(), range: 0..0 });
    }
    let (postings, length) = count(&record, &passages);
    let passages = passages
        .into_iter()
        .map(|passage| PassageRow {
            ordinal: passage.ordinal as i32,
            text_hash: text_hash(&record.fields.title, &passage.heading, &passage.text),
            heading: passage.heading,
            text: passage.text,
        })
        .collect();
    let labels = labels(&record);
    Prepared { content_hash, length, passages, postings, labels, record }
}

/// The hash of what is embedded: title, headings and text. Not of the text as one model gets it, with its prefix and as much of the
/// headings as its window holds: a passage is one thing to every embedding space.
fn text_hash(title: &str, heading: &str, text: &str) -> Vec<u8> {
    hash::of_parts(&[title.as_bytes(), heading.as_bytes(), text.as_bytes()])
}

/// Terms are counted by source, and remember which passages hold them: a long text is one document to BM25, and still shows the
/// passage that answers.
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
    // Labels are found by words too, but a record is no longer for having them.
    for label in record.fields.tags.iter().chain(&record.fields.entity_urns).chain(&record.fields.category) {
        add(label, None, false);
    }
    // So is what the metadata says, dates and names above all: "when did ..." is asked of what was said on a day.
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
    use crate::source::SourceKind;

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
}
