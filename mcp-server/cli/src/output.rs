//! Writes results to stdout, in a form for people.

use std::io::{self, Write};

use console::{Style, Term, measure_text_width};
use jiff::Timestamp;
use pgrecall_record::{snippet::snippet, visible, words::WeightedTerms};
use serde::Serialize;

use super::failure::Failure;

/// Maximum length of a line, however wide the terminal is: longer ones are hard to read.
const MAX_WIDTH: usize = 100;
/// Width if stdout is not a terminal.
const DEFAULT_WIDTH: usize = 100;

/// Writes one line. Stored text must pass through [`shown`] before it is styled.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// Writes a value as one line of JSON.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    line(&visible::json(&serde_json::to_string(value).expect("a result has text keys only")))
}

/// Escapes stored text, so that a terminal shows escape sequences and hidden characters.
pub(super) fn shown(text: &str) -> String {
    visible::text(text).into_owned()
}

/// Formats a time to the second: a person reads no nanoseconds.
pub(super) fn time(at: Timestamp) -> String {
    format!("{at:.0}")
}

/// Returns stdout itself, for output that a program reads.
pub(super) fn raw() -> impl Write + Send {
    io::stdout()
}

/// Styles the most important part of a line.
///
/// The text stays plain if stdout is not a terminal, or if the user disabled colors.
pub(super) fn strong(text: &str) -> String {
    Style::new().bold().apply_to(text).to_string()
}

/// Styles the least important part of a line.
pub(super) fn faint(text: &str) -> String {
    Style::new().dim().apply_to(text).to_string()
}

/// Styles a good state.
pub(super) fn good(text: &str) -> String {
    Style::new().green().apply_to(text).to_string()
}

/// Styles a bad state.
pub(super) fn bad(text: &str) -> String {
    Style::new().red().bold().apply_to(text).to_string()
}

/// Returns the maximum width of a line.
pub(super) fn width() -> usize {
    let (_, columns) = Term::stdout().size_checked().unwrap_or((0, DEFAULT_WIDTH as u16));
    usize::from(columns).clamp(40, MAX_WIDTH)
}

/// Wraps a text between words to at most `lines` lines. A longer text ends with an ellipsis.
pub(super) fn wrapped(text: &str, width: usize, lines: usize) -> Vec<String> {
    let mut found = vec![String::new()];
    for word in shown(text).split_whitespace() {
        let last = found.last_mut().expect("there is always a line");
        if last.is_empty() || measure_text_width(last) + 1 + measure_text_width(word) <= width {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        } else if found.len() == lines {
            let last = found.last_mut().expect("there is always a line");
            last.push('…');
            return found;
        } else {
            found.push(word.to_owned());
        }
    }
    found.retain(|line| !line.is_empty());
    found
}

/// Wraps the sentences of a text with most of the terms to at most `count` lines, and keeps its own
/// line ends.
pub(super) fn excerpt(text: &str, terms: &WeightedTerms, width: usize, count: usize) -> Vec<String> {
    // A line is rarely filled to its end.
    let range = snippet(text, terms, width * count * 4 / 5, measure_text_width);
    let is_beginning = text[..range.start].trim().is_empty();
    let mut found: Vec<String> = Vec::new();
    for line in text[range.start..].lines().filter(|line| !line.trim().is_empty()) {
        if found.len() == count {
            let last = found.last_mut().expect("there is a line");
            if !last.ends_with('…') {
                last.push('…');
            }
            break;
        }
        found.extend(wrapped(line, width, count - found.len()));
    }
    if let Some(first) = found.first_mut().filter(|_| !is_beginning) {
        first.insert(0, '…');
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_no_fraction_of_a_second() {
        let at = |text: &str| time(text.parse().unwrap());
        assert_eq!(at("2026-11-30T00:23:34.123456789Z"), "2026-11-30T00:23:34Z");
        assert_eq!(at("2026-11-30T00:23:34.999999999Z"), "2026-11-30T00:23:34Z");
        assert_eq!(at("2026-11-30T00:23:34Z"), "2026-11-30T00:23:34Z");
    }

    #[test]
    fn a_text_is_wrapped_between_words_and_its_end_is_marked() {
        assert_eq!(wrapped("one two\nthree  four five", 9, 2), ["one two", "three…"]);
        assert_eq!(wrapped("one two", 20, 2), ["one two"]);
        assert!(wrapped(" \n", 20, 2).is_empty());
    }

    #[test]
    fn an_excerpt_has_the_words_of_the_query_and_its_own_lines() {
        let terms = WeightedTerms::of_query("zebra");
        let text = "# Zoo\n\nA long first sentence about nothing at all.\n- the zebra\n- the lion\nEnd.";
        let shown = excerpt(text, &terms, 15, 3);
        assert!(shown.len() == 3 && shown[0].starts_with('…'), "{shown:?}");
        assert!(shown.iter().any(|line| line.ends_with("- the zebra")), "{shown:?}");
        assert_eq!(excerpt("a zebra", &terms, 15, 2), ["a zebra"]);
        assert!(excerpt(" \n", &terms, 15, 2).is_empty());
    }
}
