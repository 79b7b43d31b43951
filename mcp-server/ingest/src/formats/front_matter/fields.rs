//! The fields of a front matter become the fields of a record.

use jiff::Timestamp;
use pgrecall_record::{
    source::{MAX_FIELD_BYTES, MAX_TAGS, Record, SourceKind},
    time,
};
use serde_json::{Map, Value};

use super::unquoted;
use crate::formats::json;

/// The fields of a front matter, in their order. Names match in any case, since people write
/// `Title`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct FrontMatter(pub(super) Map<String, Value>);

/// Fields that are labels.
const TAGS: [&str; 4] = ["tags", "tag", "keywords", "keyword"];
/// Fields that say what the document is about.
const DESCRIPTIONS: [&str; 2] = ["description", "summary"];
/// Fields that hold other names of the document.
const ALIASES: [&str; 2] = ["aliases", "alias"];
/// Fields that say since when the text holds, the most telling one first.
const DATES: [&str; 4] = ["date", "created", "created_at", "published"];

impl FrontMatter {
    fn name(&self, name: &str) -> Option<&String> {
        self.0.keys().find(|known| known.eq_ignore_ascii_case(name))
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(self.name(name)?)
    }

    /// Removes a field.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        let name = self.name(name)?.clone();
        self.0.shift_remove(&name)
    }

    /// Removes a field that is one text, and makes it one line. A number is a text too.
    pub(crate) fn take_text(&mut self, name: &str) -> Option<String> {
        let text = json::scalar(self.get(name))?;
        self.take(name);
        Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// Sets the record's fields. Fields that a record does not have become its metadata.
    ///
    /// A description and aliases are also put before the text, where a search finds them.
    pub(crate) fn apply(mut self, record: &mut Record) {
        if let Some(title) = self.take_text("title") {
            record.fields.title = title;
        }
        for name in TAGS {
            self.take_tags(name, &mut record.fields.tags);
        }
        // Only memories have a category.
        if record.kind == SourceKind::Memory && self.is_short("category") {
            record.fields.category = self.take_text("category");
        }
        let date = DATES.iter().find_map(|name| time::parse(&json::scalar(self.get(name))?));
        // No search finds a record before its beginning.
        record.fields.valid_from = date.filter(|date| *date <= Timestamp::now());
        if let (Some(name), Some(version)) = (self.name("version").cloned(), json::scalar(self.get("version"))) {
            self.0.insert(name, version.into());
        }
        let intro = self.intro(&record.body);
        if !intro.is_empty() {
            record.body = format!("{intro}\n\n{}", record.body.trim_start());
        }
        self.0.retain(|_, value| !value.is_null());
        record.fields.metadata = self.0;
    }

    fn is_short(&self, name: &str) -> bool {
        json::scalar(self.get(name)).is_some_and(|text| text.len() <= MAX_FIELD_BYTES)
    }

    /// Moves the tags of this field. The field stays if a record cannot have all of its tags.
    fn take_tags(&mut self, name: &str, tags: &mut Vec<String>) {
        let Some((given, mut fit_all)) = self.get(name).map(labels) else { return };
        for tag in given {
            if tags.contains(&tag) {
                continue;
            }
            let fits = tag.len() <= MAX_FIELD_BYTES && tags.len() < MAX_TAGS;
            fit_all &= fits;
            tags.extend(fits.then_some(tag));
        }
        if fit_all {
            self.take(name);
        }
    }

    /// Returns the description and the aliases, except those that the text has already.
    fn intro(&self, body: &str) -> String {
        let mut parts: Vec<String> = DESCRIPTIONS.iter().filter_map(|name| json::scalar(self.get(name))).collect();
        let aliases: Vec<String> = ALIASES.iter().filter_map(|name| Some(texts(self.get(name)?).0)).flatten().collect();
        if !aliases.is_empty() {
            parts.push(format!("Also called: {}", aliases.join(", ")));
        }
        parts.retain(|part| !body.contains(part.as_str()));
        parts.join("\n\n")
    }
}

/// Returns a text, or the texts of a list, and whether there was nothing else.
fn texts(value: &Value) -> (Vec<String>, bool) {
    let items = if let Value::Array(items) = value { items.as_slice() } else { std::slice::from_ref(value) };
    let is_text = |item: &Value| !item.is_array() && !item.is_object();
    (items.iter().filter_map(|item| json::scalar(Some(item))).collect(), items.iter().all(is_text))
}

