//! Splits a text into its sentences, and into the lines that stand alone: headings, list items,
//! rows of tables and lines of code.
//!
//! Whatever shows or cites a part of a text cuts it at these bounds. The Unicode standard's rules
//! (UAX 29) find the sentences. They take every line end for the end of a sentence, so the lines of
//! a paragraph are joined first; and they cut after abbreviations, which are joined again.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// Maximum bytes of a piece. A longer sentence is cut between words.
pub const MAX_PIECE_BYTES: usize = 1024;

/// Maximum bytes in which sentences are found at once. The rules look ahead, so their time could
/// grow with the square of the length.
const MAX_BLOCK_BYTES: usize = 4 * MAX_PIECE_BYTES;

/// Abbreviations that rarely end a sentence, without their last period. Those of single letters
/// (`e.g.`, `U.S.`, `J.`) are recognized by their form.
const ABBREVIATIONS: [&str; 25] = [
    "al", "approx", "bzw", "ca", "cf", "dr", "eq", "esp", "etc", "ext", "fig", "inkl", "mr", "mrs", "ms", "nr", "pp",
    "prof", "resp", "sec", "sr", "st", "usw", "vol", "vs",
];

/// Returns the sentences of a text as ranges of bytes, in order.
///
/// They cover the whole text: a sentence has the white space that follows it. None is longer than
/// [`MAX_PIECE_BYTES`].
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    for (block, is_prose) in blocks(text) {
        if is_prose || block.len() > MAX_PIECE_BYTES {
            for part in bounded(text, block, MAX_BLOCK_BYTES) {
                divide(text, part, &mut pieces);
            }
        } else {
            pieces.push(block);
        }
    }
    pieces
}

/// The kind of a line of Markdown, or of a plain text that looks like it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Blank,
    Fence(char),
    Heading,
    Item,
    Row,
    Indented,
    Prose,
}

impl Line {
    fn of(line: &str) -> Self {
        let text = line.trim_start();
        let indent = &line[..line.len() - text.len()];
        let marks = text.trim_start_matches('#');
        let digits = text.trim_start_matches(|letter: char| letter.is_ascii_digit());
        match text.chars().next() {
            None => Self::Blank,
            Some(mark @ ('`' | '~')) if text.starts_with("```") || text.starts_with("~~~") => Self::Fence(mark),
            Some('#') if text.len() - marks.len() <= 6 && marks.starts_with(char::is_whitespace) => Self::Heading,
            Some('|') => Self::Row,
            Some('-' | '*' | '+' | '•') if text.chars().nth(1).is_some_and(char::is_whitespace) => Self::Item,
            Some('0'..='9')
                if text.len() - digits.len() < 4 && (digits.starts_with(". ") || digits.starts_with(") ")) =>
            {
                Self::Item
            }
            Some(_) if indent.contains('\t') || indent.len() >= 4 => Self::Indented,
            Some(_) => Self::Prose,
        }
    }
}

/// Returns the blocks of a text, and whether each is a paragraph. Blank lines belong to the block
/// before them.
fn blocks(text: &str) -> Vec<(Range<usize>, bool)> {
    let mut blocks: Vec<(Range<usize>, bool)> = Vec::new();
    let mut fence = None;
    let mut last = Line::Blank;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let kind = match (fence, Line::of(line)) {
            (None, Line::Fence(mark)) => {
                fence = Some(mark);
                Line::Row
            }
            (Some(open), Line::Fence(mark)) if open == mark => {
                fence = None;
                Line::Row
            }
            (Some(_), Line::Blank) | (None, Line::Blank) => Line::Blank,
            (Some(_), _) => Line::Row,
            // A line that goes on with the paragraph or the item above is no code, however far it
            // is indented.
            (None, Line::Indented) if matches!(last, Line::Prose | Line::Item) => Line::Prose,
            (None, kind) => kind,
        };
        let end = at + line.len();
        let continues = kind == Line::Blank || kind == Line::Prose && matches!(last, Line::Prose | Line::Item);
        match blocks.last_mut() {
            Some((block, _)) if continues => block.end = end,
            _ => blocks.push((at..end, matches!(kind, Line::Prose | Line::Blank))),
        }
        // The line below an item's second line still goes on with that item.
        last = kind;
        at = end;
    }
    blocks
}

/// Divides a part of a text into its sentences.
fn divide(text: &str, part: Range<usize>, pieces: &mut Vec<Range<usize>>) {
    // The same length, so that the bounds are those of the text.
    let line = text[part.clone()].replace(['\n', '\r'], " ");
    let mut from = 0;
    let bounds = line.split_sentence_bound_indices().map(|(at, _)| at).skip(1).chain([line.len()]);
    for at in bounds {
        if at < line.len() && ends_in_abbreviation(&line[from..at]) {
            continue;
        }
        pieces.extend(bounded(text, part.start + from..part.start + at, MAX_PIECE_BYTES));
        from = at;
    }
}

