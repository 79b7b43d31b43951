//! Reads JSON, and limits the number of values in a text, which is counted before it is parsed.
//!
//! A parsed value takes tens of bytes, but may be written in two, so a file of 64 MiB could take
//! gigabytes.

use std::{collections::HashSet, fmt};

use pgrecall_record::lenient::{self, Repairs};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Values in one text: about 200 MB in memory. The largest published API descriptions have half as
/// many.
pub(crate) const MAX_VALUES: usize = 2_500_000;

/// Parses a text that has at most `MAX_VALUES` values. The error is a sentence.
#[cfg(test)]
pub(crate) fn read(text: &[u8]) -> Result<(Value, Repairs), String> {
    read_within(text, MAX_VALUES)
}

/// Parses a text that has at most `max_values` values, and returns what was repaired in it.
pub(crate) fn read_within(text: &[u8], max_values: usize) -> Result<(Value, Repairs), String> {
    check_within(text, max_values)?;
    lenient::read(text).map_err(|error| error.to_string())
}

/// Number of names that are given twice and that a note counts.
pub(crate) const MAX_REPEATED: usize = 1_000;

/// Returns the names that an object of a valid text has twice, of which the parser keeps the last.
pub(crate) fn repeated(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    // A text that had to be repaired is compared up to its first fault.
    let _ = Names(&mut names).deserialize(&mut serde_json::Deserializer::from_str(text));
    names
}

/// Collects the names that are given twice in a value.
struct Names<'n>(&'n mut Vec<String>);

impl<'de> DeserializeSeed<'de> for Names<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Names<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if seen.contains(&name) && self.0.len() < MAX_REPEATED {
                self.0.push(name);
            } else {
                seen.insert(name);
            }
            map.next_value_seed(Names(self.0))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Names(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Refuses a text that has more than `MAX_VALUES` values.
pub(crate) fn check(text: &[u8]) -> Result<(), String> {
    check_within(text, MAX_VALUES)
}

fn check_within(text: &[u8], max_values: usize) -> Result<(), String> {
    if count(text) > max_values {
        Err(format!("it expands to more than {max_values} values: split it"))
    } else {
        Ok(())
    }
}

/// Returns a text without the blanks around it; `None` if it is missing, blank or not a text.
pub(crate) fn text(value: Option<&Value>) -> Option<&str> {
    value?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// Returns a text that is not blank, or the text of a number or a truth value: generators write
/// titles, tags and versions without quotation marks.
pub(crate) fn scalar(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        value => text(Some(value)).map(str::to_owned),
    }
}

/// Counts the values of a text; for valid JSON, this is an upper bound.
///
/// Each value follows a comma, a colon or an opening bracket, or is the first.
fn count(text: &[u8]) -> usize {
    let mut scanner = Scanner::default();
    1 + text.iter().filter(|byte| scanner.is_outside(**byte) && b",:[{".contains(byte)).count()
}

/// Finds the bytes of a JSON text that are outside its strings.
#[derive(Default)]
pub(crate) struct Scanner {
    is_string: bool,
    is_escaped: bool,
}

impl Scanner {
    /// Returns whether the next byte is outside a string and its quotation marks.
    pub(crate) fn is_outside(&mut self, byte: u8) -> bool {
        let is_quote = byte == b'"' && !self.is_escaped;
        self.is_escaped = self.is_string && !self.is_escaped && byte == b'\\';
        self.is_string ^= is_quote;
        !self.is_string && !is_quote
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_given_twice_are_found_at_any_depth() {
        for (text, names) in [
            (r#"{"paths": {"/d": {"get": 1}, "/e": [1, 2.5, true, null, "x"], "/d": -1}}"#, &["/d"][..]),
            (r#"[{"a": {"b": 1, "b": 2, "\u0062": 3}, "a": 1}]"#, &["b", "b", "a"]),
            (r#"{"a": {"a": {"a": 1}}, "b": [{"a": 1}, {"a": 1}]}"#, &[]),
            (r#"{"a": 1, "a": 2, "#, &["a"]),
            ("7", &[]),
        ] {
            assert_eq!(repeated(text), names, "{text}");
        }
    }

    #[test]
    fn values_are_counted_outside_of_texts() {
        assert_eq!(count(br#""a,b\"[{:""#), 1);
        assert_eq!(count(br#"{"a,": [1, "\\", {}]}"#), 7);
        assert!(
            read(format!("[{}0]", "0,".repeat(MAX_VALUES)).as_bytes())
                .unwrap_err()
                .contains("more than 2500000 values")
        );
        assert!(read(format!("\"{}\"", ",".repeat(MAX_VALUES)).as_bytes()).is_ok());
    }
}
