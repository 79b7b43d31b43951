//! Points in time as people and models write them.

use jiff::Timestamp;

/// Maximum bytes of the given text that an error quotes.
const MAX_QUOTED_BYTES: usize = 80;

/// Parses a timestamp or a date. A date means its start in UTC.
pub fn parse(text: &str) -> Option<Timestamp> {
    text.parse().or_else(|_| format!("{text}T00:00:00Z").parse()).ok()
}

/// Parses the time in the field `name`. The error says which formats are accepted.
pub fn parse_field(name: &str, text: &str) -> Result<Timestamp, String> {
    parse(text).ok_or_else(|| {
        let text = &text[..text.floor_char_boundary(MAX_QUOTED_BYTES)];
        format!("`{name}` is \"{text}\": write a date such as 2026-01-31 or a time such as 2026-01-31T09:00:00Z")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_its_beginning() {
        assert_eq!(parse_field("as_of", "2026-01-31").unwrap(), parse_field("as_of", "2026-01-31T00:00:00Z").unwrap());
        assert!(parse_field("as_of", "yesterday").unwrap_err().contains("2026-01-31"));
    }
}
