//! Escapes for characters that a reader cannot see.
//!
//! Anyone may have written a stored text. An escape sequence can rewrite a terminal, a
//! bidirectional control shows a line in another order than its own, and a model reads characters
//! of the tags block that people cannot see. Stored data is left unchanged; these characters are
//! escaped where the data is shown (decision 27).

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

/// Replaces each invisible character by an escape such as `\u{202e}`. Tabs and line breaks are
/// kept.
pub fn text(text: &str) -> Cow<'_, str> {
    escaped(text, |letter, out| out.push_str(&format!("\\u{{{:x}}}", u32::from(letter))))
}

/// Escapes a text like [`text`], and replaces line breaks and tabs by spaces.
pub fn line(given: &str) -> String {
    text(given).replace(['\n', '\r', '\t'], " ")
}

/// Replaces each invisible character in JSON by a JSON escape: a parser gets the stored text, and a
/// person sees the escape.
pub fn json(json: &str) -> Cow<'_, str> {
    escaped(json, |letter, out| {
        for unit in letter.encode_utf16(&mut [0; 2]) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    })
}

/// Returns whether a text contains an invisible character.
pub fn hides_something(given: &str) -> bool {
    matches!(text(given), Cow::Owned(_))
}

fn escaped(text: &str, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if text.bytes().all(|byte| (b' '..0x7F).contains(&byte) || matches!(byte, b'\n' | b'\r' | b'\t')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut copied = 0;
    let mut before = None;
    for (at, letter) in text.char_indices() {
        let end = at + letter.len_utf8();
        if is_hidden(letter, before, text[end..].chars().next()) {
            out.push_str(&text[copied..at]);
            escape(letter, &mut out);
            copied = end;
        }
        before = Some(letter);
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// Returns whether a character between these two neighbors is invisible.
fn is_hidden(letter: char, before: Option<char>, after: Option<char>) -> bool {
    match letter {
        '\t' | '\n' => false,
        // CR is harmless as part of CRLF. Alone it moves a terminal's cursor to the start of the
        // line.
        '\r' => after != Some('\n'),
        letter if letter.is_control() => true,
        // A joiner joins emoji, and letters of joining scripts. Between other characters it has no
        // effect but to hide.
        '\u{200C}' | '\u{200D}' => !(before.is_some_and(joins) && after.is_some_and(joins)),
        // A variation selector picks the form of the character before it. Several in a row can
        // carry hidden data.
        '\u{FE00}'..='\u{FE0F}' => {
            before.is_none_or(|before| before.is_ascii_alphabetic() || is_invisible(before) || before == ' ')
        }
        letter => is_invisible(letter),
    }
}

/// Returns whether a character is a bidirectional control, in the tags block, or a format character
/// without a glyph.
pub(crate) fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}')
}

/// Returns whether a joiner next to this character can have an effect.
fn joins(letter: char) -> bool {
    // A variation selector may stand between an emoji and its joiner.
    letter == '\u{FE0F}' || (!letter.is_ascii() && !is_invisible(letter) && !letter.is_whitespace())
}

/// Returns the skeleton of a text: texts that look the same to a reader have the same skeleton. It
/// folds case, accents, blanks, punctuation, compatibility forms, and letters of other scripts that
/// look like Latin ones.
pub fn skeleton(text: &str) -> String {
    let letters = text.nfkd().flat_map(char::to_lowercase).map(as_latin);
    letters.filter(|letter| letter.is_alphanumeric()).collect()
}

/// Returns whether a reader may mistake one text for the other.
pub fn look_alike(one: &str, other: &str) -> bool {
    let (one, other) = (skeleton(one), skeleton(other));
    one == other || (other.chars().count() >= 8 && strsim::levenshtein(&one, &other) <= 2)
}

/// Returns the Latin letter that a letter looks like.
fn as_latin(letter: char) -> char {
    const ALIKE: [(&str, char); 24] = [
        ("аαɑ⍺ａ", 'a'),
        ("ьвβƄ", 'b'),
        ("сϲⅽᴄ", 'c'),
        ("ԁɗⅾ", 'd'),
        ("еєҽ℮ε", 'e'),
        ("ƒ", 'f'),
        ("ɡցԍ", 'g'),
        ("һհн", 'h'),
        ("іιɩı1l|ӏ!ǀ", 'i'),
        ("јϳ", 'j'),
        ("кκᴋ", 'k'),
        ("мⅿᴍ", 'm'),
        ("пոռηп", 'n'),
        ("оοօσ0ѳ", 'o'),
        ("рρ", 'p'),
        ("ԛզ", 'q'),
        ("гᴦ", 'r'),
        ("ѕꜱ5", 's'),
        ("тτᴛ", 't'),
        ("υսц", 'u'),
        ("ѵνⅴ", 'v'),
        ("ѡωա", 'w'),
        ("хχⅹ", 'x'),
        ("уγүყ", 'y'),
    ];
    ALIKE.iter().find(|(all, _)| all.contains(letter)).map_or(letter, |(_, latin)| *latin)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_rewrites_a_terminal_or_hides_is_escaped_and_text_of_every_script_is_not() {
        for (given, shown) in [
            ("\u{1b}[2Jgone\u{7}", "\\u{1b}[2Jgone\\u{7}"),
            ("a\rb\r\nc\u{85}", "a\\u{d}b\r\nc\\u{85}"),
            ("user\u{202e}nimda", "user\\u{202e}nimda"),
            ("hi\u{e0041}\u{e0042}", "hi\\u{e0041}\\u{e0042}"),
            ("pay\u{200b}pal \u{feff}x", "pay\\u{200b}pal \\u{feff}x"),
            ("a\u{200d}b", "a\\u{200d}b"),
            ("x\u{fe01}\u{fe02}", "x\\u{fe01}\\u{fe02}"),
        ] {
            assert_eq!(text(given), shown);
        }
        for plain in [
            "plain\ttext\nof two lines",
            "Ärger naïve Größe",
            "می‌خواهم",
            "क्‍ष",
            "family 👨‍👩‍👧 heart ❤️ 👩🏽‍💻",
            "記憶 Ελλάδα Привет 한국어",
        ] {
            assert_eq!(text(plain), plain);
        }
    }

    proptest! {
        // Parsing the JSON of an answer gives the stored text.
        #[test]
        fn json_with_escapes_is_the_same_json(given in any::<String>()) {
            let plain = serde_json::json!({ "text": given.as_str() }).to_string();
            let shown = json(&plain);
            prop_assert!(!hides_something(&shown));
            let read: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
            prop_assert_eq!(read["text"].as_str(), Some(given.as_str()));
        }
    }

    #[test]
    fn a_title_that_looks_like_another_is_taken_for_it() {
        let ours = "Recall before you answer";
        for copy in [
            "recall  before you ANSWER",
            "Rеcаll bеfоrе yоu аnswеr",
            "Recall\u{200b} before you answer!",
            "Ｒｅｃａｌｌ before you answer",
            "Récall before you answer.",
            "Recal before you answer",
            "Reca11 before you answer",
        ] {
            assert!(look_alike(copy, ours), "{copy}");
        }
        for other in ["Recall an order before you ship", "Summarise an incident", "Answer", ""] {
            assert!(!look_alike(other, ours), "{other}");
        }
    }
}
