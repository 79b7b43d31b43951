//! How many values a JSON text comes to, counted before it is parsed.
//!
//! A parsed value takes tens of bytes and may be written in two: a file of 64 MiB could take gigabytes.

use serde_json::Value;

/// Values that one text may come to: some 200 MB. The largest descriptions of APIs that are published have half as many.
pub(crate) const MAX_VALUES: usize = 2_500_000;

/// Parses a text that comes to few enough values. The error is a sentence.
pub(crate) fn read(text: &str) -> Result<Value, String> {
    check(text.as_bytes())?;
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Refuses a text that comes to too many values.
pub(crate) fn check(text: &[u8]) -> Result<(), String> {
    if count(text) > MAX_VALUES { Err(format!("it comes to more than {MAX_VALUES} values: split it")) } else { Ok(()) }
}

/// Never less than the values of a valid text: each is after a comma, a colon or a bracket, or is the first.
fn count(text: &[u8]) -> usize {
    let mut scanner = Scanner::default();
    1 + text.iter().filter(|byte| scanner.is_outside(**byte) && b",:[{".contains(byte)).count()
}

/// Finds the bytes of a JSON text that are outside of its strings.
#[derive(Default)]
pub(crate) struct Scanner {
    is_string: bool,
    is_escaped: bool,
}

impl Scanner {
    /// Whether the next byte is outside of a string and its quotation marks.
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

    // L16
    #[test]
    fn values_are_counted_outside_of_texts() {
        assert_eq!(count(br#""a,b\"[{:""#), 1);
        assert_eq!(count(br#"{"a,": [1, "\\", {}]}"#), 7);
        assert!(read(&format!("[{}0]", "0,".repeat(MAX_VALUES))).unwrap_err().contains("more than 2500000 values"));
        assert!(read(&format!("\"{}\"", ",".repeat(MAX_VALUES))).is_ok());
    }
}