/// Returns the labels in a list, or in a text such as `a, b` or `#a #b`, and whether there was
/// nothing else.
///
/// A list that is not valid YAML is a text too: one with tabs, or with a bracket that is not closed.
fn labels(value: &Value) -> (Vec<String>, bool) {
    let (given, is_whole) = texts(value);
    let parts: Vec<&str> = match (value, given.as_slice()) {
        (Value::String(_), [text]) if text.split_whitespace().all(|word| word.starts_with('#')) => {
            text.split([' ', '\t', '\n', ',']).collect()
        }
        (Value::String(_), [text]) => {
            let items = text.trim_matches(['[', ']']).split([',', '\n']).map(str::trim);
            items.map(|item| item.strip_prefix("- ").unwrap_or(item)).collect()
        }
        (_, items) => items.iter().map(String::as_str).collect(),
    };
    let labels = parts.into_iter().map(|label| unquoted(label.trim()).trim_start_matches('#').trim());
    (labels.filter(|label| !label.is_empty()).map(str::to_owned).collect(), is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::front_matter::split;
    use serde_json::json;

    fn made(kind: SourceKind, front: &str) -> Record {
        let text = format!("---\n{front}\n---\nbody\n");
        let (front, body) = split(&text);
        let mut record = Record::new(kind, body);
        front.unwrap().apply(&mut record);
        assert_eq!(record.check(), Ok(()));
        record
    }

    #[test]
    fn each_field_becomes_the_records_own_or_its_metadata() {
        let record = made(
            SourceKind::Document,
            "title: Runbook 17\ndescription: What to do at night\ntags: [furnace, 2026, nightshift]\nkeywords: a, furnace\n\
             aliases: [Brennofen, 7]\ndate: 2026-03-01\nid: x-1\nslug: run\nversion: 1.10\ncategory: ops\ndraft: false\nempty:\n",
        );
        assert_eq!(record.fields.title, "Runbook 17");
        assert_eq!(record.fields.tags, ["furnace", "2026", "nightshift", "a"]);
        assert_eq!(record.body, "What to do at night\n\nAlso called: Brennofen, 7\n\nbody\n");
        assert_eq!(record.fields.valid_from.unwrap().to_string(), "2026-03-01T00:00:00Z");
        assert_eq!(
            Value::Object(record.fields.metadata),
            json!({"description": "What to do at night", "aliases": ["Brennofen", 7], "date": "2026-03-01", "id": "x-1",
                   "slug": "run", "version": "1.10", "category": "ops", "draft": false})
        );
        let memory = made(SourceKind::Memory, "category: ops\ndate: 2999-01-01");
        assert_eq!((memory.fields.category.as_deref(), memory.fields.valid_from), (Some("ops"), None));
    }

    #[test]
    fn tags_and_titles_are_texts_however_they_are_written() {
        for (front, tags) in [
            ("tags: a, b c", &["a", "b c"][..]),
            ("tags: '#a #b'", &["a", "b"]),
            ("Tags:\n- '#a'\n- 2026\n- true\n-\n- 1.10", &["a", "2026", "true", "1.10"]),
            ("tag: 7", &["7"]),
            ("tags: [a, a]\nkeyword: a", &["a"]),
            ("tags: {a: b}", &[]),
            ("tags: [[a]]", &[]),
            ("tags:\n\t- a\n\t- 'b c'", &["a", "b c"]),
            ("tags: |\n  - a\n  - b", &["a", "b"]),
            ("tags: >\n  - a", &["a"]),
            ("tags: |\n  a\n  b", &["a", "b"]),
            ("tags: [a, \"b\"", &["a", "b"]),
            ("tags: [a, b\nkeyword: c", &["a", "b", "c"]),
        ] {
            let record = made(SourceKind::Document, front);
            assert_eq!(record.fields.tags, tags, "{front}");
            assert_eq!(record.fields.metadata.is_empty(), !tags.is_empty(), "{front}");
        }
        let odd = made(SourceKind::Document, "tags: [a, {name: b}, 7]");
        assert_eq!((odd.fields.tags, odd.fields.metadata.len()), (vec!["a".to_owned(), "7".to_owned()], 1));
        for (front, title) in
            [("title: 2026", "2026"), ("title: 007", "007"), ("Title: |\n  a\n  b", "a b"), ("title: 1.10", "1.10")]
        {
            assert_eq!(made(SourceKind::Document, front).fields.title, title);
        }
        let many = format!("tags: [{}]", (0..100).map(|n| n.to_string()).collect::<Vec<_>>().join(", "));
        let record = made(SourceKind::Document, &many);
        assert_eq!((record.fields.tags.len(), record.fields.metadata["tags"].as_array().unwrap().len()), (64, 100));
    }
}
