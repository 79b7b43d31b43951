//! Brings every spelling of a word to one term: compatibility forms and accents folded, stemmed, bounded in bytes.

use std::borrow::Cow;
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

/// The longest term in bytes. A word of a person's language is shorter; what is longer is a token, a hash or a path.
pub(super) const MAX_TERM_BYTES: usize = 64;

/// What stays readable of a term that is too long: enough to recognise it in the table beside 16 digits of its hash.
const READABLE_BYTES: usize = 47;

static ENGLISH: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::English));

/// Folds what looks or means the same: full-width letters, ligatures, accents, typographic apostrophes and hyphens. Case
/// stays, since it shows the parts of `camelCase`.
pub(super) fn normalise(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    // Only the combining marks of Latin, Greek and Cyrillic are dropped: in Indic scripts such marks are vowels.
    let folded = text.nfkd().filter(|c| !matches!(c, '\u{0300}'..='\u{036F}' | '\u{00AD}' | '\u{200B}'..='\u{200D}'));
    let plain = folded.map(|c| match c {
        '\u{2019}' | '\u{2018}' | '\u{02BC}' => '\'',
        '\u{2010}' => '-',
        other => other,
    });
    Cow::Owned(plain.nfc().collect())
}

/// The term of a lower-case token. Only a plain word is stemmed: an identifier is matched as it is written.
pub(super) fn term(token: String) -> String {
    let plain = token.bytes().all(|b| b.is_ascii_lowercase() || b == b'\'');
    let stem = if plain { ENGLISH.stem(&token).into_owned() } else { token };
    bounded(stem)
}

/// A term that is too long keeps its beginning and gets a hash of the whole. Cut alone, two URNs that differ only in their
/// last part would become one term, and one would be found for the other.
fn bounded(term: String) -> String {
    if term.len() <= MAX_TERM_BYTES {
        return term;
    }
    let hash = Sha256::digest(term.as_bytes());
    let cut = term.floor_char_boundary(READABLE_BYTES);
    let mut short = term[..cut].to_owned();
    short.push('#');
    for byte in &hash[..8] {
        short.push_str(&format!("{byte:02x}"));
    }
    short
}
