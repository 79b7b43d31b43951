//! Converts YAML to the JSON that it means, within limits.
//!
//! An alias repeats the value of its anchor, so a file of ten lines may ask for a billion values.
//! The reader counts the values before it makes them, and never recurses, however deep the file is
//! nested. The parser looks ahead to the end of a list in brackets, since the list could be a key;
//! the distance is limited too.

use std::{cell::Cell, collections::HashMap};

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

#[cfg(test)]
use super::json::MAX_VALUES;
use super::{json::MAX_REPEATED, structured};

/// Commas, brackets, colons and line ends that the parser may read before it reports an event: it
/// holds about 500 bytes for each.
const MAX_AHEAD: usize = 200_000;
/// Bytes of text that count as one value.
const BYTES_OF_A_VALUE: usize = 16;
/// Depth limit, the same as that of the JSON parser.
const MAX_DEPTH: usize = 127;

/// A list or a mapping that is still open.
struct Open {
    anchor: usize,
    /// Number of values in it.
    values: usize,
    /// Whether another mapping was merged into it, whose pairs its own override.
    has_merged: bool,
    held: Held,
}

enum Held {
    List(Vec<Value>),
    /// The pairs so far, and the key whose value comes next.
    Mapping(Map<String, Value>, Option<String>),
}

/// The value that is always a text: the version of an API, which `1.10` would lose a digit of.
const VERSION: [&str; 2] = ["info", "version"];

/// Parses the first document of a text. The error is a sentence with the line.
#[cfg(test)]
pub(super) fn read(text: &str) -> Result<Value, String> {
    read_within(text, MAX_VALUES).map(|(value, _)| value)
}

/// Parses the first document of a text that has at most `max_values` values, and returns notes about
/// what was left out.
pub(super) fn read_within(text: &str, max_values: usize) -> Result<(Value, Vec<String>), String> {
    let mut reader = Reader { max_values, ..Reader::default() };
    let value = reader.read(text)?;
    let more = reader.next_document.map(|line| {
        format!("a second document begins at line {line}, and only the first was read: write each to a file of its own")
    });
    Ok((value, more.into_iter().chain(structured::repeated(&reader.repeated)).collect()))
}

/// Parses a text of at most `max_values` values that is one document and nothing else.
///
/// A number that would be printed with other digits stays a text.
pub(super) fn read_only(text: &str, max_values: usize) -> Result<Value, String> {
    Reader { max_values, keeps_digits: true, is_only: true, ..Reader::default() }.read(text)
}

#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    /// The value of each anchor, and the number of values in it.
    anchors: HashMap<usize, (Value, usize)>,
    total: usize,
    max_values: usize,
    keeps_digits: bool,
    /// Whether a second document is an error.
    is_only: bool,
    /// The line of a second document.
    next_document: Option<usize>,
    /// Names that a mapping has twice.
    repeated: Vec<String>,
}

impl Reader {
    fn read(&mut self, text: &str) -> Result<Value, String> {
        let ahead = Cell::new(0);
        let bounded = text.chars().take_while(|char| {
            ahead.set(ahead.get() + usize::from(matches!(char, ',' | '[' | '{' | ':' | '\n')));
            ahead.get() <= MAX_AHEAD
        });
        let mut document = None;
        for event in Parser::new_from_iter(bounded) {
            // At the limit, the text ends for the parser, so its own error would be misleading.
            if ahead.replace(0) > MAX_AHEAD {
                return Err(format!("a list or a text in it has more than {MAX_AHEAD} parts"));
            }
            if document.is_some() && !self.is_only && event.is_err() {
                break;
            }
            let (event, span) = event.map_err(|error| format!("line {}: {}", error.marker().line(), error.info()))?;
            let line = span.start.line();
            if document.is_some() && matches!(event, Event::DocumentStart(_)) {
                if self.is_only {
                    return Err(format!("line {line}: a second document begins"));
                }
                self.next_document = Some(line);
                continue;
            }
            if self.next_document.is_some() {
                // A mark at the end of the text begins a document of nothing.
                self.next_document.take_if(|_| matches!(&event, Event::Scalar(text, ..) if text.is_empty()));
                break;
            }
            document = self.take(event).map_err(|why| format!("line {line}: {why}"))?.or(document);
        }
        Ok(document.unwrap_or_default())
    }

