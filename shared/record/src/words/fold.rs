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

/// Folds characters that look or mean the same: full-width letters, ligatures, accents, typographic
/// apostrophes and hyphens. Case is kept, because it marks the parts of `camelCase`.
pub(super) fn normalise(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    // Only combining marks of Latin, Greek and Cyrillic are removed: in Indic scripts, combining
    // marks are vowels.
    let folded = text.nfkd().filter(|c| !matches!(c, '\u{0300}'..='\u{036F}' | '\u{00AD}' | '\u{200B}'..='\u{200D}'));
    let plain = folded.map(|c| match c {
        '\u{2019}' | '\u{2018}' | '\u{02BC}' => '\'',
        '\u{2010}' => '-',
        other => other,
    });
    Cow::Owned(plain.nfc().collect())
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
