//! How many values a JSON text comes to, counted before it is parsed.
//!
//! A parsed value takes tens of bytes and may be written in two: a file of 64 MiB could take gigabytes.

use serde_json::Value;

/// Values that one text may come to: some 200 MB. The largest descriptions of APIs that are published have half as many.
pub(crate) const MAX_VALUES: usize = 2_500_000;

/// Parses a text that comes to few enough values. The error is a sentence.
pub(super) fn read(text: &str) -> Result<Value, String> {
    check(text.as_bytes())?;
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Refuses a text that comes to too many values.
pub(crate) fn check(text: &[u8]) -> Result<(), String> {
    if count(text) > MAX_VALUES { Err(format!("it comes to more than {MAX_VALUES} values: split it")) } else { Ok(()) }
}

/// Never less than the values of a valid text: each stands after a comma, a colon or a bracket, or is the first.
fn count(text: &[u8]) -> usize {
    let (mut values, mut is_text, mut is_escaped) = (1, false, false);
    for byte in text {
        if is_text {
            is_text = is_escaped || *byte != b'"';
            is_escaped = !is_escaped && *byte == b'\\';
        } else {
            match byte {
                b'"' => is_text = true,
                b',' | b':' | b'[' | b'{' => values += 1,
                _ => {}
            }
        }
    }
    values
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