    /// Takes one event, and returns the document when it is complete.
    fn take(&mut self, event: Event<'_>) -> Result<Option<Value>, String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str");
                // A long text counts as several values, in proportion to its length.
                let values = 1 + text.len() / BYTES_OF_A_VALUE;
                let value = if is_text { Value::String(text.into_owned()) } else { self.plain(&text) };
                self.close(value, anchor, values)
            }
            Event::SequenceStart(anchor, _) => self.start(anchor, Held::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.start(anchor, Held::Mapping(Map::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => {
                let Open { anchor, values, held, .. } = self.open.pop().ok_or("an end without a beginning")?;
                let value = match held {
                    Held::List(items) => Value::Array(items),
                    Held::Mapping(object, _) => Value::Object(object),
                };
                self.close(value, anchor, values + 1)
            }
            Event::Alias(anchor) => {
                let values = self.anchors.get(&anchor).ok_or("an alias of something that is not complete yet")?.1;
                // The values are counted before they are copied.
                self.count(values)?;
                let value = self.anchors[&anchor].0.clone();
                self.close(value, 0, values)
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(None)
            }
        }
    }

    fn start(&mut self, anchor: usize, held: Held) -> Result<Option<Value>, String> {
        if self.open.len() == MAX_DEPTH {
            return Err(format!("it is nested deeper than {MAX_DEPTH} levels"));
        }
        self.open.push(Open { anchor, values: 0, has_merged: false, held });
        Ok(None)
    }

    fn close(&mut self, value: Value, anchor: usize, values: usize) -> Result<Option<Value>, String> {
        self.count(1)?;
        if anchor != 0 {
            self.count(values)?;
            self.anchors.insert(anchor, (value.clone(), values));
        }
        let Some(Open { values: within, has_merged, held, .. }) = self.open.last_mut() else { return Ok(Some(value)) };
        *within += values;
        match held {
            Held::List(items) => items.push(value),
            Held::Mapping(object, key) => match key.take() {
                Some(key) => {
                    *has_merged |= key == "<<";
                    if !*has_merged && object.contains_key(&key) && self.repeated.len() < MAX_REPEATED {
                        self.repeated.push(key.clone());
                    }
                    merge(object, key, value);
                }
                None => *key = Some(name(value)?),
            },
        }
        Ok(None)
    }

    fn count(&mut self, values: usize) -> Result<(), String> {
        self.total += values;
        let most = self.max_values;
        if self.total > most { Err(format!("it expands to more than {most} values")) } else { Ok(()) }
    }

    /// Interprets an unquoted text. Where digits matter, a number stays as it is written.
    fn plain(&self, text: &str) -> Value {
        let is_changed = |number: &Number| self.keeps_digits && number.to_string() != text;
        match plain(text) {
            Value::Number(number) if is_changed(&number) || self.is_at(&VERSION) => Value::String(text.to_owned()),
            value => value,
        }
    }

    /// Whether the next value is the one under these keys of the document.
    fn is_at(&self, path: &[&str]) -> bool {
        let is_under = |(open, name): (&Open, &&str)| matches!(&open.held, Held::Mapping(_, Some(key)) if key == name);
        self.open.len() == path.len() && self.open.iter().zip(path).all(is_under)
    }
}

/// Converts a key to a text. Response codes are numbers in YAML, and their digits are the key.
fn name(value: Value) -> Result<String, String> {
    match value {
        Value::String(name) => Ok(name),
        Value::Null => Ok("null".to_owned()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Array(_) | Value::Object(_) => Err("a key is a list or a mapping, which JSON does not allow".to_owned()),
    }
}

/// Inserts a pair. `<<` adds another mapping's pairs, which do not override the ones here.
fn merge(object: &mut Map<String, Value>, key: String, value: Value) {
    let others = match value {
        Value::Object(other) if key == "<<" => vec![other],
        Value::Array(items) if key == "<<" && items.iter().all(Value::is_object) => items
            .into_iter()
            .filter_map(|item| if let Value::Object(item) = item { Some(item) } else { None })
            .collect(),
        value => {
            object.insert(key, value);
            return;
        }
    };
    for (key, value) in others.into_iter().flatten() {
        object.entry(key).or_insert(value);
    }
}

/// Interprets an unquoted text by YAML 1.2.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => {
            let whole = text.parse::<i64>().ok().map(Number::from);
            // Infinity and NaN are no numbers in JSON, so they stay texts.
            let number = whole.or_else(|| Number::from_f64(text.parse().ok()?));
            number.map_or_else(|| Value::String(text.to_owned()), Value::Number)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn yaml_is_the_json_that_it_means() {
        let text = "a: &a {x: 1, y: [true, no, ~]}\nb: *a\n200: 'ok'\nc:\n  <<: *a\n  x: 2.5\nd: |\n  two\n  lines\n";
        let a = json!({"x": 1, "y": [true, "no", null]});
        let c = json!({"x": 2.5, "y": [true, "no", null]});
        assert_eq!(read(text), Ok(json!({"a": a, "b": a, "200": "ok", "c": c, "d": "two\nlines\n"})));
        assert_eq!(read(""), Ok(Value::Null));
    }

    #[test]
    fn a_text_of_one_document_keeps_its_digits() {
        let only = |text: &str| read_only(text, 100);
        assert_eq!(
            only("a: 1.10\nb: 007\nc: 3.0\nd: 12\ne: 0x1f"),
            Ok(json!({"a": "1.10", "b": "007", "c": 3.0, "d": 12, "e": "0x1f"}))
        );
        for more in ["{a: b}\ntext", "a: b\n---\nc: d\n", "[a] b", "a: b\ntext"] {
            assert!(only(more).is_err(), "{more}");
        }
        assert!(only(&format!("a: &a {}\nb: *a", "x".repeat(2_000))).unwrap_err().contains("more than 100 values"));
        let versions = read("info: {version: 1.10, x: 1.10}\nversion: 1.10\n").unwrap();
        assert_eq!(versions, json!({"info": {"version": "1.10", "x": 1.1}, "version": 1.1}));
    }

    #[test]
    fn what_is_left_out_is_noted() {
        let notes = |text: &str| read_within(text, 100).unwrap().1;
        let twice = |name: &str| format!("`{name}` is given twice in one mapping: only the last of each was read");
        for (text, expected) in [
            ("a: 1\n", vec![]),
            ("---\na: 1\n---\n", vec![]),
            ("---\na: 1\n---\n# c\nb: 1\n", vec!["line 3".to_owned()]),
            ("a: 1\n...\n", vec![]),
            ("a: 1\n---\nb: [\n", vec!["line 2".to_owned()]),
            ("p:\n  /d: {get: 1}\n  /d: {get: 2}\n", vec![twice("/d")]),
            ("{a: 1, a: 2}\n---\n{}", vec!["line 2".to_owned(), twice("a")]),
            ("a: &a {x: 1}\nb: {<<: *a, x: 2}\nc: {<<: *a, <<: *a}\n", vec![]),
        ] {
            let found = notes(text);
            assert_eq!(found.len(), expected.len(), "{text:?} {found:?}");
            assert!(found.iter().zip(&expected).all(|(note, part)| note.contains(part)), "{text:?} {found:?}");
        }
    }

    #[test]
    fn a_bomb_of_aliases_is_refused_before_it_is_made() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..30 {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        assert!(read(&text).unwrap_err().contains("more than"), "{text}");
        let long = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(1_000_000), vec!["*a"; 10_000].join(", "));
        assert!(read(&long).unwrap_err().contains("more than"));
    }

