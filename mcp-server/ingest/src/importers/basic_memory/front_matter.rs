//! The front matter that Basic Memory writes: flat YAML of texts and lists of texts.
//!
//! It is read line by line and not as YAML: people also write notes by hand, and invalid YAML must
//! not cost a note its title.

use pgrecall_record::source::MAX_METADATA_BYTES;
use serde_json::{Map, Value};

use crate::formats::front_matter;

/// Splits a note into its front matter, the text after it, and the number of lines before that
/// text.
///
/// Front matter that exceeds the limit of a record's metadata counts as text, because each record
/// of the note contains the metadata.
pub(super) fn split(text: &str) -> (&str, &str, usize) {
    let (front, body) = front_matter::split(text, &["---"], MAX_METADATA_BYTES);
    (front.unwrap_or_default(), body, text[..text.len() - body.len()].lines().count())
}

/// The fields of a front matter: texts, and lists of texts.
pub(super) struct FrontMatter(Vec<(String, Value)>);

impl FrontMatter {
    /// Parses these lines. Lines that are no field are skipped.
    pub(super) fn parse(lines: &str) -> Self {
        let mut fields: Vec<(String, Value)> = Vec::new();
        for line in lines.lines() {
            let trimmed = line.trim();
            let item = trimmed.strip_prefix("- ").or((trimmed == "-").then_some(""));
            match (item, fields.last_mut()) {
                _ if trimmed.is_empty() || trimmed.starts_with('#') => {}
                (Some(item), Some((_, Value::Array(items)))) => items.push(unquoted(item).into()),
                (Some(item), Some((_, field))) if field == "" => *field = vec![unquoted(item)].into(),
                (Some(_), Some(_)) => {}
                // A long text continues on the next lines, which are indented.
                (None, Some((_, Value::String(text)))) if line.starts_with(' ') && !text.is_empty() => {
                    *text = unquoted(&format!("{text} {trimmed}"));
                }
                _ if line.starts_with(' ') => {}
                _ => {
                    if let Some((name, value)) = trimmed.split_once(':') {
                        fields.push((name.trim().to_owned(), field(value.trim())));
                    }
                }
            }
        }
        Self(fields)
    }

    fn field(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, field)| field)
    }

    /// Returns a text field that is not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.field(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// Returns a list, or the parts of a text with commas. Tags may begin with `#`.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let items: Vec<&str> = match self.field(name) {
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(text)) => text.split(',').collect(),
            _ => Vec::new(),
        };
        let items = items.into_iter().map(|item| item.trim().trim_start_matches('#')).filter(|item| !item.is_empty());
        items.map(str::to_owned).collect()
    }

    /// Returns all fields except these.
    pub(super) fn rest(self, but: &[&str]) -> Map<String, Value> {
        self.0.into_iter().filter(|(name, _)| !but.contains(&name.as_str())).collect()
    }
}

fn field(value: &str) -> Value {
    match value.strip_prefix('[').and_then(|value| value.strip_suffix(']')) {
        Some(items) => items.split(',').map(unquoted).filter(|item| !item.is_empty()).collect(),
        None => unquoted(value).into(),
    }
}

fn unquoted(text: &str) -> String {
    let text = text.trim();
    let inside = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    match (inside('\''), inside('"')) {
        (Some(single), _) => single.replace("''", "'"),
        (_, Some(double)) => double.replace("\\\"", "\""),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_texts_and_lists_however_they_are_written() {
        let front = FrontMatter::parse(
            "title: 'Ana''s notes'\n# a comment\ntags:\n  - '#a'\n  - b c\nalias: [x, \"y\"]\nlong: one\n  two\ncsv: a, b\nnonsense\n",
        );
        assert_eq!(front.text("title"), Some("Ana's notes"));
        assert_eq!(
            (front.list("tags"), front.list("alias")),
            (vec!["a".into(), "b c".into()], vec!["x".into(), "y".into()])
        );
        assert_eq!((front.text("long"), front.list("csv").len()), (Some("one two"), 2));
        assert_eq!(front.rest(&["title", "tags", "alias", "long"]).len(), 1);
    }

    #[test]
    fn front_matter_that_does_not_end_is_text() {
        assert_eq!(split("---\na: b\n---\ntext"), ("a: b\n", "text", 3));
        assert_eq!(split("---\na: b\n"), ("", "---\na: b\n", 0));
        assert_eq!(split("text"), ("", "text", 0));
    }
}
