//! Writing results to stdout, as people like to read them.

use std::io::{self, Write};

use console::{Style, Term, measure_text_width};
use pgrecall_record::visible;
use serde::Serialize;

use super::failure::Failure;

/// Lines are no longer than this, however wide the terminal is: longer ones are hard to read.
const MAX_WIDTH: usize = 100;
/// The width where there is no terminal.
const DEFAULT_WIDTH: usize = 100;

/// Writes one line. What was stored comes through [`shown`] before it is styled.
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

/// Stored text for a terminal, which must not obey it: escape sequences and hidden characters are written out.
pub(super) fn shown(text: &str) -> String {
    visible::text(text).into_owned()
}

/// Stdout as it is, for a program that reads it.
pub(super) fn raw() -> impl Write + Send {
    io::stdout()
}

/// What matters most in a line. Plain where stdout is no terminal, or the person wants no colors.
pub(super) fn strong(text: &str) -> String {
    Style::new().bold().apply_to(text).to_string()
}

/// What matters least in a line.
pub(super) fn faint(text: &str) -> String {
    Style::new().dim().apply_to(text).to_string()
}

/// Something that is as it should be.
pub(super) fn good(text: &str) -> String {
    Style::new().green().apply_to(text).to_string()
}

/// Something that is not.
pub(super) fn bad(text: &str) -> String {
    Style::new().red().bold().apply_to(text).to_string()
}

/// How wide a line may be.
pub(super) fn width() -> usize {
    let (_, columns) = Term::stdout().size_checked().unwrap_or((0, DEFAULT_WIDTH as u16));
    usize::from(columns).clamp(40, MAX_WIDTH)
}

/// A text's first lines at a width, between words; more than `lines` end with an ellipsis.
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
    fn a_text_is_wrapped_between_words_and_its_end_is_marked() {
        assert_eq!(wrapped("one two\nthree  four five", 9, 2), ["one two", "three…"]);
        assert_eq!(wrapped("one two", 20, 2), ["one two"]);
        assert!(wrapped(" \n", 20, 2).is_empty());
    }
}
