//! Valid texts with a few edits, as random input for parsers. Parsers fail more often on input that
//! is almost valid than on random bytes.

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    test_runner::Config,
};

/// Tokens that have a meaning in at least one format.
const TOKENS: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "<",
    ">",
    ":",
    ",",
    ";",
    "=",
    "&",
    "%",
    "%2",
    "%00",
    "@",
    "/",
    "//",
    "?",
    "#",
    "\\",
    "\"",
    "'",
    "-",
    "- ",
    "---\n",
    "\n",
    "\r\n",
    "\t",
    "  ",
    "\0",
    "\u{feff}",
    "\u{202e}",
    "é",
    "👩‍👩‍👧",
    "null",
    "-1",
    "1e999",
    "99999999999999999999",
];

/// Returns a proptest configuration with `usual` cases. If PROPTEST_CASES differs from its default
/// of 256, the number of cases is scaled in proportion; `scripts/fuzz` uses this.
pub fn cases(usual: u32) -> Config {
    let all = Config::default();
    Config { cases: (usual.saturating_mul(all.cases) / 256).max(1), failure_persistence: None, ..all }
}

#[derive(Debug, Clone)]
enum Edit {
    Cut(Index, usize),
    Repeat(Index, usize, usize),
    Insert(Index, &'static str),
    Replace(Index, u8),
    /// Replaces the rest of the text by the rest of another text.
    Splice(Index, Index, Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (any::<Index>(), 1..12_usize).prop_map(|(at, bytes)| Edit::Cut(at, bytes)),
        (any::<Index>(), 1..12_usize, 1..40_usize).prop_map(|(at, bytes, times)| Edit::Repeat(at, bytes, times)),
        (any::<Index>(), select(&TOKENS[..])).prop_map(|(at, token)| Edit::Insert(at, token)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Replace(at, byte)),
        (any::<Index>(), any::<Index>(), any::<Index>()).prop_map(|(at, other, from)| Edit::Splice(at, other, from)),
    ]
}

/// Generates one of the seeds with up to five edits. The result need not be UTF-8.
pub fn mutated(seeds: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    (select(seeds), vec(edit(), 0..6)).prop_map(move |(seed, edits)| {
        let mut bytes = seed.as_bytes().to_vec();
        edits.into_iter().for_each(|edit| apply(&mut bytes, edit, seeds));
        bytes
    })
}

/// Like [`mutated`], as a text: invalid UTF-8 becomes replacement characters.
pub fn mutated_text(seeds: &'static [&'static str]) -> impl Strategy<Value = String> {
    mutated(seeds).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn apply(bytes: &mut Vec<u8>, edit: Edit, seeds: &[&str]) {
    let length = bytes.len();
    let part = |at: Index, count: usize| {
        let at = at.index(length + 1);
        at..(at + count).min(length)
    };
    match edit {
        Edit::Cut(at, count) => drop(bytes.drain(part(at, count))),
        Edit::Repeat(at, count, times) => {
            let part = part(at, count);
            let repeated = bytes[part.clone()].repeat(times);
            bytes.splice(part.end..part.end, repeated);
        }
        Edit::Insert(at, token) => drop(bytes.splice(part(at, 0), token.bytes())),
        Edit::Replace(at, byte) => drop(bytes.splice(part(at, 1), [byte])),
        Edit::Splice(at, other, from) => {
            let other = seeds[other.index(seeds.len())].as_bytes();
            bytes.truncate(part(at, 0).start);
            bytes.extend(&other[from.index(other.len() + 1)..]);
        }
    }
}

/// Asserts that an error text can be shown to a person: not empty, at most 4,096 bytes, and without
/// the `Debug` output of a value.
#[track_caller]
pub fn assert_sentence(text: &str) {
    assert!(!text.trim().is_empty(), "an error says nothing");
    assert!(text.len() <= 4096, "an error has {} bytes: {}", text.len(), &text[..text.floor_char_boundary(200)]);
    for dump in ["Some(", "Err(", "Error(", "Error {", "Os {"] {
        assert!(!text.contains(dump), "{text}");
    }
}
