//! Points in time as people and models write them.

use jiff::Timestamp;

/// Maximum bytes of the given text that an error quotes.
const MAX_QUOTED_BYTES: usize = 80;

/// Parses a timestamp, a date, or what [`read`] completes. A date means its start in UTC.
pub fn parse(text: &str) -> Option<Timestamp> {
    read(text).map(|(at, _)| at)
}

/// Parses a time, and returns whether its zone or its day was assumed.
///
/// Without a zone a time is UTC, without a day a month begins on its first, and a year alone on 1
/// January. A name of a zone in brackets needs an offset too, because the server knows no zones.
pub fn read(text: &str) -> Option<(Timestamp, bool)> {
    let text = &standard(text.trim());
    if let Ok(at) = text.parse().or_else(|_| format!("{text}T00:00:00Z").parse()) {
        return Some((at, false));
    }
    let rest = match text.len() {
        4 => "-01-01T00:00:00Z",
        7 => "-01T00:00:00Z",
        _ => "Z",
    };
    // `0930` is a time of the day, and no year.
    let is_local = text.starts_with(|first: char| ('1'..='9').contains(&first)) && !text.contains(['[', '+', 'Z', 'z']);
    let at = format!("{text}{rest}").parse().ok().filter(|_| is_local)?;
    Some((at, true))
}

/// Writes a time as the standard has it: `2025-3-3` of YAML, ` +0100` of Jekyll, ` UTC` of Python.
fn standard(text: &str) -> String {
    let (date, time) = text.split_at(text.find([' ', '\t', 'T', 't']).unwrap_or(text.len()));
    let parts: Vec<&str> = date.split('-').collect();
    let date = match parts[..] {
        [year, month, day] if year.len() == 4 && month.len().max(day.len()) < 3 => {
            format!("{year}-{month:0>2}-{day:0>2}")
        }
        _ => date.to_owned(),
    };
    let zone = time.rfind([' ', '\t']).filter(|at| *at > 0).map_or("", |at| time[at..].trim());
    let clock = time.strip_suffix(zone).unwrap_or(time).trim_end();
    match zone {
        "UTC" | "GMT" | "Z" => format!("{date}{clock}Z"),
        zone if zone.starts_with(['+', '-']) => format!("{date}{clock}{zone}"),
        _ => date + time,
    }
}

/// Says how a time was read, if its zone or its day was assumed.
pub fn note(name: &str, text: &str) -> Option<String> {
    let (at, true) = read(text)? else { return None };
    Some(format!("`{name}` was read as {at}"))
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

    #[test]
    fn a_time_without_a_zone_or_a_day_is_read_in_utc_from_its_beginning() {
        for (text, expected) in [
            ("2026-03-04T09:30", "2026-03-04T09:30:00Z"),
            ("2026-03-04 09:30:15.25", "2026-03-04T09:30:15.25Z"),
            ("2026-03-04t09:30:15", "2026-03-04T09:30:15Z"),
            (" 2026-03 ", "2026-03-01T00:00:00Z"),
            ("2026", "2026-01-01T00:00:00Z"),
        ] {
            assert_eq!(
                read(text).map(|(at, assumed)| (at.to_string(), assumed)),
                Some((expected.to_owned(), true)),
                "{text}"
            );
            assert_eq!(note("as_of", text), Some(format!("`as_of` was read as {expected}")));
        }
        for text in
            ["2026-03-04", "2026-03-04T09:30+02:00", "2026-03-04T09:30:00Z", "2026-03-04T09:30+02:00[Europe/Berlin]"]
        {
            assert!(read(text).is_some() && note("as_of", text).is_none(), "{text}");
        }
        for (text, expected) in [
            ("2026-03-01 10:00:00 +0100", "2026-03-01T09:00:00Z"),
            ("2026-03-01 10:00:00 -05:00", "2026-03-01T15:00:00Z"),
            ("2026-03-01T10:00  -0530", "2026-03-01T15:30:00Z"),
            ("2025-03-03 10:00:00 UTC", "2025-03-03T10:00:00Z"),
            ("2025-03-03 10:00:00.5 Z", "2025-03-03T10:00:00.5Z"),
            ("2025-3-3", "2025-03-03T00:00:00Z"),
            ("2025-12-3 10:00:00 +00", "2025-12-03T10:00:00Z"),
        ] {
            let read = read(text).map(|(at, assumed)| (at.to_string(), assumed));
            assert_eq!(read, Some((expected.to_owned(), false)), "{text}");
        }
        for text in [
            "",
            "2025-3-33",
            "2025--3",
            "2025-03-03 UTC",
            "2025-03-03 +0100",
            "2025-03-03 10:00:00 CET",
            "2025-03-03 10:00:00 - ",
            "UTC",
            "26",
            "202",
            "20260",
            "2026-13",
            "2026-00",
            "2026-3",
            "03-2026",
            "1e10",
            "-2026",
            "0900",
            "2026-W05",
            "12:30",
            "2026-02-30T10:00",
            "2026-03-04T09:30[Europe/Berlin]",
            "2026-03-04T25:00",
            "March 2026",
            "04/03/2026",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
