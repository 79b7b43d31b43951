//! Finds the words of a text: plain words, identifiers whole and in parts, and pairs of characters
//! in scripts without spaces between words.
//!
//! Unicode's word boundaries (UAX 29) do most of the work. They keep `sales.orders_v2` in one piece
//! but split `kebab-case` in two. So pieces joined by a single hyphen or dot are first joined
//! again, and then split level by level: `sales.orders_v2` yields itself, `orders_v2`, `sales`,
//! `orders` and `v2`.

use unicode_segmentation::UnicodeSegmentation;

/// The role of a token in its text, which decides how it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A word, or one of the smallest parts of an identifier.
    Word,
    /// An identifier, or a larger part of one, whose parts are tokens too.
    Whole,
    /// A part of a word that is set off by capitals: `camel` in `camelCase`.
    Hump,
    /// Two adjacent characters of a script without spaces, or a character of it that stands alone.
    Pair,
    /// A single character of a run whose pairs are tokens too.
    Single,
}

/// Calls `emit` for each token, in the order of the text. The text must be normalized; case is
/// kept.
pub(super) fn each_token(text: &str, emit: &mut impl FnMut(&str, Role)) {
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let unspaced = is_unspaced(first);
        let end = rest.find(|c| is_unspaced(c) != unspaced).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        if unspaced {
            pairs(run, emit)
        } else {
            compounds(run, emit)
        }
        rest = after;
    }
}

/// Returns whether a script has no spaces between words. Hangul counts as one, because endings are
/// attached to its words.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{0E00}'..='\u{0EFF}' // Thai, Lao
        | '\u{1000}'..='\u{109F}' // Myanmar
        | '\u{1780}'..='\u{17FF}' // Khmer
        | '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{309F}' | '\u{30A1}'..='\u{30FA}' | '\u{30FC}'..='\u{30FF}' // kana
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}' // Han
        | '\u{AC00}'..='\u{D7AF}' // Hangul
    )
}

fn pairs(run: &str, emit: &mut impl FnMut(&str, Role)) {
    let starts: Vec<usize> = run.char_indices().map(|(at, _)| at).chain([run.len()]).collect();
    if let [from, to] = starts[..] {
        return emit(&run[from..to], Role::Pair);
    }
    for window in starts.windows(2) {
        emit(&run[window[0]..window[1]], Role::Single);
    }
    for window in starts.windows(3) {
        emit(&run[window[0]..window[2]], Role::Pair);
    }
}

fn compounds(run: &str, emit: &mut impl FnMut(&str, Role)) {
    let mut current: Option<(usize, usize)> = None;
    for (start, word) in run.unicode_word_indices() {
        let end = start + word.len();
        current = Some(match current {
            Some((from, to)) if matches!(&run[to..start], "-" | "." | "") => (from, end),
            Some((from, to)) => {
                dotted(&run[from..to], emit);
                (start, end)
            }
            None => (start, end),
        });
    }
    if let Some((from, to)) = current {
        dotted(&run[from..to], emit);
    }
}

/// Emits `sales.orders_v2` whole, then each piece between dots or colons.
fn dotted(name: &str, emit: &mut impl FnMut(&str, Role)) {
    if let Some(number) = number(name) {
        return emit(&number, Role::Word);
    }
    let initials = || name.split('.').filter(|piece| !piece.is_empty());
    if initials().nth(1).is_some() && initials().all(|piece| piece.chars().nth(1).is_none_or(|c| c == '\'')) {
        // `U.S.A` and `e.g` become one word, because single letters are useless as search terms.
        return emit(&name.replace('.', ""), Role::Word);
    }
    let pieces = || name.split(['.', ':', ',']).filter(|piece| has_word(piece));
    if pieces().nth(1).is_some() && !name.contains(',') {
        emit(trimmed(name), Role::Whole);
    }
    pieces().for_each(|piece| joined(piece, emit));
}

/// Returns the normalized form of a number or version, which is one word because `1` and `4` of
/// `1.4` are useless as search terms: `1.4.2` also for `v1.4.2`, and `50000` for `50,000`.
fn number(name: &str) -> Option<String> {
    let digits = name.strip_prefix(['v', 'V']).unwrap_or(name);
    let groups = || digits.split(['.', ',']);
    if !groups().all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit()))
        || digits == name && !digits.contains(['.', ','])
    {
        return None;
    }
    if digits.contains('.') || digits != name {
        // `v2` alone is treated like any other name.
        return digits.contains('.').then(|| digits.replace(',', ""));
    }
    groups().skip(1).all(|group| group.len() == 3).then(|| digits.replace(',', ""))
}

/// Emits `orders_v2`, `end-to-end` or `covid-19` whole, then each part.
fn joined(name: &str, emit: &mut impl FnMut(&str, Role)) {
    let parts = || name.split(['_', '-']).filter(|part| has_word(part));
    // Two plain words with a hyphen are ordinary English (`high-speed`) and are found by their
    // parts. The whole would be a third, rare term that outweighs both, which lowers quality on the
    // judged collections.
    let compound = name.contains('_') || name.contains(char::is_numeric) || parts().nth(2).is_some();
    if compound && parts().nth(1).is_some() {
        emit(trimmed(name), Role::Whole);
    }
    parts().for_each(|part| humps(trimmed(part), emit));
}

/// Emits the word `camelCase` or `HTTPServer`, then the parts that capitals set off. Parts of one
/// letter (the `i` of `iPhone`) are left out.
fn humps(word: &str, emit: &mut impl FnMut(&str, Role)) {
    emit(word, Role::Word);
    let letters: Vec<(usize, char)> = word.char_indices().collect();
    let mut from = 0;
    let hump = |from: usize, to: usize, emit: &mut dyn FnMut(&str, Role)| {
        if to - from >= 2 && to - from < word.len() && word[from..to].chars().nth(1).is_some() {
            emit(&word[from..to], Role::Hump);
        }
    };
    for at in 1..letters.len() {
        let (before, (here, letter)) = (letters[at - 1].1, letters[at]);
        let next_is_lower = letters.get(at + 1).is_some_and(|(_, c)| c.is_lowercase());
        // A plural such as `URLs` is one word, not `UR` and `Ls`.
        let plural = at + 2 == letters.len() && letters[at + 1].1 == 's';
        if letter.is_uppercase() && (before.is_lowercase() || before.is_uppercase() && next_is_lower && !plural) {
            hump(from, here, emit);
            from = here;
        }
    }
    if from > 0 {
        hump(from, word.len(), emit);
    }
}

fn has_word(piece: &str) -> bool {
    piece.contains(char::is_alphanumeric)
}

fn trimmed(piece: &str) -> &str {
    piece.trim_matches(|c: char| !c.is_alphanumeric())
}