fn ends_in_abbreviation(sentence: &str) -> bool {
    let Some(word) = sentence.trim_end().strip_suffix('.') else { return false };
    let word = word.rsplit(|letter: char| !letter.is_alphanumeric() && letter != '.').next().unwrap_or_default();
    let is_initials = !word.is_empty()
        && word.split('.').all(|part| part.chars().count() == 1 && part.chars().all(char::is_alphabetic));
    is_initials || ABBREVIATIONS.iter().any(|abbreviation| word.eq_ignore_ascii_case(abbreviation))
}

/// Cuts a range into parts of at most `most` bytes, between words where there are any.
fn bounded(text: &str, range: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let mut from = range.start;
    std::iter::from_fn(move || {
        if from == range.end {
            return None;
        }
        let rest = &text[from..range.end];
        let mut length = rest.len();
        if length > most {
            let whole = &rest[..rest.floor_char_boundary(most)];
            let space = whole.char_indices().rev().find(|(at, letter)| letter.is_whitespace() && *at > most / 2);
            length = space.map_or(whole.len(), |(at, letter)| at + letter.len_utf8());
        }
        from += length;
        Some(from - length..from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(text: &str) -> Vec<&str> {
        sentences(text).into_iter().map(|range| text[range].trim()).collect()
    }

    #[test]
    fn a_sentence_may_take_several_lines_and_a_line_several_sentences() {
        let text = "One lock is taken. It conflicts\nwith writes! Why? Because.\n\nA new paragraph";
        assert_eq!(
            split(text),
            ["One lock is taken.", "It conflicts\nwith writes!", "Why?", "Because.", "A new paragraph"]
        );
        assert_eq!(split("設定を開く。次へ進む。"), ["設定を開く。", "次へ進む。"]);
    }

    #[test]
    fn an_abbreviation_ends_no_sentence() {
        for whole in [
            "Use a tool, e.g. Postgres, for this.",
            "See Fig. Seven, by Dr. Knuth and J. Smith, etc. Details follow.",
            "The U.S. Navy (cf. Chapter two) vs. The Army.",
        ] {
            assert_eq!(split(whole), [whole]);
        }
        assert_eq!(split("Version 1.4.2 is out. Take it."), ["Version 1.4.2 is out.", "Take it."]);
    }

    #[test]
    fn lines_of_markdown_that_stand_alone_are_pieces_of_their_own() {
        let text = "# Use it. Now.\nText. More.\n- one. two.\n- three\n  goes on\n1. first\n\n| a | b. C. |\n| - | - |\n\n\
            ```sh\ngit reset HEAD~. X. Y.\n\n# no heading\n```\n\n    code. Here. it\n";
        let expected = [
            "# Use it. Now.",
            "Text.",
            "More.",
            "- one. two.",
            "- three\n  goes on",
            "1. first",
            "| a | b. C. |",
            "| - | - |",
            "```sh",
            "git reset HEAD~. X. Y.",
            "# no heading",
            "```",
            "code. Here. it",
        ];
        assert_eq!(split(text), expected);
    }

    // One sentence of a megabyte, and runs in which the rules look ahead as far as they can.
    #[test]
    fn a_piece_is_bounded_and_so_is_the_time() {
        for text in
            ["word ".repeat(200_000), "é".repeat(500_000), format!("a.{}", " 1".repeat(500_000)), "# ".repeat(500_000)]
        {
            let pieces = sentences(&text);
            assert!(pieces.iter().all(|piece| piece.len() <= MAX_PIECE_BYTES));
            assert_eq!(pieces.iter().map(|piece| piece.len()).sum::<usize>(), text.len());
        }
    }

    fn texts() -> impl Strategy<Value = String> {
        let parts = [
            "word",
            " ",
            "  ",
            "\n",
            "\r\n",
            "\n\n",
            ". ",
            "! ",
            "? ",
            "e.g. ",
            "Dr. ",
            "# ",
            "- ",
            "1. ",
            "| a |",
            "```\n",
            "~~~",
            "    ",
            "\t",
            "é",
            "設定。",
            "𝒳",
            "\u{301}",
            "…",
            "\"",
            ")",
            "A",
            "7",
        ];
        prop_oneof![
            proptest::collection::vec(proptest::sample::select(parts.to_vec()), 0..60).prop_map(|parts| parts.concat()),
            any::<String>(),
        ]
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_text(text in texts()) {
            let pieces = sentences(&text);
            let mut at = 0;
            for piece in &pieces {
                prop_assert_eq!(piece.start, at);
                prop_assert!(piece.end > at && piece.len() <= MAX_PIECE_BYTES);
                prop_assert!(text.is_char_boundary(piece.end));
                at = piece.end;
            }
            prop_assert_eq!(at, text.len());
        }

        #[test]
        fn a_blank_line_ends_a_sentence(first in "[a-z]{1,9}( [a-z]{1,9}){0,5}", second in "[a-z]{1,9}") {
            let text = format!("{first}\n\n{second}");
            prop_assert_eq!(split(&text), [first.as_str(), second.as_str()]);
        }
    }
}
