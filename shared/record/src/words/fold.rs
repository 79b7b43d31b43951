//! Maps every spelling of a word to one term: folds compatibility forms and accents, stems, and
//! bounds the length.

use std::borrow::Cow;
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use crate::hash;

/// Maximum bytes of a term. Words of natural languages are shorter; longer tokens are hashes, paths
/// or the like.
pub(super) const MAX_TERM_BYTES: usize = 64;

/// Bytes of a long term that are kept before the 16 digits of its hash, so that a person recognizes
/// it in the table.
const READABLE_BYTES: usize = 47;

static ENGLISH: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::English));

/// Folds characters that look or mean the same: full-width letters, ligatures, accents, the points of
/// Hebrew, the vowel signs and hamza forms of Arabic, typographic apostrophes and hyphens. Case is
/// kept, because it marks the parts of `camelCase`.
pub(super) fn normalise(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    // The decomposition turns `أ` into an alef and a mark.
    Cow::Owned(text.nfkd().filter(|c| !is_ignored(*c)).map(plain).nfc().collect())
}

/// Returns whether a character only modifies its neighbors, and people often leave it out.
///
/// Marks of other scripts are kept: in Indic scripts, they are vowels.
fn is_ignored(c: char) -> bool {
    matches!(c,
        '\u{0300}'..='\u{036F}' // accents of Latin, Greek and Cyrillic
        | '\u{00AD}' // soft hyphen
        | '\u{200B}'..='\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' // joiners, directions
        | '\u{0591}'..='\u{05BD}' | '\u{05BF}' | '\u{05C1}' | '\u{05C2}' | '\u{05C4}' | '\u{05C5}' | '\u{05C7}' // Hebrew
        | '\u{0610}'..='\u{061A}' | '\u{064B}'..='\u{065F}' | '\u{0670}' | '\u{06D6}'..='\u{06DC}' // Arabic
        | '\u{06DF}'..='\u{06E4}' | '\u{06E7}' | '\u{06E8}' | '\u{06EA}'..='\u{06ED}' | '\u{08D3}'..='\u{08FF}'
        | '\u{0640}' // tatweel, which stretches a word
    )
}

/// Maps a character to the one that is written in its place elsewhere, or more often.
fn plain(c: char) -> char {
    match c {
        '\u{2019}' | '\u{2018}' | '\u{02BC}' | '\u{05F3}' => '\'',
        '\u{05F4}' => '"',
        '\u{2010}' | '\u{05BE}' => '-',
        'ٱ' => 'ا',
        // Arabic, Persian and Urdu keyboards have letters of their own for these.
        'ى' | 'ی' | 'ے' => 'ي',
        'ک' | 'ڪ' => 'ك',
        'ة' | 'ە' | 'ہ' | 'ۃ' | 'ھ' => 'ه',
        '٠'..='٩' => digit(c, '٠'),
        '۰'..='۹' => digit(c, '۰'),
        other => other,
    }
}

fn digit(c: char, zero: char) -> char {
    char::from_digit(u32::from(c) - u32::from(zero), 10).unwrap_or(c)
}

/// Returns the term of a lower-case token. Only plain words are stemmed; an identifier must match
/// as it is written.
pub(super) fn term(token: String) -> String {
    let plain = token.bytes().all(|b| b.is_ascii_lowercase() || b == b'\'');
    let stem = if plain { ENGLISH.stem(&token).into_owned() } else { token };
    bounded(stem)
}

/// Shortens a long term to its beginning and a hash of the whole. Without the hash, two URNs that
/// differ only in their last part would become the same term.
fn bounded(term: String) -> String {
    if term.len() <= MAX_TERM_BYTES {
        return term;
    }
    let cut = term.floor_char_boundary(READABLE_BYTES);
    format!("{}#{}", &term[..cut], hash::hex(&Sha256::digest(term.as_bytes())[..8]))
}