    // A list of 6 MB in brackets took 1.3 GB before the parser reported its first value.
    #[test]
    fn the_parser_does_not_look_ahead_without_end() {
        for long in ["0,", "a: b, ", "[],", "{},", "&a x,", "\"a\\n\",\n"] {
            let text = format!("[{}]", long.repeat(MAX_AHEAD + 10));
            assert!(read(&text).err().is_some_and(|why| why.contains("more than 200000 parts")), "{long}");
        }
        // Under a key, the list cannot be a key itself, so the parser reports each value at once.
        assert!(read(&format!("a: [{}]", "0,".repeat(MAX_AHEAD * 2))).is_ok());
        let block = format!("a: |\n{}", "  line\n".repeat(MAX_AHEAD + 10));
        assert!(read(&block).err().is_some_and(|why| why.contains("parts")));
        assert!(read(&"- x\n".repeat(MAX_AHEAD * 2)).is_ok());
    }

    #[test]
    fn depth_is_bounded_and_an_alias_of_itself_refused() {
        assert!(read(&"[".repeat(100_000)).is_err());
        assert!(read(&format!("{}x", "- ".repeat(1_000))).unwrap_err().contains("deep"));
        assert!(read("a: &a [*a]").is_err());
        assert!(read("a: [").is_err());
    }
}
