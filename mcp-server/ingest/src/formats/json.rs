//! Reads JSON, and limits the number of values in a text, which is counted before it is parsed.
//!
//! A parsed value takes tens of bytes, but may be written in two, so a file of 64 MiB could take
//! gigabytes.

use pgrecall_record::lenient::{self, Repairs};
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
