//! The front matter that Basic Memory writes: flat YAML of texts and lists of texts.
//!
//! It is read line by line and not as YAML: notes are also written by hand, and one that is not quite YAML must not cost the note its title.

use pgrecall_record::source::MAX_METADATA_BYTES;
use serde_json::{Map, Value};

/// The lines between the first two `---`, the text after them, and the number of the line before that text. What is longer than a record's
/// metadata may be is text: it stands in each record of the note.
pub(super) fn split(text: &str) -> (&str, &str, usize) {
    let Some(rest) = text.strip_prefix("---\n").or_else(|| text.strip_prefix("---\r\n")) else { return ("", text, 0) };
    let (mut at, mut number) = (0, 1);
    for line in rest.split_inclusive('\n') {
        if at > MAX_METADATA_BYTES {
            break;
        }
        number += 1;
        if line.trim_end() == "---" {
            return (&rest[..at], &rest[at + line.len()..], number);
        }
        at += line.len();
    }
    ("", text, 0)
}

/// Names and what they are.
pub(super) struct FrontMatter(Vec<(String, Field)>);

enum Field {
    Text(String),
    List(Vec<String>),
}

impl FrontMatter {
    /// The fields of these lines. What is none of them is passed over.
    pub(super) fn parse(lines: &str) -> Self {
        let mut fields: Vec<(String, Field)> = Vec::new();
        for line in lines.lines() {
            let trimmed = line.trim();
            let item = trimmed.strip_prefix("- ").or((trimmed == "-").then_some(""));
            match (item, fields.last_mut()) {
                _ if trimmed.is_empty() || trimmed.starts_with('#') => {}
                (Some(item), Some((_, field))) => match field {
                    Field::List(items) => items.push(unquoted(item)),
                    Field::Text(text) if text.is_empty() => *field = Field::List(vec![unquoted(item)]),
                    Field::Text(_) => {}
                },
                // A long text goes on in the lines below, further in.
                (None, Some((_, Field::Text(text)))) if line.starts_with(' ') && !text.is_empty() => {
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

    fn field(&self, name: &str) -> Option<&Field> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, field)| field)
    }

    /// A text that is not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.field(name)? {
            Field::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// A list, or a text of one with commas; tags may carry their `#`.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let items: Vec<&str> = match self.field(name) {
            None => Vec::new(),
            Some(Field::List(items)) => items.iter().map(String::as_str).collect(),
            Some(Field::Text(text)) => text.split(',').collect(),
        };
        let items = items.into_iter().map(|item| item.trim().trim_start_matches('#')).filter(|item| !item.is_empty());
        items.map(str::to_owned).collect()
    }

    /// All fields but these.
    pub(super) fn rest(self, but: &[&str]) -> Map<String, Value> {
        let rest = self.0.into_iter().filter(|(name, _)| !but.contains(&name.as_str()));
        let value = |field| match field {
            Field::Text(text) => Value::String(text),
            Field::List(items) => items.into(),
        };
        rest.map(|(name, field)| (name, value(field))).collect()
    }
}

fn field(value: &str) -> Field {
    match value.strip_prefix('[').and_then(|value| value.strip_suffix(']')) {
        Some(items) => Field::List(items.split(',').map(unquoted).filter(|item| !item.is_empty()).collect()),
        None => Field::Text(unquoted(value)),
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
