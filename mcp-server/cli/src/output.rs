//! Writes results to stdout, in a form for people.

use std::io::{self, Write};

use console::{Style, Term, measure_text_width};
use jiff::Timestamp;
use pgrecall_record::visible;
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
}
